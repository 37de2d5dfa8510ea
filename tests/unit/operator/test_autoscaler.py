"""An autoscaler that does not scale is told, in its controller's words, and no sooner than it lasts."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from bapsang_operator.kinds import SCALED_OBJECT
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.planning.progress import Tier
from bapsang_operator.problem import Problem
from bapsang_operator.problems import autoscaler

from .world import NOW, Cluster, community

UP = Cluster(community())
UP.bring_up()
HPA, MEDIA = (Key("HorizontalPodAutoscaler", "ns", name) for name in ("c-api-burst", "c-media"))
AVAILABLE = Tier(exists=True, available=2)
NO_METRICS = (
    "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource "
    "cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get "
    "pods.metrics.k8s.io)"
)


def _condition(reason: str, message: str = "m", kind: str = "ScalingActive", status: str = "False") -> Manifest:
    at = {"lastTransitionTime": NOW.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {"type": kind, "status": status, "reason": reason, "message": message, **at}


def _told(condition: Manifest, after: float = 180, burst: Tier = AVAILABLE, **spec: Any) -> list[Problem]:
    live = copy.deepcopy(UP.live)
    live[HPA]["status"] = {"conditions": [condition]}
    return autoscaler.failures(community(**spec), burst, None, live, NOW + timedelta(seconds=after))


def test_missing_metrics_are_told_once_they_last() -> None:
    condition = _condition("FailedGetResourceMetric", NO_METRICS)
    assert _told(condition, after=179) == []
    (found,) = _told(condition)
    assert found.reason == "AutoscalerFailed"
    assert (
        "HorizontalPodAutoscaler c-api-burst does not scale the burst tier (FailedGetResourceMetric)" in found.message
    )
    assert "unable to get metrics for resource cpu" in found.message
    assert _told(condition, burst=Tier()) == []  # nothing runs that could be measured


def test_second_autoscaler_is_told_at_once_and_reads_the_same_whatever_the_order() -> None:
    said = "pods by selector bapsang.dev/tier=burst are controlled by multiple HPAs: "
    (found,) = _told(_condition("AmbiguousSelector", said + "[ns/theirs ns/c-api-burst]"), after=0, burst=Tier())
    assert f"{said}ns/c-api-burst, ns/theirs. Delete all but this one." in found.message
    assert _told(_condition("AmbiguousSelector", said + "[ns/c-api-burst ns/theirs]")) == [found]


@pytest.mark.parametrize(
    ("condition", "spec"),
    [
        (_condition("ValidMetricFound", status="True"), {}),
        (_condition("TooManyReplicas", kind="ScalingLimited"), {}),
        (_condition("ScalingDisabled"), {}),
        (_condition("FailedGetScale", kind="AbleToScale"), {"hibernate": True}),
    ],
)
def test_what_is_as_wished_is_no_problem(condition: Manifest, spec: dict[str, Any]) -> None:
    assert _told(condition, **spec) == []


def test_autoscaler_of_the_photo_workers_is_told_like_that_of_burst() -> None:
    cluster = Cluster(community(storage={"bucket": "media"}))
    cluster.bring_up()
    cluster.live[MEDIA]["status"] = {"conditions": [_condition("FailedGetContainerResourceMetric", NO_METRICS)]}
    later = NOW + timedelta(minutes=3)
    (found,) = autoscaler.failures(cluster.community, AVAILABLE, AVAILABLE, cluster.live, later)
    assert found.message.startswith("HorizontalPodAutoscaler c-media does not scale the photo workers (FailedGet")
    assert autoscaler.failures(cluster.community, AVAILABLE, Tier(), cluster.live, later) == []
    assert autoscaler.is_failing(cluster.community, cluster.live)


def test_failing_autoscaler_of_keda_is_told() -> None:
    live = copy.deepcopy(UP.live)
    said = "failed to get the target resource"
    conditions = [{"type": "Ready", "status": "False", "reason": "ScaledObjectCheckFailed", "message": said}]
    conditions += [{"type": "Active", "status": "False"}, {"type": "Fallback", "status": "Unknown"}]
    live[Key(SCALED_OBJECT.name, "ns", "c-api-burst")] = {"status": {"conditions": conditions}}
    (found,) = autoscaler.failures(community(), AVAILABLE, None, live, NOW)
    assert found.message == (
        f"ScaledObject c-api-burst does not scale the burst tier (ScaledObjectCheckFailed): {said}."
    )
    assert autoscaler.is_failing(community(), live)
    assert not autoscaler.is_failing(community(), UP.live)
