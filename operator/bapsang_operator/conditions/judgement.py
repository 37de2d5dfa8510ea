"""What one condition says, and the conditions of stores and jobs, of scaling by the clock and of the host. Pure.

Texts name fixed times (when a window closes), never remaining ones, so that a lasting state writes no status.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from bapsang_operator import names
from bapsang_operator.build import ingress
from bapsang_operator.names import ConditionType, Reason
from bapsang_operator.planning.prewarm import Opening
from bapsang_operator.planning.progress import Progress
from bapsang_operator.problem import shorten
from bapsang_operator.resource import Community, Window


@dataclass(frozen=True)
class Judgement:
    """Status, reason and message of one condition."""

    status: str
    reason: Reason
    message: str


def prewarmed(community: Community, openings: list[Opening]) -> Judgement:
    """Tell which windows are open, what they raise the floor to and until when; else which one opens next."""
    if community.hibernate and community.prewarm:
        return Judgement("False", Reason.NO_WINDOW_OPEN, "spec.hibernate is set: no window opens.")
    found = [opening for opening in openings if opening.is_open]
    if found:
        told = "; ".join(f'"{opening.window.name}" {_until(opening)}' for opening in found)
        floor = community.api.burst.min_replicas
        return Judgement("True", Reason.WINDOW_OPEN, f"The burst tier has at least {floor} pods. Open: window {told}.")
    following = [(opening.starts, opening.window) for opening in openings if opening.starts is not None]
    if not following:
        return Judgement("False", Reason.NO_WINDOW_OPEN, "No window is open, and none will open.")
    starts, window = min(following, key=lambda pair: pair[0])
    text = f'No window is open. Next: "{window.name}" at {_local(starts, window)}, {window.replicas} pods.'
    return Judgement("False", Reason.NO_WINDOW_OPEN, text)


def raised(prewarmed: Judgement, community: Community, live_floor: int | None) -> Judgement:
    """Return `prewarmed` unless it claims a floor that the live autoscaler does not have."""
    floor = community.api.burst.min_replicas
    if prewarmed.status != "True" or (live_floor is not None and live_floor >= floor):
        return prewarmed
    has = "no autoscaler" if live_floor is None else f"a floor of {live_floor} pods"
    opened = prewarmed.message.partition("Open: ")[2]
    text = f"The burst tier has {has} instead of a floor of {floor}: see Progressing. Open: {opened}"
    return Judgement("False", Reason.FLOOR_NOT_RAISED, text)


def paused(community: Community) -> Judgement:
    """Tell whether the annotation keeps the operator from changing anything, and why."""
    if community.paused is None:
        return Judgement("False", Reason.NOT_PAUSED, "Changes are carried out.")
    return Judgement(
        "True",
        Reason.BY_ANNOTATION,
        f"Annotation {names.ANNOTATION_PAUSED} is set ({shorten(community.paused)}): nothing is changed or put back. "
        f"Go on: kubectl -n {community.namespace} annotate community {community.name} {names.ANNOTATION_PAUSED}-.",
    )


def asleep(community: Community, progress: Progress) -> Judgement | None:
    """Tell how far the Community is on its way to sleep; None when it is to be awake."""
    if not community.hibernate:
        return None
    if progress.base.pods or progress.burst.pods:
        return Judgement("True", Reason.HIBERNATING, "spec.hibernate is set: the pods of the API are being stopped.")
    return Judgement(
        "False", Reason.HIBERNATED, "spec.hibernate is set: no pod of the API runs and the jobs are suspended."
    )


def database(ready: bool | None) -> Judgement:
    """Tell whether the embedded MySQL accepts connections; `ready` is None for an external one."""
    if ready:
        text = "The embedded MySQL accepts connections. Not for production: one pod, one volume, no backup, no replica."
        return Judgement("True", Reason.EMBEDDED_FOR_DEVELOPMENT, text)
    return store("The embedded MySQL", ready)


def store(what: str, ready: bool | None) -> Judgement:
    """Tell whether a store accepts connections; `ready` is None for an external one."""
    if ready is None:
        return Judgement("Unknown", Reason.EXTERNAL, "An external one is used; the operator does not observe it.")
    if ready:
        return Judgement("True", Reason.AVAILABLE, f"{what} accepts connections.")
    return Judgement("False", Reason.NOT_AVAILABLE, f"{what} does not accept connections yet.")


def like_sync(community: Community, last: bool | None) -> Judgement:
    """Tell how the last run of the CronJob ended; `last` is None before one did."""
    name = names.like_sync(community.name)
    if community.hibernate:
        return Judgement("Unknown", Reason.SUSPENDED, "spec.hibernate is set: likes stay in Redis.")
    if community.like_sync.suspend:
        return Judgement("Unknown", Reason.SUSPENDED, "spec.likeSync.suspend is set: likes gather in Redis.")
    if last is None:
        return Judgement("Unknown", Reason.NOT_RUN_YET, f"CronJob {name} has not finished a run yet.")
    if last:
        return Judgement("True", Reason.LAST_RUN_SUCCEEDED, f"The last run of CronJob {name} succeeded.")
    return Judgement("False", Reason.LAST_RUN_FAILED, f"The last run of CronJob {name} failed: see Degraded.")


def served(community: Community, addressed: bool | None) -> Judgement:
    """Tell whether users reach the pods that are available. `addressed`: whether the Ingress has an address; None without
    an Ingress."""
    text = f"Users are served at {community.url}."
    if addressed is not False:
        return Judgement("True", Reason.SERVING, text)
    name = names.api(community.name)
    if ingress.needs_address(community):
        return Judgement(
            "False",
            Reason.NO_ADDRESS,
            f"The pods serve, but Ingress {name} has no address: there is no load balancer yet. "
            f"Read kubectl -n {community.namespace} describe ingress {name}.",
        )
    unknown = f"Ingress {name} has no address: its controller writes none, or has not taken the Ingress."
    return Judgement("True", Reason.SERVING, f"{text} {unknown}")


def of_host(
    community: Community, found: dict[ConditionType, Judgement], *, taken: bool, sees_all: bool
) -> dict[ConditionType, Judgement]:
    """Return the conditions that read otherwise because of the host: of one that is taken, nobody is served, and not all
    is as specified. `sees_all`: whether Ingresses of all namespaces are known."""
    changed: dict[ConditionType, Judgement] = {}
    ready, progressing, degraded = (
        found[kind] for kind in (ConditionType.READY, ConditionType.PROGRESSING, ConditionType.DEGRADED)
    )
    if taken:
        if ready.status == "True":
            text = "spec.host does not lead here: see Degraded."
            changed[ConditionType.READY] = Judgement("False", Reason.HOST_TAKEN, text)
        if progressing.reason is Reason.UP_TO_DATE:
            text = f"Everything runs {community.image}, but spec.host does not lead here: see Degraded."
            changed[ConditionType.PROGRESSING] = Judgement("False", Reason.HOST_TAKEN, text)
    if community.host is not None and not sees_all:
        text = f"{degraded.message} The host was not compared with namespaces that the operator does not watch."
        changed[ConditionType.DEGRADED] = replace(degraded, message=text)
    return changed


def _until(opening: Opening) -> str:
    if opening.until is None:
        return "without an end, since it opens again before it closes"
    return f"until {_local(opening.until, opening.window)}"


def _local(moment: datetime, window: Window) -> str:
    return moment.astimezone(ZoneInfo(window.time_zone)).isoformat(timespec="minutes")
