"""Which nodes pods go to: base never on spot, burst on spot where there is any, both spread over zones and hosts."""

from __future__ import annotations

from typing import Final

from bapsang_operator.build import meta
from bapsang_operator.child import Manifest
from bapsang_operator.names import Component
from bapsang_operator.spec import Community, Spot

#: Seconds after which the pods of a node that does not answer are made again elsewhere. Kubernetes' own 300 suit pods
#: with a state; a pod of the API has none, and a spot node that vanished does not come back.
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


def _architecture(community: Community) -> list[Manifest]:
    if community.api.arch == "any":
        return []
    return [{"key": "kubernetes.io/arch", "operator": "In", "values": [community.api.arch]}]


def _required(expressions: list[Manifest]) -> Manifest:
    if not expressions:
        return {}
    terms = [{"matchExpressions": expressions}]
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}


def _labels(spot: Spot, operator: str) -> list[Manifest]:
    return [{"key": key, "operator": operator, "values": [value]} for key, value in sorted(spot.node_selector.items())]


def on_demand(community: Community) -> Manifest:
    """Return the placement of what must not vanish with two minutes' notice: the base tier and the jobs."""
    affinity = _required(_architecture(community) + _labels(community.api.spot, "NotIn"))
    return {"affinity": {"nodeAffinity": affinity}} if affinity else {}


def spot(community: Community) -> Manifest:
    """Return the placement of the burst tier: spot is preferred, on-demand is the way out when there is none."""
    if not community.api.spot.enabled:
        return on_demand(community)
    affinity = _required(_architecture(community))
    preferred = _labels(community.api.spot, "In")
    if preferred:
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": 100, "preference": {"matchExpressions": preferred}}
        ]
    return {"affinity": {"nodeAffinity": affinity}} if affinity else {}


def tolerations(community: Community, *, spot: bool) -> list[Manifest]:
    """Return the tolerations of pods without a state: those of spot nodes where they may run there, and a short wait
    on a lost node."""
    own = community.api.spot.tolerations if spot and community.api.spot.enabled else ()
    return [*(dict(toleration) for toleration in own), *(dict(toleration) for toleration in _LOST_NODE)]


def spread(community: Community, component: Component = Component.API) -> Manifest:
    """Return the spreading of pods, the API's of both tiers together; a preference, so one zone left still serves."""
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": meta.selector(community, component)},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ]
    }
