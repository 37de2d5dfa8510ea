"""The status of a Community, computed whole from what is seen, and the Events that its changes deserve. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from bapsang_operator import names
from bapsang_operator.build.child import Gate
from bapsang_operator.conditions import conditions, costing, judgement, kstatus
from bapsang_operator.conditions.judgement import Judgement
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType, EventReason, Reason
from bapsang_operator.planning.plan import Cause, Plan
from bapsang_operator.planning.prewarm import Opening
from bapsang_operator.planning.progress import MigrationState, Progress
from bapsang_operator.problem import Problem
from bapsang_operator.resource import Community

_PROBLEMS_SHOWN = 5


@dataclass(frozen=True)
class Event:
    """An Event to post about a Community."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True)
class Seen:
    """Everything a status is computed from. `like_sync`: whether the last run succeeded, None before one ended.
    `sees_all`: whether Ingresses of all namespaces are known."""

    community: Community
    progress: Progress
    plan: Plan
    problems: list[Problem]
    like_sync: bool | None
    windows: list[Opening] = field(default_factory=list)
    sees_all: bool = True


def compute(seen: Seen, old: Manifest, now: datetime) -> Manifest:
    """Return the whole status. Times of conditions move only when their status does, so an unchanged world yields an
    unchanged status."""
    community, progress = seen.community, seen.progress
    judgements = {
        ConditionType.READY: _ready(seen, old),
        ConditionType.PROGRESSING: _progressing(seen, old),
        ConditionType.DEGRADED: _degraded(seen.problems),
        ConditionType.MIGRATED: _migrated(seen),
        ConditionType.DATABASE_READY: judgement.database(progress.database_ready),
        ConditionType.REDIS_READY: judgement.store("The managed Redis", progress.redis_ready),
        ConditionType.LIKE_SYNC_HEALTHY: judgement.like_sync(community, seen.like_sync),
        ConditionType.PREWARMED: judgement.raised(
            judgement.prewarmed(community, seen.windows), community, progress.floor
        ),
        ConditionType.PAUSED: judgement.paused(community),
    }
    cost = None if community.estate is None else costing.assess(community, community.estate, now.date())
    if cost is not None:
        judgements |= cost.judgements
    taken = any(problem.reason is Reason.HOST_TAKEN for problem in seen.problems)
    judgements |= judgement.of_host(community, judgements, taken=taken, sees_all=seen.sees_all)
    judgements |= kstatus.judge(
        judgements[ConditionType.PROGRESSING], seen.problems, _stopping(seen.problems), pending=seen.plan != Plan()
    )
    status: Manifest = {
        "observedGeneration": community.generation,
        "url": community.url,
        "issuer": community.issuer,
        "replicas": {
            "base": progress.base.ready,
            "burst": progress.burst.ready,
            "ready": progress.base.ready + progress.burst.ready,
        },
        "migration": {"hash": progress.job.rpartition("-")[2], "state": progress.migration.value},
        "conditions": conditions.made(judgements, community.generation, old, now),
    }
    image = progress.base.image if progress.base.rolled_out else old.get("image")
    if image is not None:
        status["image"] = image
    if cost is not None and cost.block is not None:
        status["cost"] = cost.block
    return status


def invalid(generation: int, problems: list[Problem], old: Manifest, now: datetime) -> Manifest:
    """Return the status of a Community whose spec this operator refuses: everything is left running as it was."""
    blocked = "The spec is not valid: nothing is changed until it is. What runs stays in service."
    return {**_halted(generation, blocked, problems, old, now), "observedGeneration": generation}


def internal_error(generation: int, found: Problem, old: Manifest, now: datetime) -> Manifest:
    """Return the status of a Community whose pass ended in an exception. `observedGeneration` stays: the generation was
    not acted on."""
    return _halted(generation, f"A pass over this Community fails ({found.reason}): see Degraded.", [found], old, now)


def _halted(generation: int, blocked: str, problems: list[Problem], old: Manifest, now: datetime) -> Manifest:
    """Return `old` with the conditions of a Community for which nothing can be done; the others stay as they were."""
    judgements = {
        ConditionType.PROGRESSING: Judgement("False", Reason.BLOCKED, blocked),
        ConditionType.DEGRADED: _degraded(problems),
        ConditionType.STALLED: Judgement("True", problems[0].reason, problems[0].message),
    }
    gone = {ConditionType.RECONCILING, *judgements}
    kept = [condition for condition in old.get("conditions", ()) if condition["type"] not in gone]
    changed = conditions.made(judgements, generation, old, now)
    # By text: a newer version may have written types that this one does not know, and must not raise after a rollback.
    order = {kind.value: place for place, kind in enumerate(ConditionType)}
    found = sorted([*kept, *changed], key=lambda condition: order.get(condition["type"], len(order)))
    return {**old, "conditions": found}


def events(old: Manifest, new: Manifest) -> list[Event]:
    """Return the Events that the change from `old` to `new` deserves: transitions only, never a state that lasts."""
    before, after = conditions.by_type(old), conditions.by_type(new)
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


