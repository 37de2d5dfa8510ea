"""The bill's rows of photos follow from what variants were measured to weigh, from their readers, and from the bucket's rules."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
import yaml

from bapsang_operator.cost import bill, capacity, photos, prices, weights
from bapsang_operator.cost.design import LEAN, REFERENCE, Cdn, Design, Traffic

ROOT = Path(__file__).resolve().parents[3]
BOOK = prices.load()
TEXT = resources.files("bapsang_operator.cost").joinpath("photo-weights.yaml").read_text()
WITH_FUNCTION = replace(LEAN, check_function=True)


def _traffic(measured: weights.Weights) -> Traffic:
    """Return the reference traffic with other weights."""
    return replace(
        REFERENCE,
        photo_kb=measured.view_kb,
        original_mb=measured.upload_mb,
        derived_mb=measured.photo_mb,
        photo_files=measured.files,
        cpu_seconds_per_photo=measured.cpu_seconds,
    )


def _usd(design: Design, traffic: Traffic, *names: str) -> float:
    return sum(row.usd for row in bill.rows(design, traffic, BOOK) if not names or row.price in names)


def _heavier(**changes: float) -> weights.Weights:
    """Return the measured weights with some of the file's values changed."""
    found = yaml.safe_load(TEXT)
    for name, value in changes.items():
        (found["variants"] if name in found["variants"] else found)[name] = value
    return weights.parse(yaml.safe_dump(found))


def test_reference_traffic_has_the_measured_weights() -> None:
    assert _traffic(weights.parse(TEXT)) == REFERENCE


@pytest.mark.parametrize("name", sorted(weights.VIEWS))
@pytest.mark.parametrize("cdn", [Cdn.NONE, Cdn.AS_USED])
def test_the_weight_of_each_variant_that_readers_load_moves_the_bill(name: str, cdn: Cdn) -> None:
    """Ten kilobytes more: its share of the views, times the price of a gigabyte."""
    design = replace(LEAN, cdn=cdn)
    heavier = _traffic(_heavier(**{name: 1000 * (weights.MEASURED.variants_kb[name] + 10)}))
    more = REFERENCE.photo_views_millions * 10 * weights.VIEWS[name] / 100
    price = BOOK["egress" if cdn is Cdn.NONE else "cdn.egress"]
    assert _usd(design, heavier) - _usd(design, REFERENCE) == pytest.approx(more * price)


@pytest.mark.parametrize(
    ("field", "price", "design"),
    [
        ("photo", "s3.standard", LEAN),
        ("upload", "s3.standard", LEAN),
        ("files", "s3.put", LEAN),
        ("cpuSeconds", "lambda.compute", WITH_FUNCTION),
        ("cpuSeconds", "ec2.c7g.large", LEAN),
    ],
)
def test_what_a_photo_takes_moves_its_row(field: str, price: str, design: Design) -> None:
    heavier = _traffic(_heavier(**{field: 2 * yaml.safe_load(TEXT)[field]}))
    assert _usd(design, heavier) - _usd(design, REFERENCE) == pytest.approx(
        _usd(design, heavier, price) - _usd(design, REFERENCE, price)
    )
    assert _usd(design, heavier) > _usd(design, REFERENCE)


@pytest.mark.parametrize(
    ("group", "more"), [("S3 requests", 30.78), ("S3 storage", 4.71), ("Uploads", 10.45), (None, 45.94)]
)
def test_check_function_costs_its_writes_their_place_and_its_work(group: str | None, more: float) -> None:
    """The sum is why it is off by default."""
    without, checked = (
        sum(row.usd for row in bill.rows(design, REFERENCE, BOOK) if group in {None, row.group})
        for design in (LEAN, WITH_FUNCTION)
    )
    assert checked - without == pytest.approx(more, abs=0.0051)
    assert group or f"{checked - without:.2f} USD a month more" in (ROOT / "docs/aws.md").read_text()


def test_views_are_shares_of_all_and_name_variants_that_are_made() -> None:
    assert sum(weights.VIEWS.values()) == 100
    assert weights.VIEWS.keys() <= weights.MEASURED.variants_kb.keys()


def test_originals_are_billed_for_their_days_and_a_week_of_old_versions() -> None:
    day = REFERENCE.photos_a_day * REFERENCE.original_mb / 1000 * BOOK["s3.standard"]
    kept = [_usd(replace(LEAN, originals_days=float(days)), REFERENCE, "s3.standard") for days in (30, 31, 1000)]
    assert kept[1] - kept[0] == pytest.approx(day)
    assert kept[2] - kept[0] == pytest.approx(day * (REFERENCE.days_stored - 37))


def test_bucket_keeps_what_was_deleted_as_long_as_the_bill_says() -> None:
    text = (ROOT / "manifests/aws/50-media.yaml").read_text()
    rules = text.partition("\n  Media:\n")[2].partition("\n  Site:\n")[0]
    assert re.findall(r"NoncurrentDays: (\d+)", rules) == [f"{photos.OLD_VERSIONS_DAYS:g}"]
    assert re.findall(r"Prefix: checked/, ExpirationInDays: (\d+)", rules) == [f"{photos.CHECKED_DAYS:g}"]


def test_plan_includes_the_bytes_of_variants_and_not_those_of_originals() -> None:
    assert capacity.shortfalls(LEAN, REFERENCE) == []
    before = replace(REFERENCE, photo_kb=1000 * REFERENCE.original_mb)
    assert [line.partition(" GB")[0] for line in capacity.shortfalls(LEAN, before)] == [
        "the CDN plan business includes 50,000"
    ]
