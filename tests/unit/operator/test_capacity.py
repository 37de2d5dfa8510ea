"""The capacity model: its table, what the loss of a zone or of all spot leaves, and the sample that comes out of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bapsang_operator.cost import capacity, estate, nodes
from bapsang_operator.cost.design import CHEAPEST, INSTANCES, LEAN, ORIGINAL, REFERENCE
from bapsang_operator.cost.nodes import Room
from bapsang_operator.resource import parse

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = next(
    one
    for one in yaml.safe_load_all((ROOT / "manifests/samples/community-eks.yaml").read_text())
    if one["kind"] == "Community"
)
PARSED = parse({**SAMPLE, "metadata": {**SAMPLE["metadata"], "uid": "", "generation": 1}})

#: CPU milliseconds a request → vCPUs at 60 % for 2,315 requests a second, 2-vCPU nodes over two and over three zones.
TABLE = [(1, 3.9, 4, 3), (2, 7.7, 8, 6), (3, 11.6, 12, 9), (5, 19.3, 20, 15), (10, 38.6, 40, 30)]


@pytest.mark.parametrize(("cpu_ms", "vcpu", "two_zones", "three_zones"), TABLE)
def test_table_of_nodes(cpu_ms: float, vcpu: float, two_zones: int, three_zones: int) -> None:
    traffic = replace(REFERENCE, cpu_ms_per_request=cpu_ms)
    assert capacity.peak_vcpu(2315, cpu_ms) == pytest.approx(vcpu, abs=0.05)
    assert capacity.burst_nodes(traffic, 2, "t4g.medium", 0, "c7g.large") == two_zones
    assert capacity.burst_nodes(traffic, 3, "t4g.medium", 0, "c7g.large") == three_zones


@pytest.mark.parametrize(("cpu_ms", "vcpu", "two_zones", "three_zones"), TABLE)
def test_documentation_shows_the_table(cpu_ms: float, vcpu: float, two_zones: int, three_zones: int) -> None:
    page = (ROOT / "docs/capacity.md").read_text()
    assert f"| {cpu_ms} | {vcpu} | {two_zones} | {three_zones} |" in page


def test_lean_design_carries_the_peak_with_exactly_its_nodes() -> None:
    assert capacity.burst_nodes(REFERENCE, 2, "t4g.medium", 2, "c7g.large") == LEAN.burst_nodes
    assert capacity.shortfalls(LEAN, REFERENCE) == []
    one_zone_short = replace(LEAN, burst_nodes=LEAN.burst_nodes - 2)
    (found,) = capacity.shortfalls(one_zone_short, REFERENCE)
    assert found == "1,800 requests a second are left without a zone, 2,315 are needed"


def test_what_is_left_when_all_spot_is_lost() -> None:
    assert capacity.carried_without_spot(LEAN, REFERENCE) == 1600
    assert round(capacity.floor_share(LEAN, REFERENCE), 2) == 0.69
    assert capacity.floor_share(replace(LEAN, spot=False), REFERENCE) > 1


def test_credits_last_at_average_load_until_requests_get_dear() -> None:
    assert capacity.credits_last(LEAN, REFERENCE)
    assert not capacity.credits_last(LEAN, replace(REFERENCE, cpu_ms_per_request=4))


def test_single_points_are_named() -> None:
    assert capacity.single_points(CHEAPEST) == []
    assert capacity.single_points(ORIGINAL) == ["one database writer (db.m5.large, no Multi-AZ)"]
    poor = replace(CHEAPEST, zones=1, base_nodes=1, cache_nodes=1)
    assert capacity.single_points(poor) == ["one zone", "one base node", "one cache node"]
    assert capacity.single_points(replace(CHEAPEST, cache_nodes=0)) == ["one Redis pod"]


def test_plan_and_database_must_be_large_enough() -> None:
    many = replace(REFERENCE, photo_views_millions=126)
    assert capacity.shortfalls(LEAN, many) == ["the CDN plan business includes 125 M requests, 126 M come"]
    assert capacity.shortfalls(replace(LEAN, database="db.t4g.small"), REFERENCE) == [
        "db.t4g.small has less than 4 GiB of memory"
    ]


@pytest.mark.parametrize("target", [0, -0.1, 1.1])
def test_target_outside_of_its_range_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="target must be above 0 and at most 1"):
        capacity.peak_vcpu(100, 2, target)


def test_one_zone_survives_no_loss() -> None:
    with pytest.raises(ValueError, match="at least two zones"):
        capacity.burst_nodes(REFERENCE, 1, "t4g.medium", 2, "c7g.large")


def test_sample_is_what_the_model_says() -> None:
    assert PARSED.estate is not None
    design, api = estate.design(PARSED.estate, PARSED.originals), PARSED.api
    traffic = estate.traffic(PARSED.estate, PARSED.budget)
    base, burst = (nodes.requested(one.requests) for one in (api.base.resources, api.burst.resources))
    found = capacity.sizing(design, base, burst)
    assert (api.base.replicas, api.burst.max_replicas) == (found.base_replicas, found.burst_max_replicas)
    assert api.autoscaling.target_cpu == found.target_cpu
    assert design.burst_nodes == capacity.burst_nodes(
        traffic, design.zones, design.base_type, design.base_nodes, design.burst_type
    )
    assert capacity.shortfalls(design, traffic) == []
    held = capacity.floor_share(design, traffic) >= capacity.FLOOR_SHARE
    assert held, "the sample's spec.estate.baseNodes.count is too low for its cpuMicroseconds (docs/capacity.md)"


#: Millicores and MiB that EKS says a node has, and what its add-ons ask for on each node and on the base nodes together.
#: Written out, so that the sample is not held against the model that made it.
ALLOCATABLE = {"t4g.medium": (1930, 3246), "c7g.large": (1930, 3114)}
DAEMONS = [(100, 0), (25, 0), (25, 0)]
SYSTEM = [(100, 70), (100, 70), (100, 200), (100, 200), (20, 96), (20, 96)]


def _placed(pods: list[tuple[int, int]], count: int, room: tuple[int, int]) -> bool:
    """Tell whether pods find a place on `count` nodes, each on the node that has the most left, as the scheduler has it."""
    left = [room] * count
    for cores, mib in pods:
        at = max(range(count), key=lambda one: left[one])
        left[at] = (left[at][0] - cores, left[at][1] - mib)
        if min(left[at]) < 0:
            return False
    return True


def _pods(requests: Any, count: int) -> list[tuple[int, int]]:
    one = nodes.requested(requests)
    return [(round(1000 * one.cores), round(one.mib))] * count


def test_pods_of_the_sample_fit_its_eks_nodes_in_a_rollout_too() -> None:
    assert PARSED.estate is not None
    design, api = estate.design(PARSED.estate, PARSED.originals), PARSED.api
    base, burst = (design.base_nodes, design.base_type), (design.burst_nodes, design.burst_type)
    wanted = {
        "burst": (_pods(api.burst.resources.requests, api.burst.max_replicas), [], *burst),
        # A quarter more while a rollout is under way: maxSurge.
        "base": (_pods(api.base.resources.requests, math.ceil(1.25 * api.base.replicas)), SYSTEM, *base),
    }
    for tier, (pods, system, count, kind) in wanted.items():
        assert _placed([*DAEMONS * count, *system, *pods], count, ALLOCATABLE[kind]), f"{tier} does not fit"
    # It fills them: a pod more a node, beside the one of a rollout, would not fit.
    assert not _placed([*DAEMONS * burst[0], *wanted["burst"][0], *wanted["burst"][0][: burst[0]]], 6, (1930, 3114))
    earlier = _pods({"cpu": "600m", "memory": "384Mi"}, 18)
    assert not _placed([*DAEMONS * 6, *earlier], 6, ALLOCATABLE["c7g.large"]), "three pods of 600m never fitted"


@pytest.mark.parametrize(("kind", "wanted"), ALLOCATABLE.items())
def test_allocatable_is_what_the_eks_ami_leaves(kind: str, wanted: tuple[int, int]) -> None:
    found = nodes.allocatable(kind)
    assert (round(1000 * found.cores), found.mib) == wanted


def test_kubelet_keeps_less_of_each_further_core() -> None:
    """Of one vCPU 60m, of two 70m: https://github.com/awslabs/amazon-eks-ami, getCPUMillicoresToReserve."""
    kept = {kind: round(1000 * (one.vcpu - nodes.allocatable(kind).cores)) for kind, one in INSTANCES.items()}
    assert kept == {"c7g.medium": 60, **dict.fromkeys(("t4g.medium", "t4g.large", "c7g.large", "m7g.large"), 70)}


