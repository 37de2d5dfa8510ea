"""How much a design carries, and what it survives. docs/capacity.md explains the model and its measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from bapsang_operator.cost import nodes
from bapsang_operator.cost.design import PLAN_GB, PLAN_REQUESTS, Design, Traffic, instance
from bapsang_operator.cost.nodes import Room

#: CPU share at which latency still holds, and the one that is borne for the minutes until new nodes come.
TARGET: Final = 0.6
EMERGENCY: Final = 0.8
#: Base pods for which a base node keeps room: a rollout starts a new one before an old one goes, and jobs run there too.
#: Without it each rollout would buy an on-demand node of the group `fallback`.
SPARE_BASE_PODS: Final = 1
#: Share of the peak that on-demand nodes alone must carry when all spot is lost.
FLOOR_SHARE: Final = 0.4
#: Memory below which MySQL's buffer pool no longer holds the hot pages, GiB.
_DATABASE_MEMORY: Final = {
    "db.t4g.micro": 1,
    "db.t4g.small": 2,
    "db.t4g.medium": 4,
    "db.m5.large": 8,
    "db.m7g.large": 8,
    "db.r7g.large": 16,
}
_DATABASE_MEMORY_NEEDED: Final = 4


def peak_vcpu(qps: float, cpu_ms: float, target: float = TARGET) -> float:
    """Return the vCPUs that carry `qps` at a utilisation of `target`; `cpu_ms` is CPU time a request on one of them.

    Raises ValueError for a target outside of (0, 1] and for a rate or time that is not positive.
    """
    if not 0 < target <= 1:
        raise ValueError(f"target must be above 0 and at most 1, not {target:g}")
    if qps <= 0 or cpu_ms <= 0:
        raise ValueError(f"requests a second and milliseconds must be above 0, not {qps:g} and {cpu_ms:g}")
    return qps * cpu_ms / (1000 * target)


def burst_nodes(traffic: Traffic, zones: int, base_type: str, base_nodes: int, burst_type: str) -> int:
    """Return how many burst nodes carry the peak when one of `zones` is lost, zones being alike.

    Raises ValueError for fewer than two zones: the loss of the only one is survived by nothing.
    """
    if zones < 2:
        raise ValueError("at least two zones are needed to survive the loss of one")
    needed = peak_vcpu(traffic.peak_qps, traffic.cpu_ms_per_request) / (zones - 1)
    base = (base_nodes // zones) * instance(base_type).vcpu
    return zones * max(0, math.ceil((needed - base) / instance(burst_type).vcpu))


def carried_without_a_zone(design: Design, traffic: Traffic) -> float:
    """Return the requests a second that are left at the target utilisation when the fullest zone is lost."""
    left = 0.0
    for kind, count in ((design.base_type, design.base_nodes), (design.burst_type, design.burst_nodes)):
        left += (count - math.ceil(count / design.zones)) * instance(kind).vcpu
    return left * 1000 * TARGET / traffic.cpu_ms_per_request


def carried_without_spot(design: Design, traffic: Traffic) -> float:
    """Return the requests a second that on-demand nodes carry alone, at the utilisation of an emergency."""
    nodes = design.base_nodes * instance(design.base_type).vcpu
    if not design.spot:
        nodes += design.burst_nodes * instance(design.burst_type).vcpu
    return nodes * 1000 * EMERGENCY / traffic.cpu_ms_per_request


def floor_share(design: Design, traffic: Traffic) -> float:
    """Return the share of the peak that is left when all spot is lost at once, 0 and up."""
    return carried_without_spot(design, traffic) / traffic.peak_qps


def credits_last(design: Design, traffic: Traffic) -> bool:
    """Tell whether burstable base nodes earn at average load what they spend: otherwise surplus is billed."""
    base = instance(design.base_type)
    busy = traffic.average_qps * traffic.cpu_ms_per_request / 1000
    return busy <= design.base_nodes * base.vcpu * base.baseline


def single_points(design: Design) -> list[str]:
    """Return what takes the service down when one machine or zone of it is lost, in words."""
    found = []
    if design.zones < 2:
        found.append("one zone")
    if design.base_nodes < 2:
        found.append("one base node")
    if not design.database_multi_az:
        found.append(f"one database writer ({design.database}, no Multi-AZ)")
    if design.cache_nodes < 2:
        found.append("one cache node" if design.cache_nodes else "one Redis pod")
    return found


def shortfalls(design: Design, traffic: Traffic) -> list[str]:
    """Return what the design cannot carry, in words; empty when it carries the peak without any one zone."""
    found = []
    if design.zones >= 2 and carried_without_a_zone(design, traffic) < traffic.peak_qps:
        left = carried_without_a_zone(design, traffic)
        found.append(f"{left:,.0f} requests a second are left without a zone, {traffic.peak_qps:,.0f} are needed")
    if _DATABASE_MEMORY.get(design.database, 0) < _DATABASE_MEMORY_NEEDED:
        found.append(f"{design.database} has less than {_DATABASE_MEMORY_NEEDED} GiB of memory")
    allowed = PLAN_REQUESTS.get(design.cdn)
    if allowed is not None and traffic.photo_views_millions > allowed:
        found.append(
            f"the CDN plan {design.cdn.value} includes {allowed:g} M requests, {traffic.photo_views_millions:g} M come"
        )
    if allowed is not None and traffic.photo_gb > PLAN_GB:
        found.append(f"the CDN plan {design.cdn.value} includes {PLAN_GB:,.0f} GB, {traffic.photo_gb:,.0f} GB come")
    return found


def without_room(design: Design, base_replicas: int, pod: Room) -> list[str]:
    """Return in words which base pods find no room on the base nodes, by their requests; a rollout has a quarter more."""
    held = design.base_nodes * nodes.base_room(design.base_type, design.base_nodes).holds(pod)
    needed = base_replicas + math.ceil(base_replicas / 4)
    if needed <= held:
        return []
    where = f"{design.base_nodes} × {design.base_type} have room for {held} base pods of {pod.cores:g} cores and {pod.mib:g} MiB"
    return [f"{where}, a rollout of spec.api.base.replicas has {needed}"]


@dataclass(frozen=True)
class Sizing:
    """What a Community on the design is set to: pods of both tiers, and the autoscaler's CPU target in percent."""

    base_replicas: int
    burst_max_replicas: int
    target_cpu: int


def sizing(design: Design, base: Room, burst: Room) -> Sizing:
    """Return the figures of a Community that fills the design's nodes; `base` and `burst` are the requests of a pod.

    The target is what leaves room for the load of a lost zone: with two zones, every pod does its neighbour's work as well
    and the node still stays at the utilisation at which latency holds. It is a share of what the pods of a node request,
    which is less than the node. Raises ValueError for a pod that fits no node.
    """
    base_each = nodes.base_room(design.base_type, design.base_nodes).holds(base) - SPARE_BASE_PODS
    burst_each = nodes.burst_room(design.burst_type).holds(burst)
    if base_each < 1:
        raise ValueError(f"{_words(base)} does not fit a {design.base_type} {1 + SPARE_BASE_PODS} times")
    if burst_each < 1:
        raise ValueError(f"{_words(burst)} does not fit a {design.burst_type}")
    left = (design.zones - 1) / design.zones if design.zones > 1 else 1.0
    share = instance(design.burst_type).vcpu / (burst_each * burst.cores)
    return Sizing(design.base_nodes * base_each, design.burst_nodes * burst_each, round(100 * TARGET * left * share))


def _words(pod: Room) -> str:
    return f"a pod of {pod.cores:g} cores and {pod.mib:g} MiB"
