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
