"""Which events of the watches ask for another reconcile of a Community, and how soon. Pure."""

from __future__ import annotations

from typing import Final

from bapsang_operator import names
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component, ConditionType
from bapsang_operator.planning.progress import job_condition
from bapsang_operator.problems.workloads import container_statuses

#: Seconds for which what is seen of a scheduled run may wait for the rest of it. like-sync starts up to 19 s into its
#: minute and ends within a second or two: each run is one pass of its Community instead of ten.
RUN_SECONDS: Final = 22.0
_COMPONENTS: Final = frozenset({Component.LIKE_SYNC, Component.IMAGE_COLLECTOR})
_STARTING: Final = frozenset({"ContainerCreating", "PodInitializing"})


def is_of_run(resource: Manifest) -> bool:
    """Tell whether an object is a CronJob, a run of it, or the pod of one."""
    return resource["metadata"].get("labels", {}).get(names.LABEL_COMPONENT) in _COMPONENTS


def delay(resource: Manifest, known: Manifest | None, *, is_healthy: bool) -> float | None:
    """Return the seconds that a Community may wait before it is reconciled for what was seen of an object; None when it
    need not be.

    0 but for a scheduled run that goes well while the Community is healthy: of such a run only the beginning counts, and
    not before it should have ended. `known` is the object as seen before, None when it is new.
    """
    if not (is_healthy and is_of_run(resource)):
        return 0.0
    match resource["kind"]:
        case "CronJob":
            return None if known is not None and _without_status(known) == _without_status(resource) else 0.0
        case "Job":
            if _has_failed(resource):
                return 0.0
            return RUN_SECONDS if known is None else None
        case "Pod":
            return 0.0 if _is_unhealthy(resource) else None
        case _:
            return 0.0


def is_healthy(community: Manifest) -> bool:
    """Tell whether a Community is healthy, its last like-sync included, by the conditions in its status."""
    statuses = {one["type"]: one["status"] for one in community.get("status", {}).get("conditions", ())}
    return (statuses.get(ConditionType.DEGRADED), statuses.get(ConditionType.LIKE_SYNC_HEALTHY)) == ("False", "True")


def _without_status(cron: Manifest) -> Manifest:
    """Return what changes when somebody edits a CronJob, and not when its controller writes the status."""
    metadata = cron["metadata"]
    identity = {
        name: metadata.get(name) for name in ("uid", "generation", "labels", "ownerReferences", "deletionTimestamp")
    }
    # The store keeps the record of what was applied elsewhere (`Store.remember`).
    kept = {name: text for name, text in metadata.get("annotations", {}).items() if name != names.ANNOTATION_RECORD}
    return {**identity, "annotations": kept}


def _has_failed(job: Manifest) -> bool:
    failed = job_condition(job, "FailureTarget") or job_condition(job, "Failed")
    return failed is not None or bool(job.get("status", {}).get("failed"))


def _is_unhealthy(pod: Manifest) -> bool:
    status = pod.get("status", {})
    refused = {("PodScheduled", "False"), ("DisruptionTarget", "True")}
    if any((one["type"], one["status"]) in refused for one in status.get("conditions", ())):
        return True
    for container in container_statuses(pod):
        state = container.get("state", {})
        if (state.get("terminated") or {}).get("exitCode") or container.get("restartCount"):
            return True
        if state.get("waiting") and state["waiting"].get("reason") not in _STARTING:
            return True
    own = status.get("containerStatuses", ())
    if status.get("phase") == "Running" and any(one.get("state", {}).get("terminated") for one in own):
        return True  # a container that a webhook has added runs on
    return bool(status.get("phase") == "Failed")
