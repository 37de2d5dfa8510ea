"""Which autoscaler the burst tier has: one by CPU, or KEDA's."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bapsang_operator import config
from bapsang_operator.build import autoscale
from bapsang_operator.child import Manifest
from bapsang_operator.kinds import Key, key_of
from bapsang_operator.plan import Plan

from .field_rows import KEDA
from .world import Cluster, children, community

HPA, SCALED = Key("HorizontalPodAutoscaler", "ns", "c-api-burst"), Key("ScaledObject", "ns", "c-api-burst")


def scaled(**changes: Any) -> Manifest:
    return autoscale.autoscaler(community(**KEDA, **changes), has_keda=True).manifest


def changed(made: Plan) -> tuple[list[Key], list[Key]]:
    """Return what a plan applies and deletes."""
    return [key_of(apply.manifest) for apply in made.applies], [key_of(gone) for gone in made.deletes]


def test_without_keda_the_one_by_cpu_stays() -> None:
    assert autoscale.autoscaler(community(**KEDA), has_keda=False).key == HPA
    assert autoscale.autoscaler(community(), has_keda=True).key == HPA


def test_scaled_object_counts_requests_of_burst_pods_and_behaves_like_the_one_by_cpu() -> None:
    spec = scaled()["spec"]
    cpu, requests = spec["triggers"]
    assert cpu == {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}
    assert requests["metadata"] == {
        "serverAddress": "http://p:9090",
        "query": 'sum(rate(bapsang_http_requests_total{namespace="ns",pod=~"c-api-burst-.+"}[1m]))',
        "threshold": "50",
    }
    by_cpu = autoscale.autoscaler(community(), has_keda=False).manifest["spec"]
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == by_cpu["behavior"]
    assert spec["scaleTargetRef"] == by_cpu["scaleTargetRef"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (by_cpu["minReplicas"], by_cpu["maxReplicas"])


def test_keda_leaves_a_community_that_sleeps_alone() -> None:
    assert scaled(hibernate=True)["metadata"]["annotations"] == {autoscale.PAUSED: "0"}
    assert "annotations" not in scaled()["metadata"]


def test_one_autoscaler_takes_the_place_of_the_other_and_back() -> None:
    cluster = Cluster(community())
    cluster.bring_up()
    with_keda = children(community(**KEDA))
    assert changed(cluster.step(with_keda)) == ([SCALED], [HPA])
    assert changed(cluster.plan(with_keda)) == ([], [])
    assert changed(cluster.step()) == ([HPA], [SCALED])


def test_the_old_autoscaler_stays_while_the_new_one_must_wait() -> None:
    cluster = Cluster(community())
    cluster.bring_up()
    with_keda = children(community(**KEDA, image="bapsang/api:0.2.0"))
    during = copy.deepcopy(cluster).step(with_keda)
    assert SCALED in [child.key for child in during.held]
    assert HPA not in changed(during)[1]


@pytest.mark.parametrize(("text", "keda"), [("true", True), ("false", False)])
def test_the_chart_says_whether_there_are_rights(text: str, keda: bool) -> None:
    assert config.load({"BAPSANG_KEDA": text}).keda is keda
    with pytest.raises(config.ConfigError, match="BAPSANG_KEDA is '1'"):
        config.load({"BAPSANG_KEDA": "1"})
