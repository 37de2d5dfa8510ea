"""How the runs of the CronJobs end, from their Jobs and pods. Pure."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component, Reason
from bapsang_operator.planning.progress import Live, has_succeeded, job_condition
from bapsang_operator.problem import Problem
from bapsang_operator.problems import endings
from bapsang_operator.resource import Community


def last_succeeded(live: Live, component: Component) -> bool | None:
    """Tell whether the run of a CronJob that ended last succeeded; None when none has ended."""
    last = _last(live, component)
    return None if last is None else has_succeeded(last)


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
