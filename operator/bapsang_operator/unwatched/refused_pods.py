"""Why a StatefulSet or a Job has no pod. Their controllers say in Events alone that the apiserver refuses a pod (a quota,
a webhook, a missing class); a Deployment has it in a condition."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from bapsang_operator import names
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component, Reason
from bapsang_operator.planning.progress import job_condition
from bapsang_operator.problem import Problem, shorten
from bapsang_operator.resource import Community

_log = logging.getLogger(__name__)
#: The reason of such an Event.
FAILED_CREATE: Final = "FailedCreate"
#: Seconds until the Events of what has just been made are read again: its pod takes a moment.
READ_AGAIN_SECONDS: Final = 10.0
#: A controller that goes on trying repeats its Event at least every 1,000 s (the longest pause of client-go's queues).
_FRESH: Final = timedelta(seconds=1200)
#: A run of a CronJob is about to get its pod for so long.
_STARTING: Final = timedelta(seconds=30)
_CRON: Final = {Component.LIKE_SYNC: names.like_sync, Component.IMAGE_COLLECTOR: names.image_collector}
#: What stands before the words of whoever refused, with names that differ at each attempt.
_PREFIX: Final = re.compile(
    r"^(?:Error creating: |create Pod \S+ in StatefulSet \S+ failed error: )?"
    r'(?:[Pp]ods? "[^"]*" is (?:forbidden|invalid): )?'
)


async def read(kube: Kube, community: Community, podless: list[Manifest], now: datetime) -> list[Problem]:
    """Return a problem for each of the workloads without a pod whose controller was refused one. Raises KubeError when no
    other request would fare better."""
    found = {}
    for live in podless:
        try:
            events = await kube.events_about(live, FAILED_CREATE)
        except KubeError as error:
            if error.concerns_all:
                raise
            _log.warning("events not read", extra={"community": str(community), "error": str(error)})
            continue
        since = now - _FRESH if job_condition(live, "Failed") is None else None
        if message := latest(events, since):
            found[_workload(community, live)] = words(message)
    return [
        Problem(Reason.PODS_REFUSED, f"{workload}: the apiserver refuses its pods: {text}")
        for workload, text in found.items()
    ]


def without_pods(job: str, live: Mapping[Key, Manifest], now: datetime) -> list[Manifest]:
    """Return the StatefulSets and Jobs that should have a pod, or have ended without ever having had one. `job`: name of
    the migration Job; of each CronJob only the newest run counts."""
    found = [one for key, one in live.items() if key.kind == "StatefulSet" and not _has_pods(one)]
    newest: dict[str, Manifest] = {}
    for key, one in live.items():
        component = one["metadata"].get("labels", {}).get(names.LABEL_COMPONENT)
        if key.kind != "Job":
            continue
        if key.name == job:
            found.append(one)
        elif component in _CRON and (component not in newest or _created(one) > _created(newest[component])):
            newest[component] = one
    found += [one for one in newest.values() if now - _created(one) > _STARTING]
    return [one for one in found if "deletionTimestamp" not in one["metadata"] and not _has_pods(one)]


def latest(events: list[Manifest], since: datetime | None) -> str:
    """Return the message of the latest Event; empty when there is none, or none after `since`."""
    dated = [(_seen(event), str(event.get("message", ""))) for event in events]
    return max((one for one in dated if since is None or one[0] >= since), default=(since, ""))[1]


def words(message: str) -> str:
    """Return what the quota, the policy or the webhook says, without the name of the pod."""
    return shorten(_PREFIX.sub("", message))


def _has_pods(live: Manifest) -> bool:
    status = live.get("status", {})
    if live["kind"] == "StatefulSet":
        return bool(status.get("replicas")) or live["spec"].get("replicas") == 0
    return any(status.get(count) for count in ("active", "succeeded", "failed", "terminating")) or (
        job_condition(live, "Complete") is not None
    )


def _workload(community: Community, live: Manifest) -> str:
    component = live["metadata"].get("labels", {}).get(names.LABEL_COMPONENT)
    if component in _CRON:
        return f"CronJob {_CRON[component](community.name)}"
    return f"{live['kind']} {live['metadata']['name']}"


def _created(live: Manifest) -> datetime:
    return datetime.fromisoformat(live["metadata"]["creationTimestamp"])


def _seen(event: Manifest) -> datetime:
    """Return when an Event was repeated last, in either of the forms that Events have."""
    return max(_times(event))


def _times(event: Manifest) -> Iterator[datetime]:
    series = event.get("series") or {}
    for text in (
        event.get("lastTimestamp"),
        event.get("eventTime"),
        series.get("lastObservedTime"),
        event["metadata"].get("creationTimestamp"),
    ):
        if text:
            yield datetime.fromisoformat(text)