def _ready(seen: Seen, old: Manifest) -> Judgement:
    """Ready means that users are served: stores up, at most one base pod missing (what the budget allows)."""
    progress, base = seen.progress, seen.progress.base
    for what, ready in (("The embedded MySQL", progress.database_ready), ("The managed Redis", progress.redis_ready)):
        if ready is False:
            reason = Reason.NOT_AVAILABLE if "image" in old else Reason.STARTING
            return Judgement("False", reason, f"{what} is not available yet.")
    is_asleep = seen.community.hibernate
    if is_asleep and not (base.available or progress.burst.available):
        return Judgement("False", Reason.HIBERNATED, "spec.hibernate is set: nobody is served until it is removed.")
    if is_asleep or (base.exists and base.available >= max(1, base.wanted - 1)):
        return judgement.served(seen.community, seen.progress.addressed)
    if "image" not in old:
        return Judgement("False", Reason.STARTING, "The first pods are being started.")
    name = names.api_base(seen.community.name)
    return Judgement(
        "False", Reason.NO_PODS_AVAILABLE, f"Deployment {name}: fewer pods are available than are needed to serve."
    )


def _progressing(seen: Seen, old: Manifest) -> Judgement:
    progress, image = seen.progress, seen.community.image
    if seen.community.paused is not None:
        return Judgement("False", Reason.BY_ANNOTATION, "Nothing is changed: see Paused.")
    if seen.plan.vanishing:
        text = f"{seen.plan.vanishing[0]} is still being deleted; it is created again afterwards."
        return Judgement("True", Reason.WAITING_FOR_DELETION, text)
    stopping = _stopping(seen.problems)
    if stopping:
        return Judgement(
            "False", Reason.BLOCKED, f"The rollout of {image} cannot go on ({stopping[0].reason}): see Degraded."
        )
    if seen.plan.held:
        return _waiting(progress, image)
    asleep = judgement.asleep(seen.community, progress)
    if asleep is not None:
        return asleep
    if progress.unrolled:
        name = progress.unrolled[0].name
        is_database = name == names.mysql(seen.community.name)
        reason = Reason.WAITING_FOR_DATABASE if is_database else Reason.WAITING_FOR_REDIS
        return Judgement("True", reason, f"StatefulSet {name}: its pod does not yet run what the spec says.")
    if _is_started(seen.plan) or not _is_settled(old):
        if not (progress.base.current and progress.base.rolled_out):
            return Judgement("True", Reason.ROLLING_OUT_BASE, f"The base tier is rolling out {image}.")
        if not (progress.burst.current and progress.burst.replaced and progress.burst.available):
            return Judgement("True", Reason.ROLLING_OUT_BURST, f"The burst tier is rolling out {image}.")
    if any(problem.reason is Reason.VOLUME_NOT_AS_SPECIFIED for problem in seen.problems):
        text = f"Everything runs {image}, but a volume is not as specified: see Degraded."
        return Judgement("False", Reason.VOLUME_NOT_AS_SPECIFIED, text)
    return Judgement("False", Reason.UP_TO_DATE, f"Everything runs {image} as specified.")


def _is_started(plan: Plan) -> bool:
    return any(apply.manifest["kind"] == "Deployment" and apply.cause is not Cause.DRIFTED for apply in plan.applies)


def _is_settled(old: Manifest) -> bool:
    """Tell whether the last rollout came to its end. From then on pods that come and go, by the autoscaler or with a
    node, are no rollout; only a change that is applied begins another one."""
    before = conditions.by_type(old).get(ConditionType.PROGRESSING)
    return before is not None and before["reason"] in _DONE


#: Reasons of Progressing when all pods run what the spec says.
_DONE = frozenset({Reason.UP_TO_DATE, Reason.HOST_TAKEN, Reason.VOLUME_NOT_AS_SPECIFIED})
#: Problems that stop a rollout until somebody does something.
_STOPPING = frozenset(
    {
        *(Reason.SECRET_MISSING, Reason.SECRET_INVALID, Reason.FOREIGN_OBJECT, Reason.CHILD_REJECTED),
        *(Reason.CHILD_FAILED, Reason.MIGRATION_FAILED, Reason.ROLLOUT_STUCK),
    }
)


def _stopping(problems: Iterable[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.reason in _STOPPING]


def _waiting(progress: Progress, image: str) -> Judgement:
    if progress.database_ready is False:
        return Judgement("True", Reason.WAITING_FOR_DATABASE, "Waiting until the embedded MySQL accepts connections.")
    if progress.redis_ready is False:
        return Judgement("True", Reason.WAITING_FOR_REDIS, "Waiting until the managed Redis accepts connections.")
    if not progress.passed(Gate.MIGRATION):
        return Judgement("True", Reason.MIGRATING, f"Waiting for the database migration of {image}.")
    return Judgement("True", Reason.ROLLING_OUT_BASE, f"The base tier is rolling out {image}; burst follows.")


def _degraded(problems: Iterable[Problem]) -> Judgement:
    listed = list(problems)
    if not listed:
        return Judgement("False", Reason.AS_EXPECTED, "No problem is known.")
    text = " ".join(problem.message for problem in listed[:_PROBLEMS_SHOWN])
    more = len(listed) - _PROBLEMS_SHOWN
    return Judgement("True", listed[0].reason, f"{text} And {more} more." if more > 0 else text)


def _migrated(seen: Seen) -> Judgement:
    job = seen.progress.job
    match seen.progress.migration:
        case MigrationState.SUCCEEDED:
            return Judgement("True", Reason.MIGRATION_SUCCEEDED, f"Job {job} has migrated the database.")
        case MigrationState.FAILED:
            return Judgement("False", Reason.MIGRATION_FAILED, f"Job {job} failed: see Degraded.")
        case MigrationState.RUNNING:
            return Judgement("False", Reason.MIGRATION_RUNNING, f"Job {job} is migrating the database.")
        case MigrationState.PENDING:
            return Judgement("False", Reason.MIGRATION_PENDING, f"Job {job} has no pod yet.")
