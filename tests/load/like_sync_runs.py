"""Plays what the CronJob and Job controllers and a kubelet do for a like-sync run a minute of each Community."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.integration.operator.client import Client
from tests.integration.operator.namespace import Namespace

from bapsang_operator import names
from bapsang_operator.kinds import BY_NAME

_ENDED = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def runs(pairs: list[tuple[Namespace, str]], minutes: int, check: Callable[[], None]) -> Iterator[int]:
    """Yield the number of each minute after giving each Community, given with its namespace, a run in it.

    As in a cluster all Jobs come at the beginning of the minute; pods start and end within it, and the run before is
    deleted (`successfulJobsHistoryLimit: 1`), at the end every one. `check` is called between writes.
    """
    crons = [(space, space.get("CronJob", names.like_sync(name)) or {}) for space, name in pairs]
    last: list[_Run] = []
    begun = time.monotonic()
    for minute in range(minutes):
        now = [_Run(space, cron, minute) for space, cron in crons]
        for step in (_Run.start, _Run.run, _Run.end):
            for run in now:
                step(run)
                check()
        for before in last:
            before.delete()
            check()
        last = now
        while time.monotonic() - begun < (minute + 1) * 60:
            check()
            time.sleep(0.5)
        yield minute
    for run in last:
        run.delete()


class _Run:
    """One run of a CronJob: its Job and the pod of it."""

    def __init__(self, space: Namespace, cron: dict[str, Any], minute: int) -> None:
        self.space, self.cron, self.minute = space, cron, minute
        self.name = f"{cron['metadata']['name']}-{29_000_000 + minute}"

    def start(self) -> None:
        template = self.cron["spec"]["jobTemplate"]
        metadata = {**template["metadata"], "name": self.name, "ownerReferences": [_owner(self.cron, "CronJob")]}
        job = {**template, "metadata": {**metadata, "namespace": self.space.name}}
        self.job = Client._ok(self.space.client.create(BY_NAME["Job"], job))
        self._cron(active=[{"kind": "Job", "name": self.name, "namespace": self.space.name}], lastScheduleTime=_now())
        pod = self.job["spec"]["template"]
        owned = {**pod["metadata"], "name": f"{self.name}-x", "ownerReferences": [_owner(self.job, "Job")]}
        manifest = {"metadata": {**owned, "namespace": self.space.name}, "spec": {**pod["spec"], "nodeName": "a"}}
        Client._ok(self.space.client.create(BY_NAME["Pod"], manifest))

    def run(self) -> None:
        self._pod("Running", {"running": {"startedAt": _now()}}, ready=True)
        self._job(active=1, ready=1, startTime=_now())

    def end(self) -> None:
        self._pod("Succeeded", _ENDED, ready=False)
        self._job(active=0, ready=0)
        ended = [
            {"type": kind, "status": "True", "lastTransitionTime": _now()}
            for kind in ("SuccessCriteriaMet", "Complete")
        ]
        self._job(succeeded=1, conditions=ended, completionTime=_now())
        self._cron(active=[], lastSuccessfulTime=_now())

    def delete(self) -> None:
        self.space.delete("Job", self.name)  # the garbage collector takes the pod

    def _pod(self, phase: str, state: dict[str, Any], *, ready: bool) -> None:
        containers = self.job["spec"]["template"]["spec"]["containers"]
        told = [
            {
                "name": one["name"],
                "image": one["image"],
                "imageID": "",
                "ready": ready,
                "restartCount": 0,
                "state": state,
            }
            for one in containers
        ]
        self.space.patch("Pod", f"{self.name}-x", {"status": {"phase": phase, "containerStatuses": told}}, "/status")

    def _job(self, **status: Any) -> None:
        self.space.patch("Job", self.name, {"status": status}, "/status")

    def _cron(self, **status: Any) -> None:
        self.space.patch("CronJob", self.cron["metadata"]["name"], {"status": status}, "/status")


def _owner(found: dict[str, Any], kind: str) -> dict[str, Any]:
    metadata = found["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}
    return {**owner, "controller": True, "blockOwnerDeletion": True}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
