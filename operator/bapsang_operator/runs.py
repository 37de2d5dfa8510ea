"""How the runs of the CronJobs end, from their Jobs and pods. Pure."""

from __future__ import annotations

from typing import Final

from bapsang_operator import endings, names
from bapsang_operator.child import Manifest
from bapsang_operator.names import Component, Reason
from bapsang_operator.problems import Problem
from bapsang_operator.progress import Live, job_condition
from bapsang_operator.resource import Community

#: Seconds for which what is seen of a scheduled run may wait for the rest of it. like-sync starts up to 19 s into its
#: minute and ends within a second or two: each run is one pass of its Community instead of ten.
RUN_SECONDS: Final = 22.0
_COMPONENTS: Final = frozenset({Component.LIKE_SYNC, Component.IMAGE_COLLECTOR})
_STARTING: Final = frozenset({"ContainerCreating", "PodInitializing"})


def delay(resource: Manifest, known: Manifest | None, community: Manifest | None) -> float | None:
    """Return the seconds that a Community may wait before it is looked at for what was seen of an object; None when it
    need not be looked at.

    0 but for a scheduled run that goes well while nothing ails the Community: of such a run only the beginning counts, and
    not before it should have ended. `known` is the object as seen before, None when it is new.
    """
    if resource["metadata"].get("labels", {}).get(names.LABEL_COMPONENT) not in _COMPONENTS:
        return 0.0
    if community is None or not _is_well(community):
        return 0.0
    match resource["kind"]:
        case "CronJob":
            return None if known is not None and _is_asked(known) == _is_asked(resource) else 0.0
        case "Job":
            status = resource.get("status", {})
            if status.get("failed") or job_condition(resource, "FailureTarget"):
                return 0.0
            return RUN_SECONDS if known is None else None
        case "Pod":
            return 0.0 if _ails(resource) else None
        case _:
            return 0.0


def _is_asked(cron: Manifest) -> Manifest:
    """Return what somebody may have changed of a CronJob, as opposed to its controller."""
    metadata = cron["metadata"]
    asked = {name: metadata.get(name) for name in ("uid", "generation", "labels", "annotations", "ownerReferences")}
    return {**asked, "deleted": metadata.get("deletionTimestamp")}


def _ails(pod: Manifest) -> bool:
    status = pod.get("status", {})
    refused = {("PodScheduled", "False"), ("DisruptionTarget", "True")}
    if any((one["type"], one["status"]) in refused for one in status.get("conditions", ())):
        return True
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        state = container.get("state", {})
        if (state.get("terminated") or {}).get("exitCode") or container.get("restartCount"):
            return True
        if state.get("waiting") and state["waiting"].get("reason") not in _STARTING:
            return True
    return bool(status.get("phase") == "Failed")


def _is_well(community: Manifest) -> bool:
    told = {one["type"]: one["status"] for one in community.get("status", {}).get("conditions", ())}
    return (told.get("Degraded"), told.get("LikeSyncHealthy")) == ("False", "True")


def last_succeeded(live: Live, component: Component) -> bool | None:
    """Tell whether the run of a CronJob that ended last succeeded; None when none has ended."""
    last = _last(live, component)
    return None if last is None else job_condition(last, "Complete") is not None


def failures(community: Community, live: Live) -> list[Problem]:
    """Return a problem for each CronJob whose last run failed, with what is known of how."""
    found = []
    if not community.like_sync.suspend and last_succeeded(live, Component.LIKE_SYNC) is False:
        name, consequence = names.like_sync(community.name), "likes gather in Redis until one succeeds"
        found.append(_problem(community, live, Reason.LIKE_SYNC_FAILED, name, Component.LIKE_SYNC, consequence))
    collects = community.storage is not None and not community.image_collector.suspend
    if collects and last_succeeded(live, Component.IMAGE_COLLECTOR) is False:
        name, consequence = (
            names.image_collector(community.name),
            "unused images gather in the bucket until one succeeds",
        )
        reason = Reason.IMAGE_COLLECTOR_FAILED
        found.append(_problem(community, live, reason, name, Component.IMAGE_COLLECTOR, consequence))
    return found


def _problem(
    community: Community, live: Live, reason: Reason, name: str, component: Component, consequence: str
) -> Problem:
    job = _last(live, component)
    ended = _ended(job, live) if job is not None else ""
    return Problem(
        reason,
        f"CronJob {name}: the last run failed{f' ({ended})' if ended else ''}; {consequence}. Read kubectl "
        f"-n {community.namespace} logs -l {names.LABEL_COMMUNITY}={community.name},{names.LABEL_COMPONENT}={component}.",
    )


def _last(live: Live, component: Component) -> Manifest | None:
    """Return the Job of a CronJob that ended last."""
    ended = []
    for key, job in live.items():
        if key.kind == "Job" and job["metadata"].get("labels", {}).get(names.LABEL_COMPONENT) == component:
            condition = job_condition(job, "Complete") or job_condition(job, "Failed")
            if condition is not None:
                ended.append((condition["lastTransitionTime"], key.name, job))
    return max(ended, key=lambda one: one[:2])[2] if ended else None


def _ended(job: Manifest, live: Live) -> str:
    """Return how the pod of a failed Job ended; one that is gone was evicted, or went with its node."""
    condition = job_condition(job, "Failed") or {}
    if condition.get("reason") == "DeadlineExceeded":
        return f"it took longer than {job['spec'].get('activeDeadlineSeconds')} s"
    name = job["metadata"]["name"]
    pods = [
        found
        for key, found in live.items()
        if key.kind == "Pod" and found["metadata"].get("labels", {}).get("batch.kubernetes.io/job-name") == name
    ]
    for pod in pods:
        status = pod.get("status", {})
        for condition in status.get("conditions", ()):
            if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
                return f"its pod was evicted: {condition.get('reason')}"
        for container in status.get("containerStatuses", ()):
            ended = container.get("state", {}).get("terminated") or {}
            if ended.get("exitCode"):
                return endings.sentence(ended)
    has_run = job.get("status", {}).get("failed", 0) > 0
    return "its pod is gone: evicted, deleted, or lost with its node" if has_run and not pods else ""
