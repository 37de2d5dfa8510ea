"""Degraded: every problem that is known, causes first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bapsang_operator.conditions.condition import Condition
from bapsang_operator.names import Reason
from bapsang_operator.problem import Problem

_LISTED: Final = 5


def condition(problems: Sequence[Problem], *, is_host_compared: bool = True) -> Condition:
    """Return the condition. `is_host_compared`: nothing to compare, or it was compared with all namespaces."""
    suffix = "" if is_host_compared else " The host was not compared with namespaces that the operator does not watch."
    if not problems:
        return Condition("False", Reason.AS_EXPECTED, f"No problem is known.{suffix}")
    text = " ".join(problem.message for problem in problems[:_LISTED])
    more = len(problems) - _LISTED
    return Condition("True", problems[0].reason, f"{text}{f' And {more} more.' if more > 0 else ''}{suffix}")
