"""Which nodes pods go to: burst on spot where there is any, everything else never; each tier spread by itself.

A node is a spot node when it bears one of the labels that providers use, or one of `spec.api.spot.nodeSelector`.
"""

from __future__ import annotations

from typing import Final

from bapsang_operator import names
from bapsang_operator.build import meta
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community

#: Seconds after which the pods of a node that does not answer are made again elsewhere. Kubernetes' own 300 stay for the
#: stores: a StatefulSet makes no second pod before the first is confirmed gone, so hurrying would only move a store whose
#: node comes back after a minute.
LOST_NODE_SECONDS: Final = 30
_LOST_NODE: Final = tuple(
    {
        "key": f"node.kubernetes.io/{taint}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": LOST_NODE_SECONDS,
    }
    for taint in ("not-ready", "unreachable")
)
_SPOT_TAINTS: Final = tuple(
    {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"} for key, value in names.SPOT_NODE_TAINTS
)


def spot_labels(community: Community) -> list[tuple[str, str]]:
    """Return the labels of which one makes a node a spot node."""
    return sorted({*names.SPOT_NODE_LABELS, *community.api.spot.node_selector.items()})


def _architecture(community: Community) -> list[Manifest]:
    if community.api.arch == "any":
        return []
    return [{"key": "kubernetes.io/arch", "operator": "In", "values": [community.api.arch]}]


def _required(expressions: list[Manifest]) -> Manifest:
    if not expressions:
        return {}
    terms = [{"matchExpressions": expressions}]
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}


def on_demand(community: Community) -> Manifest:
    """Return the placement of what must not vanish with two minutes' notice: the base tier, the jobs and the stores."""
    avoided = [{"key": key, "operator": "NotIn", "values": [value]} for key, value in spot_labels(community)]
    return {"affinity": {"nodeAffinity": _required(_architecture(community) + avoided)}}


def spot(community: Community) -> Manifest:
    """Return the placement of the burst tier: spot is preferred, on-demand is the way out when there is none."""
    if not community.api.spot.enabled:
        return on_demand(community)
    affinity = _required(_architecture(community))
    # Terms, not expressions of one term: a node bears the labels of one provider.
    affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [
        {"weight": 100, "preference": {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}}
        for key, value in spot_labels(community)
    ]
    return {"affinity": {"nodeAffinity": affinity}}


def tolerations(community: Community, *, spot: bool) -> list[Manifest]:
    """Return the tolerations of pods without a state: those of spot nodes where they may run there, and a short wait
    on a lost node."""
    own = (*community.api.spot.tolerations, *_SPOT_TAINTS) if spot and community.api.spot.enabled else ()
    return [dict(toleration) for toleration in (*own, *_LOST_NODE)]


def spread(community: Community, component: Component, tier: str = "") -> Manifest:
    """Return the spreading of a workload's pods; a preference, so one zone left still serves.

    Of each tier by itself: with both together, burst pods that fell back to the on-demand nodes of one zone would draw the
    base pods into the other. And of each revision by itself: the pods that a rollout is about to remove would draw the new
    ones onto one node.
    """
    labels = meta.selector(community, component) | ({names.LABEL_TIER: tier} if tier else {})
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels},
                "matchLabelKeys": ["pod-template-hash"],
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ]
    }
