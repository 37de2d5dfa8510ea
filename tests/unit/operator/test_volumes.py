"""Claims are compared with the live ones: what cannot be is told, and never sent."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Reason
from bapsang_operator.planning import drift
from bapsang_operator.planning.volumes import fitted
from bapsang_operator.problem import Problem

from .world import Cluster, children, community, condition_of, status_of

CLAIM = Key("PersistentVolumeClaim", "ns", "c-redis")


def _fit(
    wanted: dict[str, Any], was: dict[str, Any], *, is_class: str | None = None, capacity: str | None = "5Gi"
) -> tuple[Manifest, list[Problem]]:
    """Return the claim that is sent, and what is told, when the spec goes from `was` to `wanted`."""
    cluster = Cluster(community(redis={"persistence": was}))
    cluster.step()
    live = cluster.live[CLAIM]
    live["status"] = {"phase": "Pending"} if capacity is None else {"phase": "Bound", "capacity": {"storage": capacity}}
    if is_class is not None:
        live["spec"]["storageClassName"] = is_class
    after = community(redis={"persistence": wanted})
    fit, found = fitted(after, children(after), cluster.live)
    (claim,) = [child.manifest for child in fit if child.key == CLAIM]
    assert [child.key for child in fit] == [child.key for child in children(after)]
    return claim["spec"], found


def _size(spec: Manifest) -> str:
    return str(spec["resources"]["requests"]["storage"])


@pytest.mark.parametrize(
    ("wanted", "was", "capacity", "sent", "is_told"),
    [
        ("6Gi", "5Gi", "5Gi", "6Gi", False),
        ("5Gi", "5Gi", "10Gi", "5Gi", False),
        ("5120Mi", "5Gi", "5Gi", "5120Mi", False),
        ("4Gi", "5Gi", "5Gi", "5Gi", True),
        ("4Gi", "5Gi", None, "5Gi", True),
        ("6Gi", "8Gi", "5Gi", "6Gi", False),  # 8Gi has not come about
        ("5Gi", "8Gi", "5Gi", "8Gi", False),  # neither, and the volume is as specified
        ("4Gi", "8Gi", "5Gi", "8Gi", True),
    ],
)
def test_size_is_compared_with_the_volume(
    wanted: str, was: str, capacity: str | None, sent: str, is_told: bool
) -> None:
    spec, found = _fit({"size": wanted}, {"size": was}, capacity=capacity)
    assert _size(spec) == sent
    assert bool(found) is is_told
    if found:
        assert (
            f"PersistentVolumeClaim c-redis asks for {was}, and spec.redis.persistence.size is less" in found[0].message
        )


def test_class_of_a_volume_is_kept_and_told_with_what_can_be_done() -> None:
    fast, slow = {"storageClassName": "fast"}, {"storageClassName": "slow"}
    spec, (told,) = _fit(fast, slow)
    assert spec["storageClassName"] == "slow"
    assert told.reason == Reason.VOLUME_NOT_AS_SPECIFIED
    assert told.message == (
        "PersistentVolumeClaim c-redis has StorageClass slow, and spec.redis.persistence.storageClassName says otherwise. "
        "The volume stays as it is, with its data: set the spec back."
    )
    _, (told,) = _fit(fast, slow, capacity=None)
    assert "It has no volume yet, so nothing is lost: kubectl -n ns delete pvc c-redis" in told.message


def test_class_that_the_spec_names_no_more_stays_the_claims() -> None:
    spec, found = _fit({"size": "6Gi"}, {"size": "5Gi", "storageClassName": "slow"})
    assert (spec["storageClassName"], _size(spec), found) == ("slow", "6Gi", [])


def test_claim_of_the_default_class_is_not_written_for_it() -> None:
    spec, found = _fit({}, {}, is_class="default")
    assert ("storageClassName" in spec, found) == (False, [])
    cluster = Cluster(community())
    cluster.bring_up()
    cluster.live[CLAIM]["spec"]["storageClassName"] = "default"
    cluster.community = community(redis={"persistence": {"size": "6Gi"}})
    for _ in range(2):  # written once, with the class that it has
        fit, _ = fitted(cluster.community, children(cluster.community), cluster.live)
        (claim,) = [child for child in fit if child.key == CLAIM]
        assert claim.manifest["spec"]["storageClassName"] == "default"
        cluster.put(claim.manifest)
        assert drift.applied_digest(cluster.live[CLAIM]) == claim.digest


def test_going_claim_is_left_to_go() -> None:
    cluster = Cluster(community())
    cluster.bring_up()
    cluster.live[CLAIM]["metadata"]["deletionTimestamp"] = "2026-11-23T10:00:00Z"
    after = community(redis={"persistence": {"storageClassName": "fast", "size": "1Mi"}})
    assert fitted(after, children(after), cluster.live)[1] == []


def test_volume_that_is_not_as_specified_holds_up_no_rollout_and_is_not_up_to_date() -> None:
    cluster = Cluster(community())
    cluster.bring_up()
    problem = [Problem(Reason.VOLUME_NOT_AS_SPECIFIED, "It is smaller.")]
    told = status_of(cluster, status_of(cluster), problem)
    found = condition_of(told, "Progressing")
    assert (found["status"], found["reason"]) == ("False", "VolumeNotAsSpecified")
    # Pods that come and go meanwhile are no rollout, a new image is one.
    pods = copy.deepcopy(cluster)
    pods.at("Deployment", "c-api-burst")["status"]["availableReplicas"] = 0
    assert condition_of(status_of(pods, told, problem), "Progressing")["reason"] == "VolumeNotAsSpecified"
    cluster.community = community(image="bapsang/api:0.2.0")
    assert condition_of(status_of(cluster, told, problem), "Progressing")["reason"] == "Migrating"
