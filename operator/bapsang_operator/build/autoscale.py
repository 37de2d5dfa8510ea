"""The autoscalers of the burst tier and of the photo workers: they alone decide how many pods these have.

Of burst a HorizontalPodAutoscaler by CPU; or KEDA's ScaledObject by CPU and requests, of which KEDA makes one of its own.
Of the photo workers always one by CPU.
"""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import api, media, meta
from bapsang_operator.build.child import Child
from bapsang_operator.kinds import SCALED_OBJECT
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community, Keda

#: KEDA lets the pods be as many as this says. Without it, KEDA would start a Deployment that sleeps.
PAUSED = "autoscaling.keda.sh/paused-replicas"
#: Half of what a worker with a backlog uses: as long as all of them are busy, their number doubles.
MEDIA_CPU = "500m"


def autoscaler(community: Community, *, has_keda: bool) -> Child:
    """Return the autoscaler that the spec asks for; the one by CPU while KEDA is not there.

    No gate: its bounds are what ends an overload, and an overload is what makes base pods unready. Only its creation
    waits for its Deployment: before, it would fill the event log and scale nothing.
    """
    asked = community.api.autoscaling.keda
    burst = Key("Deployment", community.namespace, names.api_burst(community.name))
    return Child(_scaled_object(community, asked) if asked and has_keda else _by_cpu(community), requires=burst)


def of_media(community: Community) -> Child:
    """Return the autoscaler of the photo workers, which scales by their backlog: a worker that has one keeps a core busy,
    an idle one uses none, so the mean of all is the share of them that is needed. With KEDA it would be the same."""
    name = names.media(community.name)
    manifest = _hpa(
        community,
        name,
        Component.MEDIA,
        (community.media.min_replicas, community.media.max_replicas),
        (media.CONTAINER, {"type": "AverageValue", "averageValue": MEDIA_CPU}),
        # Not down at once: uploads come in bursts, and what has ended would be started again a minute later.
        _behavior(community.media.max_replicas, up_seconds=0, down_seconds=300),
    )
    return Child(manifest, requires=Key("Deployment", community.namespace, name))


def _by_cpu(community: Community) -> Manifest:
    burst = community.api.burst
    target = {"type": "Utilization", "averageUtilization": community.api.autoscaling.target_cpu}
    return _hpa(
        community,
        names.api_burst(community.name),
        Component.API,
        (burst.min_replicas, burst.max_replicas),
        (api.CONTAINER, target),
        _of_burst(community),
    )


def _hpa(
    community: Community,
    name: str,
    component: Component,
    bounds: tuple[int, int],
    cpu: tuple[str, Manifest],
    behavior: Manifest,
) -> Manifest:
    """Return an autoscaler of the Deployment of this name; `cpu`: the container that counts, and what is aimed at."""
    container, target = cpu
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta.metadata(community, name, component),
        "spec": {
            "scaleTargetRef": _target(name),
            "minReplicas": bounds[0],
            "maxReplicas": bounds[1],
            # Of our own container: the CPU and the requests of a sidecar that somebody injects tell nothing of the load.
            "metrics": [
                {
                    "type": "ContainerResource",
                    "containerResource": {"name": "cpu", "container": container, "target": target},
                }
            ],
            "behavior": behavior,
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
            "scaleTargetRef": _target(name),
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
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _of_burst(community)}},
        },
    }


def _target(name: str) -> Manifest:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}


def _of_burst(community: Community) -> Manifest:
    scaling = community.api.autoscaling
    return _behavior(community.api.burst.max_replicas, scaling.scale_up_seconds, scaling.scale_down_seconds)


def _behavior(most: int, up_seconds: int, down_seconds: int) -> Manifest:
    """Up: to what the load asks for, at once: each step waits for nodes. Down: gently."""
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": up_seconds,
            "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": most, "periodSeconds": 15}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": down_seconds,
            "selectPolicy": "Max",
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
        },
    }
