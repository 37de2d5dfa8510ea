"""Progressing: a rollout is under way, and what it waits for. False when everything runs as specified, or cannot. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bapsang_operator import names
from bapsang_operator.build.child import Gate
from bapsang_operator.conditions.condition import Condition, by_type
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType, Reason
from bapsang_operator.planning.plan import Cause, Plan
from bapsang_operator.planning.progress import Progress
from bapsang_operator.problem import Problem
from bapsang_operator.resource import Community

#: Reasons of Progressing when all pods run what the spec says.
_DONE: Final = frozenset({Reason.UP_TO_DATE, Reason.HOST_TAKEN, Reason.VOLUME_NOT_AS_SPECIFIED})
#: Problems that stop a rollout until somebody does something.
_STOPPING: Final = frozenset(
    {
        *(Reason.SECRET_MISSING, Reason.SECRET_INVALID, Reason.FOREIGN_OBJECT, Reason.CHILD_REJECTED),
        *(Reason.CHILD_FAILED, Reason.MIGRATION_FAILED, Reason.ROLLOUT_STUCK),
    }
)


def stopping(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that stop a rollout."""
    return [problem for problem in problems if problem.reason in _STOPPING]


def has_settled(old: Manifest) -> bool:
    """Tell whether the last rollout came to its end. From then on pods that come and go, by the autoscaler or with a
    node, are no rollout; only a change that is applied begins another one."""
    before = by_type(old).get(ConditionType.PROGRESSING)
    return before is not None and before["reason"] in _DONE


def condition(
    community: Community,
    progress: Progress,
    plan: Plan,
    problems: list[Problem],
    *,
    has_settled: bool,
    is_host_taken: bool,
) -> Condition:
    """Return the condition. `has_settled`: the last rollout came to its end."""
    image = community.image
    if community.paused is not None:
        return Condition("False", Reason.BY_ANNOTATION, "Nothing is changed: see Paused.")
    if plan.terminating:
        text = f"{plan.terminating[0]} is still being deleted; it is created again afterwards."
        return Condition("True", Reason.WAITING_FOR_DELETION, text)
    if causes := stopping(problems):
        text = f"The rollout of {image} cannot go on ({causes[0].reason}): see Degraded."
        return Condition("False", Reason.BLOCKED, text)
    if plan.held:
        return _waiting(progress, image)
    if (hibernating := hibernation(community, progress)) is not None:
        return hibernating
    if progress.unrolled:
        name = progress.unrolled[0].name
        is_database = name == names.mysql(community.name)
        reason = Reason.WAITING_FOR_DATABASE if is_database else Reason.WAITING_FOR_REDIS
        return Condition("True", reason, f"StatefulSet {name}: its pod does not yet run what the spec says.")
    if _is_started(plan) or not has_settled:
        if not (progress.base.current and progress.base.rolled_out):
            return Condition("True", Reason.ROLLING_OUT_BASE, f"The base tier is rolling out {image}.")
        if not (progress.burst.current and progress.burst.replaced and progress.burst.available):
            return Condition("True", Reason.ROLLING_OUT_BURST, f"The burst tier is rolling out {image}.")
        media = progress.media
        if media is not None and not (media.current and media.replaced and media.available):
            return Condition("True", Reason.ROLLING_OUT_MEDIA, f"The photo workers are rolling out {image}.")
        mail = progress.mail
        if mail is not None and not (mail.current and mail.replaced and mail.available):
            return Condition("True", Reason.ROLLING_OUT_MAIL, f"The mail workers are rolling out {image}.")
    if any(problem.reason is Reason.VOLUME_NOT_AS_SPECIFIED for problem in problems):
        text = f"Everything runs {image}, but a volume is not as specified: see Degraded."
        return Condition("False", Reason.VOLUME_NOT_AS_SPECIFIED, text)
    if is_host_taken:
        text = f"Everything runs {image}, but spec.host does not lead here: see Degraded."
        return Condition("False", Reason.HOST_TAKEN, text)
    return Condition("False", Reason.UP_TO_DATE, f"Everything runs {image} as specified.")


def hibernation(community: Community, progress: Progress) -> Condition | None:
    """Tell how far the Community is on its way into hibernation; None when it is to be awake."""
    if not community.hibernate:
        return None
    if any(tier is not None and tier.pods for tier in (progress.base, progress.burst, progress.media, progress.mail)):
        return Condition("True", Reason.HIBERNATING, "spec.hibernate is set: the pods of the API are being stopped.")
    return Condition(
        "False", Reason.HIBERNATED, "spec.hibernate is set: no pod of the API runs and the jobs are suspended."
    )


def _is_started(plan: Plan) -> bool:
    return any(apply.manifest["kind"] == "Deployment" and apply.cause is not Cause.DRIFTED for apply in plan.applies)


def _waiting(progress: Progress, image: str) -> Condition:
    if progress.database_ready is False:
        return Condition("True", Reason.WAITING_FOR_DATABASE, "Waiting until the embedded MySQL accepts connections.")
    if progress.redis_ready is False:
        return Condition("True", Reason.WAITING_FOR_REDIS, "Waiting until the managed Redis accepts connections.")
    if not progress.passed(Gate.MIGRATION):
        return Condition("True", Reason.MIGRATING, f"Waiting for the database migration of {image}.")
    return Condition("True", Reason.ROLLING_OUT_BASE, f"The base tier is rolling out {image}; burst follows.")
