"""RedisReady: the managed Redis accepts connections. Pure."""

from __future__ import annotations

from bapsang_operator.conditions.condition import Condition
from bapsang_operator.names import Reason


def condition(ready: bool | None) -> Condition:
    """Return the condition. `ready` is None for an external Redis."""
    return of_store("The managed Redis", ready)


def of_store(what: str, ready: bool | None) -> Condition:
    """Return the condition of a store, DatabaseReady too; `ready` is None for an external one."""
    if ready is None:
        return Condition("Unknown", Reason.EXTERNAL, "An external one is used; the operator does not observe it.")
    if ready:
        return Condition("True", Reason.AVAILABLE, f"{what} accepts connections.")
    return Condition("False", Reason.NOT_AVAILABLE, f"{what} does not accept connections yet.")
