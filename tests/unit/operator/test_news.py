"""What of a scheduled run asks for another look at its Community: its beginning, and whatever goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from bapsang_operator import names
from bapsang_operator.informer import news
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component

EVICTED = {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}]}


def _terminated(**ended: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "like-sync", "state": {"terminated": ended}}]}


def _well(**told: str) -> Manifest:
    said = {"Degraded": "False", "LikeSyncHealthy": "True"} | told
    return {"status": {"conditions": [{"type": kind, "status": status} for kind, status in said.items()]}}


def _run(kind: str, **parts: Any) -> Manifest:
    metadata = {"name": "r", "namespace": "ns", "generation": 1, "labels": {names.LABEL_COMPONENT: "like-sync"}}
    return {"kind": kind, "metadata": metadata | parts.pop("metadata", {}), **parts}


def _waiting(reason: str) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "like-sync", "state": {"waiting": {"reason": reason}}}]}


CALM = [
    _run("Job", status={"active": 1, "ready": 1}),
    _run("Job", status={"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}),
    _run("Pod", status={"phase": "Pending", **_waiting("ContainerCreating")}),
    _run("Pod", status={"phase": "Succeeded", **_terminated(exitCode=0)}),
]
TROUBLE = [
    _run("Job", status={"failed": 1}),
    _run("Job", status={"conditions": [{"type": "FailureTarget", "status": "True"}]}),
    _run("Pod", status={"phase": "Pending", **_waiting("ImagePullBackOff")}),
    _run("Pod", status={"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}),
    _run("Pod", status=EVICTED),
    _run("Pod", status=_terminated(exitCode=1)),
    _run("Pod", status={"phase": "Running", **_terminated(exitCode=0)}),  # beside a sidecar that runs on
    _run("Pod", status={"phase": "Failed"}),
]


@pytest.mark.parametrize("seen", CALM)
def test_run_that_goes_well_is_no_news(seen: Manifest) -> None:
    assert news.delay(seen, seen, is_healthy=True) is None


def test_run_that_begins_is_looked_at_when_it_should_have_ended() -> None:
    assert news.delay(_run("Job"), None, is_healthy=True) == news.RUN_SECONDS


@pytest.mark.parametrize("seen", TROUBLE)
def test_trouble_of_a_run_is_looked_at_at_once(seen: Manifest) -> None:
    assert news.delay(seen, None, is_healthy=True) == 0


@pytest.mark.parametrize("told", [_well(Degraded="True"), _well(LikeSyncHealthy="Unknown"), {}])
def test_while_something_ails_a_community_every_run_is_looked_at_at_once(told: Manifest) -> None:
    assert news.delay(CALM[0], CALM[0], is_healthy=news.is_healthy(told)) == 0


def test_other_pods_and_jobs_are_looked_at_at_once() -> None:
    migration = _run("Job", metadata={"labels": {names.LABEL_COMPONENT: Component.MIGRATE}})
    assert news.delay(migration, None, is_healthy=True) == 0
    assert news.delay({"kind": "Pod", "metadata": {}}, None, is_healthy=True) == 0


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        ({"status": {"lastScheduleTime": "2026-11-23T10:00:00Z"}}, None),
        ({"metadata": {"resourceVersion": "2"}}, None),
        ({"metadata": {"generation": 2}}, 0),
        ({"metadata": {"ownerReferences": []}}, 0),
        ({"metadata": {"annotations": {"a": "b"}}}, 0),
        ({"metadata": {"uid": "2"}}, 0),
    ],
)
def test_of_a_cronjob_only_what_its_controller_writes_is_no_news(change: Manifest, seconds: float | None) -> None:
    assert news.delay(_run("CronJob", **change), _run("CronJob"), is_healthy=True) == seconds


def test_a_new_cronjob_is_looked_at_at_once() -> None:
    assert news.delay(_run("CronJob"), None, is_healthy=True) == 0
