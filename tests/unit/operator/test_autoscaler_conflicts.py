"""Autoscalers of somebody else on the base tier: looked for when there is a reason, and as long as they are there."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bapsang_operator.cluster.client import KubeError
from bapsang_operator.planning.plan import Plan
from bapsang_operator.unwatched.autoscaler_conflicts import AutoscalerConflicts

from .fake_kube import FakeKube
from .world import Cluster, community

UP = Cluster(community())
UP.bring_up()


def _edited(replicas: int) -> Plan:
    cluster = copy.deepcopy(UP)
    cluster.at("Deployment", "c-api-base")["spec"]["replicas"] = replicas
    return cluster.plan()


def _autoscaler(name: str, target: str, kind: str = "Deployment", namespace: str = "ns") -> dict[str, Any]:
    spec = {"scaleTargetRef": {"kind": kind, "name": target}}
    return {"kind": "HorizontalPodAutoscaler", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


async def test_autoscaler_on_the_base_tier_is_named_and_looked_for_until_it_is_gone() -> None:
    mine = _autoscaler("mine", "c-api-base")
    kube = FakeKube(
        mine,
        _autoscaler("c-api-burst", "c-api-burst"),
        _autoscaler("of-a-set", "c-api-base", kind="StatefulSet"),
        _autoscaler("elsewhere", "c-api-base", namespace="other"),
    )
    rivals = AutoscalerConflicts(kube)
    assert await rivals.read(UP.community, UP.plan()) == []
    assert kube.asked == []  # nobody has touched the count
    (found,) = await rivals.read(UP.community, _edited(5))
    assert (found.reason, found.message.partition(" scales ")[0]) == (
        "AutoscalerConflict",
        'HorizontalPodAutoscaler "mine"',
    )
    assert await rivals.read(UP.community, UP.plan()) == [found]
    await kube.delete(mine)
    assert await rivals.read(UP.community, UP.plan()) == []
    asked = len(kube.asked)
    assert await rivals.read(UP.community, UP.plan()) == []
    assert len(kube.asked) == asked


async def test_autoscalers_that_cannot_be_listed_hide_nothing_unless_nothing_answers() -> None:
    kube = FakeKube()
    rivals = AutoscalerConflicts(kube)
    kube.fails = lambda _verb, _key: KubeError(403, "Forbidden", "no")
    assert await rivals.read(UP.community, _edited(5)) == []
    kube.fails = lambda _verb, _key: KubeError(0, "NoAnswer", "refused")
    with pytest.raises(KubeError):
        await rivals.read(UP.community, _edited(5))
