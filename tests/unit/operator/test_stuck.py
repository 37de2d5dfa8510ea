"""A store whose pod never became ready: the pod goes, so that the corrected one comes; until then nothing is up to date."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bapsang_operator import names
from bapsang_operator.manifest import Key, Manifest, key_of

from .world import Cluster, community, condition_of, status_of

UP = Cluster(community())
UP.bring_up()
BACKING_OFF = {"name": "redis", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}


def _cluster(revision: str = "old", **status: Any) -> Cluster:
    """Return a Community whose Redis is to become `new`, with a pod of some revision."""
    cluster = copy.deepcopy(UP)
    live = cluster.at("StatefulSet", "c-redis")
    live["status"] |= {"currentRevision": "old", "updateRevision": "new", "readyReplicas": 0}
    owner = {"kind": "StatefulSet", "name": "c-redis", "uid": live["metadata"]["uid"], "controller": True}
    labels = {names.LABEL_COMMUNITY: "c", names.LABEL_COMPONENT: "redis", "controller-revision-hash": revision}
    metadata = {"name": "c-redis-0", "namespace": "ns", "uid": "p", "labels": labels, "ownerReferences": [owner]}
    found = {"kind": "Pod", "metadata": metadata, "status": {"phase": "Running", **status}}
    cluster.live[key_of(found)] = found
    return cluster


def _replaced(cluster: Cluster) -> list[Manifest]:
    return [pod["metadata"]["name"] for pod in cluster.plan().replaces]


@pytest.mark.parametrize(
    "status",
    [
        {"containerStatuses": [BACKING_OFF]},
        {"initContainerStatuses": [BACKING_OFF], "phase": "Pending"},
        {"phase": "Pending"},  # no node takes it, or its image is not found
        {"phase": "Failed"},
        {"containerStatuses": [{"name": "redis", "restartCount": 1}]},  # up between two crashes
    ],
)
def test_pod_that_keeps_its_own_successor_from_being_made_is_replaced(status: dict[str, Any]) -> None:
    assert _replaced(_cluster(**status)) == ["c-redis-0"]


def test_pod_that_may_still_become_ready_or_is_of_the_newest_revision_is_left_alone() -> None:
    stuck = {"containerStatuses": [BACKING_OFF]}
    ready = [{"type": "Ready", "status": "True"}]
    assert _replaced(_cluster(containerStatuses=[{"name": "redis", "restartCount": 0}])) == []
    assert _replaced(_cluster("new", **stuck)) == []
    assert _replaced(_cluster(**stuck, conditions=ready)) == []
    for change in (
        lambda found: found.at("Pod", "c-redis-0")["metadata"].update(deletionTimestamp="2026-11-23T10:00:00Z"),
        lambda found: found.at("Pod", "c-redis-0")["metadata"].pop("ownerReferences"),
        lambda found: found.at("Pod", "c-redis-0")["metadata"]["ownerReferences"][0].update(uid="of an earlier one"),
        lambda found: found.at("Pod", "c-redis-0")["metadata"]["labels"].pop("controller-revision-hash"),
        lambda found: found.at("StatefulSet", "c-redis")["status"].update(observedGeneration=0),
        lambda found: found.at("StatefulSet", "c-redis")["status"].pop("updateRevision"),
        lambda found: found.at("StatefulSet", "c-redis")["metadata"]["ownerReferences"][0].update(
            uid="u", name="other"
        ),
    ):
        cluster = _cluster(**stuck)
        change(cluster)
        assert _replaced(cluster) == []


def test_nothing_is_up_to_date_before_a_store_has_been_ready_as_specified() -> None:
    up = status_of(UP)
    for name, reason in (("c-redis", "WaitingForRedis"), ("c-mysql", "WaitingForDatabase")):
        cluster = copy.deepcopy(UP)
        cluster.at("StatefulSet", name)["status"] |= {"currentRevision": "old", "updateRevision": "new"}
        found = condition_of(status_of(cluster, up), "Progressing")
        assert (found["status"], found["reason"]) == ("True", reason)
        assert found["message"] == f"StatefulSet {name}: its pod does not yet run what the spec says."
        cluster.at("StatefulSet", name)["status"]["currentRevision"] = "new"
        assert condition_of(status_of(cluster, up), "Progressing")["reason"] == "UpToDate"
        # A store that stumbles later on is no rollout.
        cluster.live[Key("StatefulSet", "ns", name)]["status"]["readyReplicas"] = 0
        assert condition_of(status_of(cluster, up), "Progressing")["reason"] == "UpToDate"
