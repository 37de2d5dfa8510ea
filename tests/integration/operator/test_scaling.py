"""What stands in the way of the autoscaler is told: its controller's words, and autoscalers of somebody else."""

from __future__ import annotations

import time

import pytest
from tests.waiting import eventually

from bapsang_operator.kinds import BY_NAME

from .client import Object
from .namespace import Namespace

pytestmark = pytest.mark.usefixtures("operator")
HPA = "HorizontalPodAutoscaler"
NO_METRICS = (
    "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource "
    "cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get "
    "pods.metrics.k8s.io)"
)


def _tell(namespace: Namespace, status: str, reason: str, message: str, ago: int = 0) -> None:
    """Write the status that the controller of autoscalers would."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))
    able = {
        "type": "AbleToScale",
        "status": "True",
        "reason": "SucceededGetScale",
        "message": "the HPA controller was able",
    }
    active = {"type": "ScalingActive", "status": status, "reason": reason, "message": message}
    conditions = [{"lastTransitionTime": since, **one} for one in (able, active)]
    found = {"currentMetrics": None, "desiredReplicas": 1, "conditions": conditions}
    namespace.patch(HPA, "c-api-burst", {"status": found}, "/status")


def _autoscaler(namespace: Namespace, name: str, target: str) -> None:
    metadata: Object = {"name": name, "namespace": namespace.name}
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    spec = {"maxReplicas": 5, "scaleTargetRef": reference}
    answer = namespace.client.create(BY_NAME[HPA], {"metadata": metadata, "spec": spec})
    assert answer.is_success, answer.text


def test_autoscaler_without_metrics_is_told_until_it_scales(up: Namespace) -> None:
    _tell(up, "False", "FailedGetResourceMetric", NO_METRICS, ago=240)
    up.wait_for(
        "Degraded",
        "True",
        "AutoscalerFailed",
        saying=("HorizontalPodAutoscaler c-api-burst does not scale the burst tier (FailedGetResourceMetric)",),
    )
    assert up.condition("Progressing")["reason"] == "UpToDate"
    _tell(up, "True", "ValidMetricFound", "the HPA was able to successfully calculate a replica count")
    up.wait_for("Degraded", "False", "AsExpected")


def test_second_autoscaler_on_the_burst_tier_is_told(up: Namespace) -> None:
    _autoscaler(up, "theirs", "c-api-burst")
    selector = "pods by selector bapsang.dev/community=c,bapsang.dev/tier=burst are controlled by multiple HPAs"
    for order in (f"[{up.name}/theirs {up.name}/c-api-burst]", f"[{up.name}/c-api-burst {up.name}/theirs]"):
        _tell(up, "False", "AmbiguousSelector", f"{selector}: {order}")
        up.wait_for(
            "Degraded",
            "True",
            "AutoscalerFailed",
            saying=(f"multiple HPAs: {up.name}/c-api-burst, {up.name}/theirs. Delete all but this one.",),
        )
    up.delete(HPA, "theirs")
    _tell(up, "True", "ValidMetricFound", "the HPA was able to successfully calculate a replica count")
    up.wait_for("Degraded", "False", "AsExpected")


def test_somebodys_autoscaler_on_the_base_tier_is_named_until_it_is_gone(up: Namespace) -> None:
    _autoscaler(up, "mine", "c-api-base")
    # As its controller does: by the subresource.
    up.patch("Deployment", "c-api-base", {"spec": {"replicas": 5}}, "/scale")
    up.wait_for(
        "Degraded",
        "True",
        "AutoscalerConflict",
        saying=('HorizontalPodAutoscaler "mine" scales Deployment c-api-base',),
    )
    eventually(lambda: (up.get("Deployment", "c-api-base") or {})["spec"]["replicas"] == 2)
    up.finish_rollout("c-api-base")
    up.delete(HPA, "mine")
    up.wait_for("Degraded", "False", "AsExpected")
