"""The corpus that photos are weighed with, what browsers load of it, and that its saved weights are those of photos."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.load import photo_weights
from tests.load.phone_photos import PHONES, Phone, upload
from tests.load.photo_weights import DENSITY, LIST, REAL, Weights, page, picked, spread

SAVED: dict[str, Any] = json.loads(photo_weights.RESULT.read_text())
VARIANTS = {one["name"]: one for one in SAVED["variants"]}
SMALL = Phone("JPEG", 900, 1200, 1, 92)


@pytest.mark.parametrize(
    ("css", "density", "others", "blink"),
    [
        (390, 2.0, 1080, 640),  # 780 pixels: nearer to 640 than to 1080
        (195, 2.0, 640, 320),
        (390, 3.0, 1600, 1080),
        (390, 1.0, 640, 640),  # nothing is enlarged on a screen of 1x
        (320, 1.0, 320, 320),
        (1200, 2.0, 1600, 1600),  # there is no larger one
    ],
)
def test_browsers_load_the_variant_that_their_rule_names(css: float, density: float, others: int, blink: int) -> None:
    assert (picked(css, density, blink=False), picked(css, density, blink=True)) == (others, blink)


def test_a_spread_names_mean_median_and_tail() -> None:
    assert spread([*range(1, 100), 1050]) == {"n": 100, "mean": 60, "p50": 50, "p95": 96}


def test_a_list_is_twenty_photos_and_their_authors() -> None:
    found = page({"640.webp": [30_000], "96.webp": [2_000]}, "640.webp", "96.webp")
    assert found["mean"] == found["p95"] == LIST * 32_000


def test_an_upload_is_the_same_in_each_run_upright_and_rougher_where_its_scene_is() -> None:
    plain, rough = (upload(SMALL, seed) for seed in (10, 7))
    assert upload(SMALL, 10) == plain
    weights = []
    for seed, content in ((10, plain), (7, rough)):
        found = Weights()
        found.add(SMALL, seed, content)
        assert found.refused == []
        assert set(found.by_variant) == {
            f"{size}.{kind}" for size in (320, 640, 1080, 96, 256) for kind in ("webp", "jpg")
        }
        weights.append(found.by_variant["640.webp"][0])
    assert weights[1] > 2 * weights[0]


def test_what_is_refused_is_told_and_weighs_nothing() -> None:
    found = Weights()
    found.add(SMALL, 1, b"no picture")
    assert len(found.refused) == 1
    assert found.uploads == {}


def test_saved_corpus_is_the_one_of_the_code_and_was_accepted_whole() -> None:
    assert {one["kind"]: one["n"] for one in SAVED["uploads"]["kinds"]} == {one.name: one.count for one in PHONES}
    assert SAVED["uploads"]["refused"] == []
    assert VARIANTS["640.webp"]["n"] == sum(one.count for one in PHONES) == 40


def test_saved_photos_are_no_smoother_than_real_ones() -> None:
    """Drawn scenes could be: the bill and the goals would be met by pictures that nobody takes. Those of 320 pixels are, by a third."""
    assert SAVED["real"] == REAL
    for name, bits in REAL["median"].items():
        least = 0.65 if name == "320.webp" else 0.85
        assert VARIANTS[name]["bits_a_pixel"]["p50"] > least * bits, name
    kinds = {one["kind"]: one["bytes_a_pixel"] for one in SAVED["uploads"]["kinds"]}
    assert kinds["12 MP JPEG 3:4"] == pytest.approx(REAL["upload"], rel=0.2)


def test_saved_pages_meet_the_goals() -> None:
    """At 390 px and 2x, whatever a browser takes of what lists offer."""
    assert VARIANTS["640.webp"]["p50"] <= 50_000
    assert SAVED["pages"]["list: thumbnailUrl"]["p95"] <= 1_200_000
    assert SAVED["pages"]["list: srcset"]["variant"] == "640.webp"
    assert DENSITY == 2.0
    assert SAVED["pages"]["detail"]["p50"] <= 180_000
