"""DatabaseReady: the embedded MySQL accepts connections. Pure."""

from __future__ import annotations

from bapsang_operator.conditions.condition import Condition
from bapsang_operator.conditions.redis_ready import of_store
from bapsang_operator.names import Reason


def condition(ready: bool | None) -> Condition:
    """Return the condition. `ready` is None for an external database."""
    if ready:
        text = "The embedded MySQL accepts connections. Not for production: one pod, one volume, no backup, no replica."
        return Condition("True", Reason.EMBEDDED_FOR_DEVELOPMENT, text)
    return of_store("The embedded MySQL", ready)