def test_system_pods_include_the_operator_as_the_chart_has_it() -> None:
    values = yaml.safe_load((ROOT / "charts/bapsang-operator/values.yaml").read_text())
    operator = nodes.requested(values["resources"]["requests"])
    others = [pod for pod in SYSTEM if pod != (20, 96)]
    assert values["replicas"] == 2
    assert nodes.SYSTEM.cores == pytest.approx(2 * operator.cores + sum(cores for cores, _ in others) / 1000)
    assert nodes.SYSTEM.mib == 2 * operator.mib + sum(mib for _, mib in others)


def test_pods_are_also_counted_by_memory_and_by_addresses() -> None:
    room = nodes.burst_room("c7g.large")
    assert room.holds(Room(0.5, 384)) == 3
    assert room.holds(Room(0.5, 1600)) == 1
    assert room.holds(Room(0, 0)) == 26, "29 less the three of the system"


@pytest.mark.parametrize(
    ("base", "burst", "words"),
    [
        ((0.8, 384), (0.5, 384), r"a pod of 0\.8 cores and 384 MiB does not fit a t4g\.medium 2 times"),
        ((0.5, 384), (1.8, 384), r"a pod of 1\.8 cores and 384 MiB does not fit a c7g\.large"),
        ((0.5, 384), (0.5, 4000), r"a pod of 0\.5 cores and 4000 MiB does not fit a c7g\.large"),
    ],
)
def test_pod_that_fits_no_node_is_refused(base: tuple[float, float], burst: tuple[float, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        capacity.sizing(LEAN, Room(*base), Room(*burst))


def test_target_is_a_share_of_what_the_pods_of_a_node_request() -> None:
    base = Room(0.5, 384)
    targets = {cores: capacity.sizing(LEAN, base, Room(cores, 384)).target_cpu for cores in (0.5, 0.75, 0.89)}
    # 30 % of two vCPU are 600m: of three pods of 500m, two of 750m, two of 890m.
    assert targets == {0.5: 40, 0.75: 40, 0.89: 34}
