"""The bill agrees with a second implementation and with the worked example; the search finds what is cheapest."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, fields, replace
from datetime import date
from importlib import resources
from pathlib import Path

import pytest
import yaml

from bapsang_operator.conditions import costing
from bapsang_operator.cost import bill, capacity, prices
from bapsang_operator.cost.__main__ import main
from bapsang_operator.cost.design import (
    CHEAPEST,
    INSTANCES,
    LEAN,
    NAMED,
    ORIGINAL,
    REFERENCE,
    Cdn,
    Design,
    Egress,
    Traffic,
)
from bapsang_operator.cost.prices import PriceError
from bapsang_operator.cost.report import report
from bapsang_operator.cost.search import search
from bapsang_operator.resource import parse

from .cost_oracle import monthly

TEXT = resources.files("bapsang_operator.cost").joinpath("ap-northeast-2.yaml").read_text()
BOOK = prices.load()
TODAY = date(2026, 11, 23)
ROOT = Path(__file__).resolve().parents[3]
FOUND = search(REFERENCE, BOOK)

#: The worked example: USD a month by group, for the original design, the lean one and the cheapest.
WORKED = {
    "EKS": (73.00, 73.00, 73.00),
    "EC2": (106.10, 82.55, 64.33),
    "EBS": (5.81, 5.47, 5.47),
    "RDS": (344.56, 148.92, 148.92),
    "RDS storage": (52.40, 26.20, 13.10),
    "RDS backup": (4.75, 2.38, 0.95),
    "Cache": (68.62, 54.90, 28.03),
    "Load balancer": (33.45, 33.45, 33.45),
    "Egress": (152.04, 114.08, 14.89),
    "API egress": (217.24, 217.24, 102.32),
    "Photos": (716.39, 217.80, 217.80),
    "S3 storage": (571.17, 150.28, 150.28),
    "S3 requests": (22.42, 24.55, 24.55),
    "Uploads": (2.78, 2.78, 2.78),
    "Between zones": (12.16, 6.08, 6.08),
    "CloudWatch": (141.00, 11.80, 8.00),
    "Small services": (6.00, 6.00, 6.00),
}
TOTALS = (2529.89, 1177.48, 899.96)


@pytest.mark.parametrize("column", range(3))
def test_worked_example_comes_out_row_by_row(column: int) -> None:
    found = bill.rows((ORIGINAL, LEAN, CHEAPEST)[column], REFERENCE, BOOK)
    for group, usd in WORKED.items():
        assert sum(row.usd for row in found if row.group == group) == pytest.approx(usd[column], abs=0.0051), group
    assert {row.group for row in found} == set(WORKED)
    assert bill.total(found) == pytest.approx(TOTALS[column], abs=0.005)


def test_worked_example_comes_out_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "original", "lean", "cheapest"], TODAY) == 0
    shown = {line[:18].strip(): line[18:].split() for line in capsys.readouterr().out.splitlines()}
    assert shown["TOTAL"] == ["2,529.89", "1,177.48", "899.96"]
    for group, usd in WORKED.items():
        assert [float(cell.replace(",", "")) for cell in shown[group]] == pytest.approx(usd, abs=0.011)


def _design(dice: random.Random) -> Design:
    return Design(
        zones=dice.randint(1, 3),
        base_type=dice.choice(list(INSTANCES)),
        base_nodes=dice.randint(1, 40),
        burst_type=dice.choice(["t4g.medium", "t4g.large", "c7g.medium", "c7g.large"]),
        burst_nodes=dice.randint(0, 60),
        burst_hours=dice.choice([None, dice.uniform(0, 730)]),
        spot=dice.random() < 0.8,
        commitment=dice.choice([0, 0.3, dice.random() * 0.7]),
        peak_utilisation=dice.choice([None, dice.random()]),
        egress=dice.choice(list(Egress)),
        endpoints=dice.randint(1, 12),
        database=dice.choice([name.removeprefix("rds.") for name in BOOK.prices if name.startswith("rds.db.")]),
        database_multi_az=dice.random() < 0.5,
        database_replica=dice.random() < 0.5,
        database_storage_gb=dice.uniform(20, 2000),
        backup_gb=dice.uniform(0, 500),
        mysql_8_0=dice.random() < 0.3,
        cache=dice.choice(["cache.t4g.micro", "cache.t4g.small"]),
        cache_engine=dice.choice(["redis", "valkey"]),
        cache_nodes=dice.randint(0, 4),
        cdn=dice.choice(list(Cdn)),
        originals_days=dice.uniform(0, 400),
        check_function=dice.random() < 0.5,
        compress=dice.random() < 0.5,
        cross_zone=dice.random(),
        log_gb=dice.uniform(0, 500),
        alarms=dice.randint(0, 50),
        metrics=dice.randint(0, 100),
    )


def _traffic(dice: random.Random) -> Traffic:
    """Every figure between nothing and five times the reference."""
    return Traffic(**{field.name: getattr(REFERENCE, field.name) * dice.uniform(0, 5) for field in fields(Traffic)})


def test_bill_equals_an_independent_one_on_thousands_of_designs() -> None:
    listed = {row["id"]: row for row in yaml.safe_load(TEXT)["prices"]}
    dice = random.Random(7)
    for _ in range(10_000):
        design, traffic = _design(dice), _traffic(dice)
        expected = monthly(listed, asdict(design), asdict(traffic))
        assert bill.total(bill.rows(design, traffic, BOOK)) == pytest.approx(expected, abs=0.005), design


@pytest.mark.parametrize("price", sorted(BOOK.prices))
def test_every_price_matters(price: str) -> None:
    """A price that changes no bill, and no saving, of any design would be dead; one that is wrong would not be seen."""
    dearer = replace(
        BOOK, prices={**BOOK.prices, price: replace(BOOK.prices[price], usd=BOOK.prices[price].usd * 1.5 + 0.01)}
    )
    dice = random.Random(3)
    designs = [*NAMED.values(), *(_design(dice) for _ in range(300))]
    busy = replace(REFERENCE, presigns_millions=200.0)
    assert any(report(one, busy, BOOK) != report(one, busy, dearer) for one in designs)


def test_changed_price_no_longer_yields_the_worked_example() -> None:
    for price in ("ec2.t4g.medium", "rds.db.t4g.medium", "cdn.business"):
        dearer = replace(
            BOOK, prices={**BOOK.prices, price: replace(BOOK.prices[price], usd=BOOK.prices[price].usd * 1.01)}
        )
        assert bill.total(bill.rows(LEAN, REFERENCE, dearer)) != pytest.approx(TOTALS[1], abs=0.005)


def test_savings_are_told_both_ways() -> None:
    lean, cheapest = report(LEAN, REFERENCE, BOOK), report(CHEAPEST, REFERENCE, BOOK)
    assert (round(lean.like_for_like, 2), round(cheapest.like_for_like, 2)) == (0.43, 0.56)
    assert round(lean.static_peak, 2) == 0.83
    assert round(report(ORIGINAL, REFERENCE, BOOK).like_for_like, 2) == 0.40
    assert (round(lean.per_million, 2), round(cheapest.per_million, 2)) == (1.94, 1.48)


def test_responses_have_the_bytes_that_the_bench_measured() -> None:
    """Whose assumption was it before? Ours: 2.0 and 1.0 KB."""
    sizes = json.loads((ROOT / "docs/benchmarks/api.json").read_text())["parts"]["sizes"]
    for client, priced in (("none", REFERENCE.response_kb), ("browsers", REFERENCE.compressed_kb)):
        measured = (sizes[client]["body_bytes"] + sizes["header_bytes"]) / 1000
        assert priced == pytest.approx(measured, abs=0.1), client


def test_spot_is_a_range_around_the_bill() -> None:
    made = report(LEAN, REFERENCE, BOOK)
    assert made.spot_low < made.usd < made.spot_high
    assert made.spot_high - made.spot_low == pytest.approx(6 * 121.6 * (0.0350 - 0.0272))


class Counted(dict[str, prices.Price]):
    """Prices that count how often they are looked up."""

    looked_up = 0

    def __getitem__(self, name: str) -> prices.Price:
        self.looked_up += 1
        return super().__getitem__(name)


def test_search_prices_a_hundred_thousand_designs_and_the_winner_is_no_dearer_than_the_reference() -> None:
    counted = Counted(BOOK.prices)
    found = search(REFERENCE, replace(BOOK, prices=counted))
    assert found.examined >= 100_000
    assert found.front[0].usd <= TOTALS[2]
    assert found.front[0].design.zones >= 2
    # A design costs an addition: whole bills for all of them would take minutes.
    assert 0 < counted.looked_up < found.examined / 10


def test_every_design_on_the_front_holds_and_costs_what_its_bill_says() -> None:
    for one in FOUND.front:
        assert capacity.single_points(one.design) == []
        assert capacity.shortfalls(one.design, REFERENCE) == []
        assert one.usd == pytest.approx(bill.total(bill.rows(one.design, REFERENCE, BOOK)))
    assert [one.usd for one in FOUND.front] == sorted(one.usd for one in FOUND.front)
    assert [one.floor for one in FOUND.front] == sorted(one.floor for one in FOUND.front)


def test_no_design_that_holds_is_cheaper_than_the_winner() -> None:
    """Random designs of the space, judged by the whole rules instead of the search's parts."""
    dice = random.Random(11)
    holding = 0
    for _ in range(20_000):
        zones, kind, each = dice.choice([2, 3]), dice.choice(list(INSTANCES)), dice.randint(1, 3)
        burst = dice.choice(["t4g.medium", "t4g.large", "c7g.medium", "c7g.large"])
        count = capacity.burst_nodes(REFERENCE, zones, kind, each * zones, burst)
        cores = each * zones * INSTANCES[kind].vcpu + count * INSTANCES[burst].vcpu
        hot = 4.63 / cores if count and INSTANCES[burst].baseline < 1 else None
        design = replace(
            CHEAPEST,
            zones=zones,
            base_type=kind,
            base_nodes=each * zones,
            burst_type=burst,
            burst_nodes=count,
            peak_utilisation=hot,
            commitment=dice.choice([0.0, 0.3]),
            egress=dice.choice(list(Egress)),
            database=dice.choice(["db.t4g.micro", "db.t4g.small", "db.t4g.medium", "db.m7g.large"]),
            database_multi_az=dice.random() < 0.8,
            cache=dice.choice(["cache.t4g.micro", "cache.t4g.small"]),
            cache_nodes=dice.choice([1, 2]),
            cdn=dice.choice(list(Cdn)),
            check_function=dice.random() < 0.5,
        )
        if not capacity.single_points(design) and not capacity.shortfalls(design, REFERENCE):
            holding += 1
            assert bill.total(bill.rows(design, REFERENCE, BOOK)) >= FOUND.front[0].usd - 0.005
    assert holding > 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bill", "lavish"], "lavish: neither a file nor one of"),
        (["bill", "lean", "--set", "colour=red"], "colour: no such setting"),
        (["bill", "lean", "--set", "zones=two"], "zones: must be a whole number"),
        (["bill", "lean", "--set", "egress=tube"], "egress: must be one of endpoints"),
        (["bill", "lean", "--set", "compress=1"], "compress: must be true or false"),
        (["bill", "lean", "--set", "burst_type=x9z.large"], "ec2.x9z.large: not in the price book"),
        (["bill", "lean", "--set", "base_type=t3.medium"], "t3.medium: unknown instance type"),
        (["bill", "lean", "--traffic", "average_qps=-1"], "average_qps: must be a number from 0"),
        (["bill", "lean", "--prices", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_bad_argument_is_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments, TODAY) == 2
    assert message in capsys.readouterr().err


def test_old_prices_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bill", "lean"], TODAY) == 0
    assert capsys.readouterr().err == ""
    assert main(["bill", "lean"], date(2027, 11, 1)) == 0
    assert "prices older than a year: alarm, " in capsys.readouterr().err


def test_bill_of_a_community_prices_its_estate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bill", str(ROOT / "manifests/samples/community-eks.yaml")], TODAY) == 0
    shown = capsys.readouterr().out
    assert "db.t4g.medium" in shown
    assert "single points of failure none" in shown
    assert main(["bill", str(ROOT / "manifests/samples/community.yaml")], TODAY) == 2
    assert "spec.estate: is required" in capsys.readouterr().err


def test_bill_of_a_community_is_the_one_of_its_status(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With its own traffic, which settings change."""
    text = (ROOT / "manifests/samples/community-eks.yaml").read_text()
    path = tmp_path / "community.yaml"
    path.write_text(
        text.replace("averageQPS: 232, peakQPS: 2315, cpuMicroseconds: 2000", "averageQPS: 500, cpuMicroseconds: 4000")
    )
    found = next(one for one in yaml.safe_load_all(path.read_text()) if one["kind"] == "Community")
    made = parse({**found, "metadata": {**found["metadata"], "uid": "", "generation": 1}})
    assert made.estate is not None
    block = costing.assess(made, made.estate, TODAY).block
    assert block is not None
    assert main(["bill", str(path)], TODAY) == 0
    shown = capsys.readouterr().out
    total = next(line for line in shown.splitlines() if line.startswith("TOTAL"))
    assert float(total.split()[1].replace(",", "")) == float(block["monthlyUSD"])
    assert "without any spot node    35% of the peak is carried" in shown
    assert main(["bill", str(path), "--traffic", "cpu_ms_per_request=2"], TODAY) == 0
    assert "without any spot node    69% of the peak is carried" in capsys.readouterr().out


def test_search_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search"], TODAY) == 0
    assert f"{FOUND.front[0].usd:,.2f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("currency: USD\nprices: 1", "prices: must be a list"),
        ("currency: KRW\nprices: []", "currency: must be USD"),
        ("currency: USD\nprices: [{id: a}]", "prices[0]: needs "),
        (
            "currency: USD\nprices: [{id: a, usd: -1, unit: h, asOf: 2026-10-01, source: x}]",
            "prices[0] (a): -1 is not a price",
        ),
        ("currency: USD\nprices: [{id: a, usd: 1, unit: h, asOf: soon, source: x}]", "prices[0].asOf: must be a date"),
        (
            "currency: USD\nprices: [{id: a, usd: 1, unit: h, asOf: 2026-10-01, source: x, spot: [3, 2, 1]}]",
            "prices[0].spot: ",
        ),
        (
            "currency: USD\nprices:" + 2 * "\n- {id: a, usd: 1, unit: h, asOf: 2026-10-01, source: x}",
            "prices[1].id: a is there twice",
        ),
        ("{", "not YAML"),
    ],
)
def test_bad_price_book_is_refused_by_row(text: str, message: str) -> None:
    with pytest.raises(PriceError) as refused:
        prices.parse(text)
    assert message in str(refused.value)


def test_price_book_lies_where_the_manifests_are() -> None:
    assert (ROOT / "manifests/pricebook/ap-northeast-2.yaml").read_text() == TEXT
