"""Where the real scheduler puts the pods that the builders make, on nodes that are nothing but objects."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import yaml
from tests.unit.operator.world import AllDigests
from tests.waiting import eventually

from bapsang_operator import build, names
from bapsang_operator.kinds import POD
from bapsang_operator.resource import parse

from .client import ROOT, Client, Object
from .cluster import Site
from .namespace import resource

SPOT: dict[str, dict[str, str]] = {
    "eks": {"eks.amazonaws.com/capacityType": "SPOT"},
    "karpenter": {"karpenter.sh/capacity-type": "spot"},
    "gke": {"cloud.google.com/gke-spot": "true"},
    "gke-preemptible": {"cloud.google.com/gke-preemptible": "true"},
    "aks": {"kubernetes.azure.com/scalesetpriority": "spot"},
}
TAINTS = {
    "eks": {"key": "bapsang.dev/capacity", "value": "spot", "effect": "NoSchedule"},
    "aks": {"key": "kubernetes.azure.com/scalesetpriority", "value": "spot", "effect": "NoSchedule"},
}
HASH = "pod-template-hash"
#: `status.allocatable` on EKS, and what its add-ons request: on each node, and somewhere on base nodes.
ALLOCATABLE = {
    "t4g.medium": {"cpu": "1930m", "memory": "3246Mi", "pods": "17"},
    "c7g.large": {"cpu": "1930m", "memory": "3114Mi", "pods": "29"},
}
DAEMONS = {"kube-proxy": ("100m", "0"), "aws-node": ("50m", "0"), "pod-identity-agent": ("0", "0")}
SYSTEM = {"coredns": ("100m", "70Mi"), "metrics-server": ("100m", "200Mi"), "operator": ("20m", "96Mi")}
SAMPLE = ROOT / "manifests/samples/community-eks.yaml"


@dataclass
class World(Site):
    """Nodes of a test's own, and pods made of the templates of a Community."""

    templates: dict[str, Object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.take(resource(self.name))

    def take(self, made: Object) -> None:
        """Make pods of the templates of this Community from now on."""
        made["metadata"] |= {"uid": "none", "generation": 1}
        for child in build.children(parse(made), AllDigests()):
            body = child.manifest.get("spec", {})
            body = body.get("jobTemplate", {}).get("spec", body)
            if "template" in body:
                kind = names.Component(body["template"]["metadata"]["labels"][names.LABEL_COMPONENT])
                tier = body["template"]["metadata"]["labels"].get(names.LABEL_TIER)
                self.templates[tier or kind.value] = body["template"]

    def pod(self, workload: str, name: str, revision: str = "1", node: str | None = None) -> None:
        """Create a pod; without a node the scheduler finds one."""
        template = copy.deepcopy(self.templates[workload])
        template["metadata"] |= {"name": name, "namespace": self.name}
        template["metadata"]["labels"][HASH] = revision
        # No volume is here: it is placed as if any node could have it.
        for volume in template["spec"]["volumes"]:
            if volume.pop("persistentVolumeClaim", None):
                volume["emptyDir"] = {}
        if node:
            template["spec"]["nodeName"] = node
        answer = self.client.create(POD, template)
        assert answer.is_success, answer.text

    def other(self, name: str, cpu: str, memory: str, node: str | None = None) -> None:
        """Create a pod of somebody else's."""
        container = {"name": "x", "image": "x", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
        made = {"containers": [container], **({"nodeName": node} if node else {})}
        answer = self.client.create(POD, {"metadata": {"name": name, "namespace": self.name}, "spec": made})
        assert answer.is_success, answer.text

    def place(self, name: str) -> str:
        """Return the node that a pod was given."""
        return eventually(lambda: self._node(name), what=f"{name} has a node")

    def _node(self, name: str) -> str:
        found = self.client.get(POD, self.name, name) or {"spec": {}}
        return str(found["spec"].get("nodeName", ""))

    def unschedulable(self, name: str) -> bool:
        found = self.client.get(POD, self.name, name) or {}
        return any(one.get("reason") == "Unschedulable" for one in found.get("status", {}).get("conditions", ()))


@pytest.fixture
def world(cluster_client: Client) -> Iterator[World]:
    found = World(cluster_client)
    yield found
    found.leave()


STAYING = ("base", "redis", "mysql", "migrate", "like-sync")


def test_burst_goes_to_the_spot_nodes_of_each_provider_and_all_else_to_none_of_them(world: World) -> None:
    for provider, labels in SPOT.items():
        world.node(f"spot-{provider}", "a", labels, *([TAINTS[provider]] if provider in TAINTS else []))
    for workload in STAYING:
        world.pod(workload, f"{workload}-early")
    for number in range(10):
        world.pod("burst", f"burst-{number}")
    assert {world.place(f"burst-{number}") for number in range(10)} == {f"spot-{provider}" for provider in SPOT}
    for workload in STAYING:
        eventually(lambda workload=workload: world.unschedulable(f"{workload}-early"), what=f"{workload} waits")
    # An on-demand node is the way out for them, and not for burst while there are others.
    on_demand = world.node("on-demand", "a", {"karpenter.sh/capacity-type": "on-demand"})
    assert {world.place(f"{workload}-early") for workload in STAYING} == {on_demand}
    world.pod("burst", "burst-late")
    assert world.place("burst-late") != on_demand


def test_burst_that_fell_back_in_one_zone_does_not_draw_base_into_the_other(world: World) -> None:
    """Red without both the tier and the revision in what is counted: a tier's revisions are never those of the other."""
    for zone in ("a", "b"):
        world.node(f"on-demand-{zone}", zone, {})
    for number in range(6):
        world.pod("burst", f"burst-{number}", "3", node="on-demand-b")
    for number in range(2):
        world.pod("base", f"base-{number}")
    assert {world.place(f"base-{number}") for number in range(2)} == {"on-demand-a", "on-demand-b"}


def test_pods_of_the_old_revision_do_not_draw_the_new_ones_onto_one_node(world: World) -> None:
    """In the middle of a rollout: of the new pods one is there, and the old ones are still on the other node."""
    first, second = (world.node(f"on-demand-{zone}", zone, {}) for zone in ("a", "b"))
    world.pod("base", "new-1", "2", node=first)
    for number in range(2):
        world.pod("base", f"old-{number}", "1", node=second)
    world.pod("base", "new-2", "2")
    assert world.place("new-2") == second


def test_pods_of_the_eks_sample_find_room_on_its_nodes_in_a_rollout_too(world: World) -> None:
    sample = next(one for one in yaml.safe_load_all(SAMPLE.read_text()) if one["kind"] == "Community")
    estate, api = sample["spec"]["estate"], sample["spec"]["api"]
    made = {**sample, "metadata": {**sample["metadata"], "namespace": world.name}}
    world.take(made)
    arm: dict[str, str] = {"kubernetes.io/arch": "arm64"}
    for group, labels, taints in (("base", arm, []), ("burst", arm | SPOT["eks"], [TAINTS["eks"]])):
        wanted = estate[f"{group}Nodes"]
        room = ALLOCATABLE[wanted["type"]]
        for number in range(wanted["count"]):
            node = world.node(f"{group}-node-{number}", "ab"[number % 2], labels, *taints, room=room)
            for name, (cpu, memory) in DAEMONS.items():
                world.other(f"{name}-{node}", cpu, memory, node)
    system = [f"{name}-{number}" for name in SYSTEM for number in range(2)]
    for name in system:
        world.other(name, *SYSTEM[name.rpartition("-")[0]])
    base, burst = api["base"]["replicas"], api["burst"]["maxReplicas"]
    pods = {f"base-{number}": "base" for number in range(base + math.ceil(base / 4))}
    # Before burst: they must not take the place of one.
    workers = [f"media-{number}" for number in range(parse(made).media.max_replicas)]
    pods |= dict.fromkeys(workers, "media")
    pods |= {f"burst-{number}": "burst" for number in range(burst)}
    for name, tier in pods.items():
        world.pod(tier, name)
    of_workers = {world.place(name) for name in workers}
    assert [node for node in of_workers if not node.startswith("burst")] == []
    assert len(of_workers) == len(workers)
    places = Counter(world.place(name) for name in pods if name not in workers)
    assert {node for node in places if node.startswith("base")} == {world.place(name) for name in system}
    assert sum(count for node, count in places.items() if node.startswith("base")) == base + math.ceil(base / 4)
    assert {count for node, count in places.items() if node.startswith("burst")} == {burst // 6}
