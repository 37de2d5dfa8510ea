"""What keeps a Community from being what its spec says, in sentences that a stranger understands: what, where, what to do.

The texts stay the same while a problem lasts (no counters, no pod names, no times), so that a lasting problem does not
write the status again and again. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from bapsang_operator.names import Reason

_MESSAGE_LIMIT: Final = 240


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a Community from being what its spec says."""

    reason: Reason
    message: str


def ranked(found: Iterable[Problem]) -> list[Problem]:
    """Return problems once each, causes before consequences (the order of `Reason`)."""
    order = list(Reason)
    return sorted(dict.fromkeys(found), key=lambda problem: order.index(problem.reason))


def shorten(message: Any) -> str:
    """Return the beginning of a text that somebody else wrote."""
    text = str(message).strip()
    return text if len(text) <= _MESSAGE_LIMIT else f"{text[: _MESSAGE_LIMIT - 1]}…"
