"""The capacity model: its table, what the loss of a zone or of all spot leaves, and the sample that comes out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bapsang_operator import quantity, spec
from bapsang_operator.cost import capacity
from bapsang_operator.cost.design import CHEAPEST, LEAN, ORIGINAL, REFERENCE

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = next(
    one
    for one in yaml.safe_load_all((ROOT / "manifests/samples/community-eks.yaml").read_text())
    if one["kind"] == "Community"
)
PARSED = spec.parse({**SAMPLE, "metadata": {**SAMPLE["metadata"], "uid": "", "generation": 1}})

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
    design, traffic, api = PARSED.estate.design, PARSED.estate.traffic, PARSED.api
    requests = {quantity.parse(one.requests["cpu"]) for one in (api.base_resources, api.burst.resources)}
    assert len(requests) == 1
    found = capacity.sizing(design, float(requests.pop()))
    assert (api.base_replicas, api.burst.max_replicas) == (found.base_replicas, found.burst_max_replicas)
    assert api.autoscaling.target_cpu == found.target_cpu
    assert design.burst_nodes == capacity.burst_nodes(
        traffic, design.zones, design.base_type, design.base_nodes, design.burst_type
    )
    assert capacity.shortfalls(design, traffic) == []
    held = capacity.floor_share(design, traffic) >= capacity.FLOOR_SHARE
    assert held, "the sample's spec.estate.baseNodes.count is too low for its cpuMicroseconds (docs/capacity.md)"


def test_pod_that_fits_no_node_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a pod of 1\.9 cores fits no t4g\.medium"):
        capacity.sizing(LEAN, 1.9)
