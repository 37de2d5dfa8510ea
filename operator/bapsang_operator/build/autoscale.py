"""The autoscaler of the burst tier: it alone decides how many burst pods there are.

A HorizontalPodAutoscaler by CPU; or KEDA's ScaledObject by CPU and requests, of which KEDA makes one of its own.
"""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import api, meta
from bapsang_operator.build.child import Child
from bapsang_operator.kinds import SCALED_OBJECT
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community, Keda

#: KEDA lets the pods be as many as this says. Without it, KEDA would start a Deployment that sleeps.
PAUSED = "autoscaling.keda.sh/paused-replicas"


def autoscaler(community: Community, *, has_keda: bool) -> Child:
    """Return the autoscaler that the spec asks for; the one by CPU while KEDA is not there.

    No gate: its bounds are what ends an overload, and an overload is what makes base pods unready. Only its creation
    waits for its Deployment: before, it would fill the event log and scale nothing.
    """
    asked = community.api.autoscaling.keda
    burst = Key("Deployment", community.namespace, names.api_burst(community.name))
    return Child(_scaled_object(community, asked) if asked and has_keda else _by_cpu(community), requires=burst)


def _by_cpu(community: Community) -> Manifest:
    name = names.api_burst(community.name)
    target = {"type": "Utilization", "averageUtilization": community.api.autoscaling.target_cpu}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta.metadata(community, name, Component.API),
        "spec": {
            "scaleTargetRef": _target(community),
            "minReplicas": community.api.burst.min_replicas,
            "maxReplicas": community.api.burst.max_replicas,
            # Of our own container: the CPU and the requests of a sidecar that somebody injects tell nothing of the load.
            "metrics": [
                {
                    "type": "ContainerResource",
                    "containerResource": {"name": "cpu", "container": api.CONTAINER, "target": target},
                }
            ],
            "behavior": _behavior(community),
        },
    }


def _scaled_object(community: Community, keda: Keda) -> Manifest:
    name, scaling = names.api_burst(community.name), community.api.autoscaling
    # The offered load: what both tiers answer, refusals as well, less what base pods carry. One Service feeds both tiers,
    # so the requests of burst pods alone grow with their number, and a peak would be met step by step.
    base = names.api_base(community.name)
    pods = f'namespace="{community.namespace}",pod=~"({base}|{name})-.+"'
    carried = community.api.base.replicas * keda.requests_per_pod
    query = f"clamp_min(sum(rate(bapsang_http_requests_total{{{pods}}}[1m])) - {carried}, 0)"
    served = {"serverAddress": keda.prometheus_url, "query": query, "threshold": str(keda.requests_per_pod)}
    return {
        "apiVersion": SCALED_OBJECT.api_version,
        "kind": SCALED_OBJECT.name,
        "metadata": meta.metadata(community, name, Component.API, {PAUSED: "0"} if community.hibernate else None),
        "spec": {
            "scaleTargetRef": _target(community),
            "minReplicaCount": community.api.burst.min_replicas,
            "maxReplicaCount": community.api.burst.max_replicas,
            "triggers": [
                {
                    "type": "cpu",
                    "metricType": "Utilization",
                    "metadata": {"value": str(scaling.target_cpu), "containerName": api.CONTAINER},
                },
                {"type": "prometheus", "metricType": "AverageValue", "metadata": served},
            ],
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(community)}},
        },
    }


def _target(community: Community) -> Manifest:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": names.api_burst(community.name)}


def _behavior(community: Community) -> Manifest:
    """Up: to what the load asks for, at once: each step waits for nodes. Down: gently."""
    scaling = community.api.autoscaling
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": scaling.scale_up_seconds,
            "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": community.api.burst.max_replicas, "periodSeconds": 15}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": scaling.scale_down_seconds,
            "selectPolicy": "Max",
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
        },
    }
