"""What pods of the API may request of an EKS node: its size less what the system, the kubelet and other pods take.

Sources: kube-reserved and eviction threshold as `nodeadm` of the EKS AMI sets them (awslabs/amazon-eks-ami,
nodeadm/internal/kubelet/config.go), pods a node from its eni-max-pods.txt, requests of the add-ons as EKS installs them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bapsang_operator.cost.design import instance
from bapsang_operator.resource import quantity

#: Share of each further core that the kubelet keeps: the first, the second, the third and fourth, all others.
_KUBELET_SHARES: Final = ((1, 0.06), (1, 0.01), (2, 0.005), (math.inf, 0.0025))
#: MiB that the kubelet keeps, and keeps for each pod that the node may have, and below which it evicts.
_KUBELET_MIB: Final = 255
_KUBELET_MIB_A_POD: Final = 11
_EVICTION_MIB: Final = 100
#: Share of the memory of an instance type that the node sees; Karpenter computes with the same, which is cautious.
_MEMORY_SEEN: Final = 0.925
_MIB: Final = 2**20


@dataclass(frozen=True)
class Room:
    """What a node has, or a pod requests: cores, MiB, and pods."""

    cores: float
    mib: float
    pods: int = 1

    def less(self, taken: Room, share: float = 1.0) -> Room:
        """Return what is left when `share` times `taken` is gone."""
        pods = self.pods - math.ceil(taken.pods * share)
        return Room(self.cores - share * taken.cores, self.mib - share * taken.mib, pods)

    def holds(self, pod: Room) -> int:
        """Return how many such pods have room, 0 and up."""
        pairs = ((self.cores, pod.cores), (self.mib, pod.mib), (self.pods, pod.pods))
        return max(0, min(math.floor(round(have / wanted, 6)) for have, wanted in pairs if wanted))


#: On every node: kube-proxy, aws-node (the plugin and its agent of network policies), the Pod Identity agent.
DAEMONS: Final = Room(0.100 + 0.025 + 0.025, 0, 3)
#: On the base nodes, two of each: CoreDNS, metrics-server, this operator. The load balancer controller and the Cluster
#: Autoscaler request nothing by default.
SYSTEM: Final = Room(2 * (0.100 + 0.100 + 0.020), 2 * (70 + 200 + 96), 6)


def requested(requests: Mapping[str, str | int]) -> Room:
    """Return what a pod with one container of these requests takes."""
    return Room(float(quantity.parse(requests["cpu"])), float(quantity.parse(requests["memory"])) / _MIB)


def allocatable(kind: str) -> Room:
    """Return `status.allocatable` of a node. Raises UnknownInstanceError."""
    found = instance(kind)
    kept, left = 0.0, float(found.vcpu)
    for cores, share in _KUBELET_SHARES:
        kept += min(cores, left) * share
        left -= min(cores, left)
    reserved = _KUBELET_MIB + _KUBELET_MIB_A_POD * found.pods
    return Room(
        found.vcpu - kept, math.floor(1024 * found.memory * _MEMORY_SEEN) - reserved - _EVICTION_MIB, found.pods
    )


def burst_room(kind: str) -> Room:
    """Return what is left of a burst node for pods of the API. Raises UnknownInstanceError."""
    return allocatable(kind).less(DAEMONS)


def base_room(kind: str, nodes: int) -> Room:
    """Return what is left of one of `nodes` base nodes, over which the system's pods are spread. Raises
    UnknownInstanceError."""
    return allocatable(kind).less(DAEMONS).less(SYSTEM, 1 / nodes)
