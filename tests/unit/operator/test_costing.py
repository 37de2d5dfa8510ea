"""status.cost and the conditions on cost, single points and the spot floor."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from bapsang_operator.conditions import costing, status
from bapsang_operator.conditions.observation import Observation
from bapsang_operator.cost import prices
from bapsang_operator.manifest import Manifest
from bapsang_operator.planning import progress
from bapsang_operator.resource import STATUS, core

from .world import Cluster, children, community

TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
EXTERNAL = {
    "redis": {"mode": "external", "url": "redis://cache:6379"},
    "database": {"mode": "external", "writerSecretRef": {"name": "db"}},
}


def _assess(estate: dict[str, Any] | None = None, today: date = TODAY, **changes: Any) -> costing.Costing:
    made = community(**{**EXTERNAL, **changes}, estate=estate or {})
    assert made.estate is not None
    return costing.assess(made, made.estate, today)


def _told(found: costing.Costing) -> dict[str, tuple[str, str]]:
    return {kind.value: (verdict.status, verdict.reason.value) for kind, verdict in found.conditions.items()}


def _message(found: costing.Costing, kind: str) -> str:
    return next(verdict.message for name, verdict in found.conditions.items() if name == kind)


def test_default_estate_holds_within_a_sufficient_budget() -> None:
    assert _told(_assess(budget={"monthlyUSD": 1200})) == {
        "CostWithinBudget": ("True", "WithinBudget"),
        "NoSinglePointOfFailure": ("True", "NothingSingle"),
        "SpotFloorHeld": ("True", "FloorHeld"),
    }


@pytest.mark.parametrize(
    ("budget", "verdict", "limit"),
    [
        ({}, ("Unknown", "NoBudget"), "spec.budget sets no limit"),
        ({"monthlyUSD": 100}, ("False", "OverBudget"), "of 100.00 USD (spec.budget.monthlyUSD)"),
        (
            {"monthlyRevenueUSD": 12_000},
            ("True", "WithinBudget"),
            "of 1,200.00 USD (10 % of spec.budget.monthlyRevenueUSD)",
        ),
        ({"monthlyRevenueUSD": 10_000, "maxCostPercent": 5}, ("False", "OverBudget"), "of 500.00 USD (5 % of"),
        ({"monthlyUSD": 5000, "monthlyRevenueUSD": 1000}, ("False", "OverBudget"), "of 100.00 USD (10 % of"),
    ],
)
def test_budget_is_the_narrower_of_its_limits(budget: dict[str, int], verdict: tuple[str, str], limit: str) -> None:
    found = _assess(budget=budget)
    assert _told(found)["CostWithinBudget"] == verdict
    assert limit in _message(found, "CostWithinBudget")


@pytest.mark.parametrize(
    ("estate", "changes", "named"),
    [
        ({"zones": 1}, {}, "one zone"),
        ({"baseNodes": {"count": 1}}, {}, "one base node"),
        ({"database": {"multiAZ": False}}, {}, "one database writer"),
        ({"cache": {"count": 1}}, {}, "one cache node"),
        ({}, {"redis": {"mode": "managed"}}, "one Redis pod"),
        ({}, {"database": {"mode": "embedded"}}, "the embedded MySQL (spec.database.mode)"),
        ({}, {"api": {"base": {"replicas": 1}}}, "one base pod (spec.api.base.replicas)"),
    ],
)
def test_every_single_point_is_named(estate: dict[str, Any], changes: dict[str, Any], named: str) -> None:
    found = _assess(estate, **changes)
    assert _told(found)["NoSinglePointOfFailure"] == ("False", "SinglePoint")
    assert named in _message(found, "NoSinglePointOfFailure")


def test_estate_that_cannot_lose_a_zone_is_too_small() -> None:
    found = _assess({"burstNodes": {"count": 2}})
    assert _told(found)["NoSinglePointOfFailure"] == ("False", "TooSmall")


@pytest.mark.parametrize(("replicas", "cpu", "fits"), [(4, "500m", True), (6, "500m", False), (4, "600m", False)])
def test_base_pods_that_find_no_room_on_the_base_nodes_are_told(replicas: int, cpu: str, fits: bool) -> None:
    """On EKS a node of two vCPUs has 1560m left beside the pods of the system; a rollout has a pod more for each four."""
    base = {"replicas": replicas, "resources": {"requests": {"cpu": cpu, "memory": "384Mi"}}}
    found = _assess({"baseNodes": {"type": "t4g.medium", "count": 2}}, api={"base": base})
    assert _told(found)["NoSinglePointOfFailure"] == (("True", "NothingSingle") if fits else ("False", "TooSmall"))
    if not fits:
        wanted = f"a rollout of spec.api.base.replicas has {replicas + -(-replicas // 4)}"
        assert "2 × t4g.medium have room for" in _message(found, "NoSinglePointOfFailure")
        assert wanted in _message(found, "NoSinglePointOfFailure")


def test_floor_depends_on_what_a_request_costs() -> None:
    found = _assess({"traffic": {"cpuMicroseconds": 4000}})
    assert _told(found)["SpotFloorHeld"] == ("False", "FloorTooLow")
    assert "spec.estate.baseNodes.count" in _message(found, "SpotFloorHeld")


@pytest.mark.parametrize("kind", ["x9z.large", "t3.medium"])
def test_unknown_instance_type_is_named_and_nothing_is_judged(kind: str) -> None:
    found = _assess({"baseNodes": {"type": kind}})
    assert found.block is None
    assert set(_told(found).values()) == {("Unknown", "PriceUnknown")}
    assert kind in _message(found, "CostWithinBudget")


def test_old_prices_are_told() -> None:
    found = _assess(today=TODAY + timedelta(days=400))
    assert "Prices older than a year: alarm, " in _message(found, "CostWithinBudget")
    assert "older" not in _message(_assess(), "CostWithinBudget")


def test_block_fits_its_schema_and_adds_up() -> None:
    block = _assess(budget={"monthlyRevenueUSD": 10_000}).block
    assert block is not None
    assert core.validate(STATUS, {"cost": block}, "status") == []
    assert set(block) == set(STATUS["properties"]["cost"]["properties"])
    assert sum(float(row["usd"]) for row in block["rows"]) == pytest.approx(float(block["monthlyUSD"]), abs=0.1)
    assert block["asOf"] == "2026-10-01"


def test_originals_cost_for_as_long_as_they_are_kept() -> None:
    shorter, longer = (_assess(originals={"days": days}).block for days in (7, 365))
    assert shorter is not None
    assert longer is not None
    assert float(shorter["monthlyUSD"]) + 300 < float(longer["monthlyUSD"])  # 11 TB more of them


def test_forecast_fills_nodes_with_all_replicas() -> None:
    few, many = ({"api": {"burst": {"minReplicas": 1, "maxReplicas": most}}} for most in (18, 180))
    costs = [_assess(**changes).block for changes in (few, many)]
    assert all(block is not None and float(block["forecastAtMaxReplicasUSD"]) > 0 for block in costs)
    assert costs[0] != costs[1]


def test_dearer_price_moves_the_condition() -> None:
    book = prices.load()
    row = book.price("cdn.business")
    dear = replace(book, prices={**book.prices, row.id: replace(row, usd=row.usd + 300)})
    made = community(**EXTERNAL, estate={}, budget={"monthlyUSD": 1200})
    assert made.estate is not None
    assert _told(costing.assess(made, made.estate, TODAY))["CostWithinBudget"][0] == "True"
    assert _told(costing.assess(made, made.estate, TODAY, dear))["CostWithinBudget"][0] == "False"


def _status(changes: Manifest, now: datetime = NOW, old: Manifest | None = None) -> Manifest:
    cluster = Cluster(community(**changes))
    cluster.bring_up()
    seen = progress.observe(cluster.community, children(cluster.community), cluster.live)
    return status.compute(Observation(cluster.community, seen, cluster.plan(), [], None), old or {}, now)


def test_status_has_cost_only_with_an_estate() -> None:
    assert "cost" not in _status({})
    priced = _status({"estate": {}})
    assert priced["cost"]["monthlyUSD"]
    assert [one["type"] for one in priced["conditions"]][-3:] == [
        "CostWithinBudget",
        "NoSinglePointOfFailure",
        "SpotFloorHeld",
    ]


def test_unchanged_world_yields_an_unchanged_cost_later_on() -> None:
    first = _status({"estate": {}})
    assert _status({"estate": {}}, NOW + timedelta(hours=5), first) == first


def test_forecast_counts_a_node_that_its_pods_do_not_fill() -> None:
    """Two pods of 890m fit onto an EKS node of two vCPU, which has 1780m left for them."""
    costs = []
    for most in (1, 2, 3, 4):
        burst = {"minReplicas": 1, "maxReplicas": most, "resources": {"requests": {"cpu": "890m"}}}
        block = _assess(api={"burst": burst}).block
        assert block is not None
        costs.append(float(block["forecastAtMaxReplicasUSD"]))
    one, two, three, four = costs
    assert one == two < three == four
    burst = {"minReplicas": 1, "maxReplicas": 2, "resources": {"requests": {"cpu": "891m"}}}
    dear = _assess(api={"burst": burst}).block
    assert dear is not None
    assert float(dear["forecastAtMaxReplicasUSD"]) == three, "a millicore more, and each has a node to itself"


def test_forecast_counts_photo_workers_where_burst_pods_leave_them_no_room() -> None:
    """A burst pod of 890m and one more fill a node; two of 750m leave room for one worker of 250m each."""

    def forecast(cpu: str, workers: int, **storage: Any) -> float:
        burst = {"minReplicas": 1, "maxReplicas": 4, "resources": {"requests": {"cpu": cpu}}}
        block = _assess(api={"burst": burst}, media={"maxReplicas": workers}, **storage).block
        assert block is not None
        return float(block["forecastAtMaxReplicasUSD"])

    bucket = {"storage": {"bucket": "media"}}
    assert forecast("750m", 3) == forecast("750m", 2, **bucket) < forecast("750m", 3, **bucket)
    assert forecast("890m", 3) < forecast("890m", 3, **bucket) == forecast("890m", 7, **bucket)
    assert forecast("890m", 7, **bucket) < forecast("890m", 8, **bucket)
