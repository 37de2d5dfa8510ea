"""Runs of jobs that have ended but for containers that a webhook has put beside them. Pure.

The kubelet ends native sidecars. A plain one runs on, and with it the pod and the Job: a migration would fail by its
deadline, and no further run of a CronJob would start.
"""

from __future__ import annotations

from dataclasses import dataclass

from bapsang_operator import names
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.planning.progress import Live

_JOBS = frozenset({Component.MIGRATE, Component.LIKE_SYNC, Component.IMAGE_COLLECTOR})


@dataclass(frozen=True)
class Finished:
    """A Job, and its pod in which all containers that the Job names have succeeded and another one runs on."""

    job: Manifest
    pod: Manifest


def finished(live: Live) -> list[Finished]:
    """Return the runs that only wait for containers which the Job does not name."""
    jobs = {found["metadata"]["uid"]: found for key, found in live.items() if key.kind == "Job" and _is_ours(found)}
    return [
        Finished(jobs[ref["uid"]], found)
        for key, found in live.items()
        if key.kind == "Pod"
        for ref in found["metadata"].get("ownerReferences", ())
        if ref["uid"] in jobs and _is_finished(jobs[ref["uid"]], found)
    ]


def _is_ours(job: Manifest) -> bool:
    return job["metadata"].get("labels", {}).get(names.LABEL_COMPONENT) in _JOBS


def _is_finished(job: Manifest, pod: Manifest) -> bool:
    if "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase") != "Running":
        return False
    ended = {one["name"]: one.get("state", {}).get("terminated") for one in pod["status"].get("containerStatuses", ())}
    named = {container["name"] for container in job["spec"]["template"]["spec"]["containers"]}
    # A failed run is left to its deadline: until then its log can be read.
    has_succeeded = all((ended.get(name) or {}).get("exitCode") == 0 for name in named)
    return has_succeeded and any(state is None for name, state in ended.items() if name not in named)
