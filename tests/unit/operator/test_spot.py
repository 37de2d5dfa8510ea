"""Pods on spot nodes that must not be there, pods that need longer than the notice, and how seldom nodes are read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bapsang_operator import names
from bapsang_operator.cluster.errors import KubeError
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component
from bapsang_operator.problems import spot
from bapsang_operator.unwatched.nodes import Nodes

from .fake_kube import FakeKube
from .test_passes import Pass
from .world import NOW, children, community, pod, pod_templates

KARPENTER = {"karpenter.sh/capacity-type": "spot"}
LABELS = {"spot": KARPENTER, "on-demand": {"karpenter.sh/capacity-type": "on-demand"}}


def _pod(component: Component, node: str = "spot", name: str = "p", **more: Any) -> Manifest:
    made = pod(component, name=name, phase="Running", **more)
    return made | {"spec": {"nodeName": node}}


def _told(*pods: Manifest, **changes: Any) -> list[str]:
    found = spot.of_nodes(community(**changes), spot.must_stay(pods), LABELS)
    assert {one.reason for one in found} <= {names.Reason.ON_SPOT_NODE}
    return [one.message for one in found]


def test_base_and_stores_on_spot_nodes_are_told_once_each_with_the_label() -> None:
    pods = [
        *(_pod(Component.API, name=name, tier="base") for name in ("one", "two")),
        *(_pod(component) for component in (Component.REDIS, Component.MYSQL)),
    ]
    found = _told(*pods)
    assert [message.partition(": ")[0] for message in found] == [
        *("Deployment c-api-base", "StatefulSet c-mysql", "StatefulSet c-redis")
    ]
    assert all("a spot node (karpenter.sh/capacity-type=spot)" in message for message in found)
    # A lasting problem writes no status: no pod, no node, no count.
    assert found == _told(*pods[1:])


def test_what_may_run_on_spot_or_is_gone_is_not_told() -> None:
    assert _told(_pod(Component.API, tier="burst"), _pod(Component.HEADROOM), _pod(Component.LIKE_SYNC)) == []
    assert _told(_pod(Component.REDIS, "on-demand"), _pod(Component.MYSQL, "of which nothing is known")) == []
    going = _pod(Component.REDIS)
    going["metadata"]["deletionTimestamp"] = "2026-11-23T10:00:00Z"
    evicted = _pod(Component.API, tier="base")
    evicted["status"]["phase"] = "Failed"
    without_node = pod(Component.MYSQL, phase="Pending")
    assert _told(going, evicted, without_node) == []


def test_own_labels_of_spot_nodes_count_too() -> None:
    own = {"api": {"spot": {"nodeSelector": {"pool": "cheap"}}}}
    pods = spot.must_stay([_pod(Component.REDIS, "mine")])
    labels = {"mine": {"pool": "cheap", "team": "food"}}
    assert spot.of_nodes(community(), pods, labels) == []
    (found,) = spot.of_nodes(community(**own), pods, labels)
    assert "(pool=cheap)" in found.message


@pytest.mark.parametrize(("drain", "told"), [(1, False), (35, False), (93, False), (94, True), (600, True)])
def test_drain_that_does_not_fit_the_notice_of_a_spot_node_is_told(drain: int, told: bool) -> None:
    found = spot.of_notice(community(api={"drainSeconds": drain}))
    assert [one.reason for one in found] == ([names.Reason.DRAIN_TOO_LONG] if told else [])
    grace = pod_templates(children(community(api={"drainSeconds": drain})))["Deployment c-api-burst"]["spec"]
    assert told is (grace["terminationGracePeriodSeconds"] > 120 - 10)
    assert all(f"is {drain}: a burst pod may need {drain + 17} s to leave" in one.message for one in found)
    assert spot.of_notice(community(api={"drainSeconds": drain, "spot": {"enabled": False}})) == []


def _node(name: str, **labels: str) -> Manifest:
    return {"kind": "Node", "metadata": {"name": name, "namespace": "", "labels": labels}}


async def test_node_is_read_once_for_all_pods_that_are_older_than_the_reading() -> None:
    kube = FakeKube(_node("n", **KARPENTER))
    now = NOW + timedelta(minutes=5)
    nodes = Nodes(kube, lambda: now)
    pods = [_pod(Component.REDIS, "n"), _pod(Component.MYSQL, "n")]
    for _ in range(3):
        assert await nodes.labels(pods) == {"n": KARPENTER}
    assert kube.asked == [("get", Key("Node", "", "n"))]
    # Another node may have the name by now: a pod that is newer than what is known is asked about.
    kube.objects_by_key[Key("Node", "", "n")] = _node("n")
    young = _pod(Component.REDIS, "n")
    young["metadata"]["creationTimestamp"] = "2026-11-23T10:06:00Z"
    now = NOW + timedelta(minutes=10)
    assert await nodes.labels([young]) == {"n": {}}
    assert len(kube.asked) == 2


@pytest.mark.parametrize("status", [403, 500, 504])
async def test_node_that_cannot_be_read_is_not_judged_and_asked_for_again(status: int) -> None:
    kube = FakeKube(_node("n", **KARPENTER))
    nodes = Nodes(kube, lambda: NOW + timedelta(minutes=5))
    kube.fails = lambda _verb, _key: KubeError(status, "Failed", "no")
    assert await nodes.labels([_pod(Component.REDIS, "n")]) == {}
    kube.fails = lambda _verb, _key: None
    assert await nodes.labels([_pod(Component.REDIS, "n")]) == {"n": KARPENTER}


async def test_pass_ends_when_no_request_would_fare_better() -> None:
    kube = FakeKube()
    kube.fails = lambda _verb, _key: KubeError(0, "NoAnswer", "refused")
    with pytest.raises(KubeError):
        await Nodes(kube, lambda: NOW).labels([_pod(Component.REDIS, "n")])


async def test_memory_of_nodes_is_bounded() -> None:
    nodes = Nodes(FakeKube(), lambda: NOW + timedelta(minutes=5))
    for number in range(2500):
        await nodes.labels([_pod(Component.REDIS, f"n-{number}")])
    assert len(nodes._known) <= 1000


@pytest.mark.parametrize("everywhere", [True, False])
async def test_status_says_so_where_the_operator_may_read_nodes(everywhere: bool) -> None:
    found = Pass(sees_all=everywhere)
    await found.settle()
    found.kube.put(_node("spot", **KARPENTER))
    redis = _pod(Component.REDIS)
    redis["metadata"] |= {"uid": "u", "resourceVersion": "900"}
    redis["metadata"]["labels"][names.LABEL_MANAGED_BY] = names.MANAGER
    found.store.put(redis)
    assert await found.run()
    degraded = found.condition("Degraded")
    assert degraded["reason"] == ("OnSpotNode" if everywhere else "AsExpected"), degraded
    asked = [key for _, key in found.kube.asked if key.kind == "Node"]
    assert asked == ([Key("Node", "", "spot")] if everywhere else [])
