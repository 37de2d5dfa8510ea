"""How the last run of a CronJob ended, told as what it was."""

from __future__ import annotations

from typing import Any

import pytest

from bapsang_operator import names
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.names import Component
from bapsang_operator.problems import runs

from .world import community, pod


def _live(*pods: Manifest, **status: Any) -> dict[Key, Manifest]:
    """Return a like-sync whose last run failed."""
    live = {}
    for name, kind, at in (("a", "Complete", "2026-11-23T10:00:00Z"), ("b", "Failed", "2026-11-23T10:01:00Z")):
        metadata = {"name": name, "namespace": "ns", "labels": {names.LABEL_COMPONENT: Component.LIKE_SYNC}}
        condition = {"type": kind, "status": "True", "lastTransitionTime": at, "reason": "BackoffLimitExceeded"}
        job = {"kind": "Job", "metadata": metadata, "spec": {"activeDeadlineSeconds": 300}}
        job["status"] = {"failed": 1, "conditions": [condition | status]}
        live[key_of(job)] = job
    return live | {key_of(one): one for one in pods}


def _pod(job: str = "b", **status: Any) -> Manifest:
    return pod(Component.LIKE_SYNC, name=f"{job}-x", job=job, **status)


def _terminated(**ended: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "like-sync", "state": {"terminated": ended}}]}


EVICTED = {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}]}


@pytest.mark.parametrize(
    ("live", "how"),
    [
        (_live(_pod(**_terminated(exitCode=137, reason="OOMKilled"))), " (exit code 137, OOMKilled)"),
        (
            _live(_pod(**_terminated(exitCode=3, message="REDIS_UNREACHABLE"))),
            " (exit code 3: Redis cannot be reached (REDIS_UNREACHABLE))",
        ),
        (_live(_pod(**EVICTED, **_terminated(exitCode=143))), " (its pod was evicted: TerminationByKubelet)"),
        (_live(), " (its pod is gone: evicted, deleted, or lost with its node)"),
        (_live(_pod("a", **_terminated(exitCode=1))), " (its pod is gone: evicted, deleted, or lost with its node)"),
        (_live(reason="DeadlineExceeded"), " (it took longer than 300 s)"),
        (_live(_pod()), ""),
    ],
)
def test_failed_run_is_told_as_what_it_was(live: dict[Key, Manifest], how: str) -> None:
    (found,) = runs.failures(community(), live)
    assert found.reason == "LikeSyncFailed"
    assert found.message.startswith(f"CronJob c-like-sync: the last run failed{how}; likes gather in Redis")


def test_last_run_counts_and_no_suspended_one() -> None:
    live = _live()
    assert runs.last_succeeded(live, Component.LIKE_SYNC) is False
    assert runs.last_succeeded(live, Component.IMAGE_COLLECTOR) is None
    assert runs.failures(community(likeSync={"suspend": True}), live) == []
    del live[Key("Job", "ns", "b")]
    assert runs.last_succeeded(live, Component.LIKE_SYNC) is True
    assert runs.failures(community(), live) == []


def test_failed_collection_is_told_while_there_is_a_bucket() -> None:
    live = _live()
    for job in live.values():
        job["metadata"]["labels"][names.LABEL_COMPONENT] = Component.IMAGE_COLLECTOR
    assert runs.failures(community(), live) == []
    (found,) = runs.failures(community(storage={"bucket": "media"}), live)
    assert found.reason == "ImageCollectorFailed"
    assert "unused images gather in the bucket" in found.message


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
    _run("Pod", status={"phase": "Failed"}),
]


@pytest.mark.parametrize("seen", CALM)
def test_run_that_goes_well_is_no_news(seen: Manifest) -> None:
    assert runs.delay(seen, seen, _well()) is None


def test_run_that_begins_is_looked_at_when_it_should_have_ended() -> None:
    assert runs.delay(_run("Job"), None, _well()) == runs.RUN_SECONDS


@pytest.mark.parametrize("seen", TROUBLE)
def test_trouble_of_a_run_is_looked_at_at_once(seen: Manifest) -> None:
    assert runs.delay(seen, None, _well()) == 0


@pytest.mark.parametrize("told", [_well(Degraded="True"), _well(LikeSyncHealthy="Unknown"), {}, None])
def test_while_something_ails_a_community_every_run_is_looked_at_at_once(told: Manifest | None) -> None:
    assert runs.delay(CALM[0], CALM[0], told) == 0


def test_other_pods_and_jobs_are_looked_at_at_once() -> None:
    migration = _run("Job", metadata={"labels": {names.LABEL_COMPONENT: Component.MIGRATE}})
    assert runs.delay(migration, None, _well()) == 0
    assert runs.delay({"kind": "Pod", "metadata": {}}, None, _well()) == 0


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
    assert runs.delay(_run("CronJob", **change), _run("CronJob"), _well()) == seconds


def test_a_new_cronjob_is_looked_at_at_once() -> None:
    assert runs.delay(_run("CronJob"), None, _well()) == 0
