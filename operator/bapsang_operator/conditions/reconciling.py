"""Reconciling: a rollout is under way and may still succeed. Flux, Helm and others wait while it is there. Pure.

It is there only while it is True, and never together with Stalled, whose module names the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bapsang_operator.conditions import stalled
from bapsang_operator.conditions.condition import Condition
from bapsang_operator.names import Reason
from bapsang_operator.problem import Problem


def condition(progressing: Condition, problems: Sequence[Problem], stopping: Sequence[Problem]) -> Condition | None:
    """Return the condition, or None. `stopping`: the problems that stop the rollout."""
    if progressing.reason is Reason.BLOCKED:
        return None if stalled.lasting(stopping) else stalled.of_problem(stopping[0])
    if progressing.status != "True":
        return None
    # Tools print this sentence when they time out: it has to say what the rollout waits for, and why that does not come.
    cause = f" {problems[0].message}" if problems else ""
    return replace(progressing, message=f"{progressing.message}{cause}")
