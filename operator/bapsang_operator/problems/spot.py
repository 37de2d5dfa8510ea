"""What goes wrong with spot nodes: pods that must not run on one and do, and pods that need longer than its notice. Pure.

The scheduler keeps base and stores off such nodes, but only when it places them: a node may be labelled later, a webhook
may take the affinity out, and what is paused runs where an operator from before placed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from bapsang_operator import names
from bapsang_operator.build import placement
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component, Reason
from bapsang_operator.problem import Problem
from bapsang_operator.resource import Community

#: Seconds from the notice of a spot node of AWS to its end. (Those of GKE and AKS give 30, which no drain fits that outlasts
#: a load balancer.)
NOTICE_SECONDS: Final = 120
#: What passes of them until somebody has begun to evict the node's pods.
_REACTION_SECONDS: Final = 10
#: Labels of a node, by its name; nodes of which nothing is known are absent.
Labels = Mapping[str, Mapping[str, str]]


def must_stay(live: Iterable[Manifest]) -> list[Manifest]:
    """Return the pods of the base tier and of the stores that have a node and are not on their way out."""
    return [one for one in live if one["kind"] == "Pod" and _workload(one) and _is_there(one)]


def of_notice(community: Community) -> list[Problem]:
    """Return the problem of burst pods that need longer to leave than a spot node has left."""
    drain, ending = community.api.drain_seconds, names.ENDING_SECONDS
    longest = NOTICE_SECONDS - _REACTION_SECONDS - ending
    if drain <= longest or not community.api.spot.enabled:
        return []
    return [
        Problem(
            Reason.DRAIN_TOO_LONG,
            f"spec.api.drainSeconds is {drain}: a burst pod may need {drain + ending} s to leave, and a spot node ends "
            f"{NOTICE_SECONDS} s after its notice, so requests can fail when one is reclaimed. Lower the deregistration "
            f"delay of the load balancer and spec.api.drainSeconds to at most {longest}, or set spec.api.spot.enabled to "
            "false.",
        )
    ]


def of_nodes(community: Community, pods: Iterable[Manifest], labels: Labels) -> list[Problem]:
    """Return a problem for each workload with a pod on a spot node, with the labels that make it one."""
    spot = placement.spot_labels(community)
    found: dict[str, set[str]] = {}
    for pod in pods:
        node = labels.get(pod["spec"]["nodeName"], {})
        bears = {f"{key}={value}" for key, value in spot if node.get(key) == value}
        if bears:
            found.setdefault(_workload(pod), set()).update(bears)
    return [
        Problem(
            Reason.ON_SPOT_NODE,
            f"{kind} {community.name}-{name}: a pod runs on a spot node ({', '.join(sorted(bears))}), which ends two minutes "
            f"after its notice. Delete the pod, and it is made again on another node: kubectl -n {community.namespace} get "
            f"pods -o wide -l {names.LABEL_COMMUNITY}={community.name}.",
        )
        for (kind, name), bears in sorted((workload.split(" "), bears) for workload, bears in found.items())
    ]


def _workload(pod: Manifest) -> str:
    """Return kind and name of what a pod belongs to; empty where it may vanish."""
    labels = pod["metadata"].get("labels", {})
    match labels.get(names.LABEL_COMPONENT):
        case Component.REDIS | Component.MYSQL as component:
            return f"StatefulSet {component}"
        case Component.API if labels.get(names.LABEL_TIER) == "base":
            return "Deployment api-base"
    return ""


def _is_there(pod: Manifest) -> bool:
    if "deletionTimestamp" in pod["metadata"] or pod["status"].get("phase") in {"Succeeded", "Failed"}:
        return False
    return bool(pod.get("spec", {}).get("nodeName"))
