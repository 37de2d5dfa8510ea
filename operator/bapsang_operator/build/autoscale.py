"""The HorizontalPodAutoscaler of the burst tier: it alone decides how many burst pods there are."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import meta
from bapsang_operator.child import Child, Gate
from bapsang_operator.names import Component
from bapsang_operator.spec import Community


def autoscaler(community: Community) -> Child:
    """Return the autoscaler. Up: doubling or four pods a quarter minute, for a steep meal-time peak. Down: gently."""
    name = names.api_burst(community.name)
    scaling = community.api.autoscaling
    return Child(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": meta.metadata(community, name, Component.API),
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "minReplicas": community.api.burst.min_replicas,
                "maxReplicas": community.api.burst.max_replicas,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": scaling.target_cpu},
                        },
                    }
                ],
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": scaling.scale_up_seconds,
                        "selectPolicy": "Max",
                        "policies": [
                            {"type": "Percent", "value": 100, "periodSeconds": 15},
                            {"type": "Pods", "value": 4, "periodSeconds": 15},
                        ],
                    },
                    "scaleDown": {
                        "stabilizationWindowSeconds": scaling.scale_down_seconds,
                        "selectPolicy": "Max",
                        "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
                    },
                },
            },
        },
        # An autoscaler without its Deployment only fills the event log.
        Gate.BASE,
    )
