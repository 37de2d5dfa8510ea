"""What of all that the watches tell asks for another look at a Community, and how soon. Pure."""

from __future__ import annotations

from typing import Final

from bapsang_operator import names
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component

#: Seconds for which what is seen of a scheduled run may wait for the rest of it. like-sync starts up to 19 s into its
#: minute and ends within a second or two: each run is one pass of its Community instead of ten.
RUN_SECONDS: Final = 22.0
_COMPONENTS: Final = frozenset({Component.LIKE_SYNC, Component.IMAGE_COLLECTOR})
_STARTING: Final = frozenset({"ContainerCreating", "PodInitializing"})


def is_of_run(resource: Manifest) -> bool:
    """Tell whether an object is a CronJob, a run of it, or the pod of one."""
    return resource["metadata"].get("labels", {}).get(names.LABEL_COMPONENT) in _COMPONENTS


def delay(resource: Manifest, known: Manifest | None, *, is_well: bool) -> float | None:
    """Return the seconds that a Community may wait before it is reconciled for what was seen of an object; None when it
    need not be.

    0 but for a scheduled run that goes well while nothing ails the Community: of such a run only the beginning counts, and
    not before it should have ended. `known` is the object as seen before, None when it is new.
    """
    if not (is_well and is_of_run(resource)):
        return 0.0
    match resource["kind"]:
        case "CronJob":
            return None if known is not None and _is_asked(known) == _is_asked(resource) else 0.0
        case "Job":
            if _has_failed(resource):
                return 0.0
            return RUN_SECONDS if known is None else None
        case "Pod":
            return 0.0 if _ails(resource) else None
        case _:
            return 0.0


def is_well(community: Manifest) -> bool:
    """Tell whether nothing ails a Community, its last like-sync included, as its status says."""
    told = {one["type"]: one["status"] for one in community.get("status", {}).get("conditions", ())}
    return (told.get("Degraded"), told.get("LikeSyncHealthy")) == ("False", "True")


def _is_asked(cron: Manifest) -> Manifest:
    """Return what somebody may have changed of a CronJob, as opposed to its controller."""
    metadata = cron["metadata"]
    asked = {
        name: metadata.get(name) for name in ("uid", "generation", "labels", "ownerReferences", "deletionTimestamp")
    }
    # The store keeps the record of what was applied elsewhere (`Store.remember`).
    kept = {name: text for name, text in metadata.get("annotations", {}).items() if name != names.ANNOTATION_RECORD}
    return {**asked, "annotations": kept}


def _has_failed(job: Manifest) -> bool:
    status = job.get("status", {})
    ends = [one for one in status.get("conditions", ()) if one["type"] in ("FailureTarget", "Failed")]
    return bool(status.get("failed")) or any(one["status"] == "True" for one in ends)


def _ails(pod: Manifest) -> bool:
    status = pod.get("status", {})
    refused = {("PodScheduled", "False"), ("DisruptionTarget", "True")}
    if any((one["type"], one["status"]) in refused for one in status.get("conditions", ())):
        return True
    own = status.get("containerStatuses", ())
    for container in (*status.get("initContainerStatuses", ()), *own):
        state = container.get("state", {})
        if (state.get("terminated") or {}).get("exitCode") or container.get("restartCount"):
            return True
        if state.get("waiting") and state["waiting"].get("reason") not in _STARTING:
            return True
    if status.get("phase") == "Running" and any(one.get("state", {}).get("terminated") for one in own):
        return True  # a container that a webhook has put beside it runs on
    return bool(status.get("phase") == "Failed")
