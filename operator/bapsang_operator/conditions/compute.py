"""Computes all conditions of a Community whose spec is valid: one function that calls each condition's module. Pure."""

from __future__ import annotations

from bapsang_operator.conditions import (
    database_ready,
    degraded,
    like_sync_healthy,
    mail_ready,
    migrated,
    paused,
    prewarmed,
    progressing,
    ready,
    reconciling,
    redis_ready,
    stalled,
)
from bapsang_operator.conditions.condition import Condition
from bapsang_operator.conditions.costing import Costing
from bapsang_operator.conditions.observation import Observation
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType, Reason
from bapsang_operator.planning.plan import Plan


def compute(observed: Observation, old: Manifest, cost: Costing | None) -> dict[ConditionType, Condition]:
    """Return the conditions that apply, in the order of ConditionType. `old`: the status so far; `cost`: None without
    spec.estate."""
    community, progress, problems = observed.community, observed.progress, observed.problems
    stopping = progressing.stopping(problems)
    reasons = {problem.reason for problem in problems}
    is_host_taken = Reason.HOST_TAKEN in reasons
    rollout = progressing.condition(
        community,
        progress,
        observed.plan,
        problems,
        has_settled=progressing.has_settled(old),
        is_host_taken=is_host_taken,
    )
    found: dict[ConditionType, Condition | None] = {
        ConditionType.READY: ready.condition(
            community,
            progress,
            observed.parents,
            has_served="image" in old,
            is_host_taken=is_host_taken,
            is_route_missing=Reason.GATEWAY_API_MISSING in reasons,
        ),
        ConditionType.PROGRESSING: rollout,
        ConditionType.DEGRADED: degraded.condition(
            problems, is_host_compared=community.host is None or observed.sees_all
        ),
        ConditionType.RECONCILING: reconciling.condition(rollout, problems, stopping),
        ConditionType.STALLED: stalled.condition(rollout, problems, stopping, is_pending=observed.plan != Plan()),
        ConditionType.MIGRATED: migrated.condition(progress.job, progress.migration),
        ConditionType.DATABASE_READY: database_ready.condition(progress.database_ready),
        ConditionType.REDIS_READY: redis_ready.condition(progress.redis_ready),
        ConditionType.LIKE_SYNC_HEALTHY: like_sync_healthy.condition(community, observed.like_sync),
        ConditionType.MAIL_READY: mail_ready.condition(community, progress.mail, observed.plan.held),
        ConditionType.PREWARMED: prewarmed.condition(community, observed.windows, progress.floor),
        ConditionType.PAUSED: paused.condition(community),
        **({} if cost is None else cost.conditions),
    }
    return {kind: condition for kind, condition in found.items() if condition is not None}
