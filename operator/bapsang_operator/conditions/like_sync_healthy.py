"""LikeSyncHealthy: the last run of the CronJob that writes likes back succeeded. Pure."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.conditions.condition import Condition
from bapsang_operator.names import Reason
from bapsang_operator.resource import Community


def condition(community: Community, last: bool | None) -> Condition:
    """Return the condition. `last`: whether the last run succeeded; None before one ended."""
    name = names.like_sync(community.name)
    if community.hibernate:
        return Condition("Unknown", Reason.SUSPENDED, "spec.hibernate is set: likes stay in Redis.")
    if community.like_sync.suspend:
        return Condition("Unknown", Reason.SUSPENDED, "spec.likeSync.suspend is set: likes gather in Redis.")
    if last is None:
        return Condition("Unknown", Reason.NOT_RUN_YET, f"CronJob {name} has not finished a run yet.")
    if last:
        return Condition("True", Reason.LAST_RUN_SUCCEEDED, f"The last run of CronJob {name} succeeded.")
    return Condition("False", Reason.LAST_RUN_FAILED, f"The last run of CronJob {name} failed: see Degraded.")
