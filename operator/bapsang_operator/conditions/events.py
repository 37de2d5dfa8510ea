"""The Events that a change of the status deserves: transitions only, never a state that lasts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bapsang_operator.conditions.condition import by_type
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType, EventReason, Reason


@dataclass(frozen=True)
class Event:
    """An Event to post about a Community."""

    type: str
    reason: str
    message: str


def transitions(old: Manifest, new: Manifest) -> list[Event]:
    """Return the Events that the change from `old` to `new` deserves: transitions only, never a state that lasts."""
    before, after = by_type(old), by_type(new)
    found = []
    for kind, condition in after.items():
        event = _transition(kind, before.get(kind), condition)
        if event is not None:
            found.append(event)
    return found


def _transition(kind: str, before: Manifest | None, after: Manifest) -> Event | None:
    was, status = before["status"] if before else None, after["status"]
    message = after["message"]
    match kind:
        case ConditionType.READY if status != was and (status == "True" or was == "True"):
            if status == "True":
                return Event("Normal", EventReason.READY, message)
            if after["reason"] == Reason.HIBERNATED:
                return Event("Normal", EventReason.HIBERNATED, message)
            return Event("Warning", EventReason.NOT_READY, message)
        case ConditionType.PROGRESSING if status != was:
            if status == "True":
                return Event("Normal", EventReason.ROLLOUT_STARTED, message)
            if after["reason"] == Reason.UP_TO_DATE and was == "True":
                return Event("Normal", EventReason.ROLLOUT_COMPLETED, message)
        case ConditionType.MIGRATED if status == "True" and was != "True":
            return Event("Normal", EventReason.MIGRATION_SUCCEEDED, message)
        case ConditionType.PREWARMED if (
            status != was and "True" in {status, was} and after["reason"] != Reason.FLOOR_NOT_RAISED
        ):
            opened = status == "True"
            return Event("Normal", EventReason.WINDOW_OPENED if opened else EventReason.WINDOW_CLOSED, message)
        case ConditionType.PAUSED if status != was and "True" in {status, was}:
            return Event("Normal", EventReason.PAUSED if status == "True" else EventReason.RESUMED, message)
        case ConditionType.DEGRADED:
            if status == "True" and (was != "True" or before is None or before["reason"] != after["reason"]):
                return Event("Warning", after["reason"], message)
            if status == "False" and was == "True":
                return Event("Normal", EventReason.RECOVERED, message)
    return None
