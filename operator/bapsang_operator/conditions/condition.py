"""One condition, and the list of them as the API has it. Pure.

Messages name fixed times (when a window closes), never remaining ones, so that a lasting state writes no status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType, Reason
from bapsang_operator.resource.status import MAX_MESSAGE


@dataclass(frozen=True)
class Condition:
    """Status, reason and message of one condition."""

    status: str
    reason: Reason
    message: str


def by_type(status: Manifest) -> dict[str, Manifest]:
    """Return the conditions of a status, by their type."""
    return {condition["type"]: condition for condition in status.get("conditions", ())}


def as_list(
    conditions: Mapping[ConditionType, Condition], generation: int, old: Manifest, now: datetime
) -> list[Manifest]:
    """Return the list of conditions of a status that takes the place of `old`, in the order of ConditionType. Transition
    times move only when the status of their condition does."""
    before = by_type(old)
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = []
    for kind in ConditionType:
        condition = conditions.get(kind)
        if condition is None:
            continue
        earlier = before.get(kind)
        lasts = earlier is not None and earlier["status"] == condition.status
        found.append(
            {
                "type": kind.value,
                "status": condition.status,
                "reason": condition.reason.value,
                "message": condition.message[:MAX_MESSAGE],
                "lastTransitionTime": earlier["lastTransitionTime"] if lasts and earlier is not None else stamp,
                "observedGeneration": generation,
            }
        )
    return found
