"""What photos weigh: uploads, each variant, and the pages that show them. Prints a table; saves docs/benchmarks/photo-weights.json.

`make bench-photos`, then `make generate`: the bill is reckoned from these figures. A corpus that is drawn (phone_photos.py) goes
through the decoder as uploads do. As drawn scenes could be smoother than photos, what real ones weigh is printed beside them.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.load.bench.machine import describe, revision
from tests.load.phone_photos import Phone, corpus

from bapsang_api.media.process import examine, memory_file
from bapsang_api.media.sizes import WIDTHS
from bapsang_api.media.verdict import Photo, Use
from bapsang_api.uploads.service import LIST_WIDTH

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs" / "benchmarks" / "photo-weights.json"
#: Photos of others, none of which is in the project: bits a pixel of 25 landscapes of two packages of Debian 12 (mate-backgrounds,
#: plasma-workspace-wallpapers) by the same encoders; bytes a pixel of a phone's photo of 24 megapixels as it came.
REAL: dict[str, Any] = {
    "median": {"320.webp": 0.98, "640.webp": 0.53, "1080.webp": 0.35, "640.jpg": 0.9, "1080.jpg": 0.71},
    "mean": {"320.webp": 1.1, "640.webp": 0.83, "1080.webp": 0.71, "640.jpg": 1.09, "1080.jpg": 0.95},
    "upload": 0.3,
}
DENSITY = 2.0
ACROSS = 390.0
DRAWS = 10_000
LIST = 20
#: What lists offer.
LIST_WIDTHS = tuple(width for width in WIDTHS if width <= LIST_WIDTH)


def picked(css: float, density: float, widths: Sequence[int] = WIDTHS, *, blink: bool) -> int:
    """Return which width of a `srcset` a browser loads for an image of `css` pixels on a screen of this density.

    The first that is dense enough; on dense screens Blink (Chrome, Samsung Internet) takes the one before it when the screen's
    density is below the geometric mean of both (`SelectionLogic` in html_srcset_parser.cc).
    """
    for lower, width in zip([None, *widths], widths, strict=False):
        if width / css >= density:
            near = blink and density > 1 and lower is not None and density < (lower * width) ** 0.5 / css
            return lower if near and lower else width
    return widths[-1]


def spread(values: Iterable[float], digits: int = 0) -> dict[str, float]:
    """Return number, mean, median, 95th percentile."""
    ordered = sorted(values)
    found = {
        "mean": statistics.fmean(ordered),
        "p50": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))],
    }
    return {"n": len(ordered), **{name: round(value, digits) for name, value in found.items()}}


def page(weights: Mapping[str, Sequence[int]], photo: str, profile: str) -> dict[str, float]:
    """Return what `LIST` posts with a photo and their author's picture weigh, over many lists by chance."""
    dice = random.Random(1)
    both = [weights[photo], weights[profile]]
    return spread(sum(sum(dice.choices(one, k=LIST)) for one in both) for _ in range(DRAWS))


def pages(weights: Mapping[str, Sequence[int]], uploads: Sequence[int]) -> dict[str, Any]:
    """Return the weights of a list of twenty and of a detail, as they were and as they are."""
    whole, half = (f"{picked(css, DENSITY, LIST_WIDTHS, blink=False)}.webp" for css in (ACROSS, ACROSS / 2))
    larger = f"{picked(ACROSS, DENSITY, blink=False)}.webp"
    return {
        "list before: twenty originals": page({"photo": uploads, "profile": uploads}, "photo", "profile"),
        "list: thumbnailUrl": page(weights, "640.webp", "96.webp"),
        "list: srcset": {"variant": whole, **page(weights, whole, "96.webp")},
        "list: srcset, two columns": {"variant": half, **page(weights, half, "96.webp")},
        "list: were there 1080 in its srcset": {"variant": larger, **page(weights, larger, "96.webp")},
        "detail": spread(weights["1080.webp"]),
    }


class Weights:
    """What came of uploads."""

    def __init__(self) -> None:
        self.uploads: dict[Phone, list[int]] = defaultdict(list)
        self.by_variant: dict[str, list[int]] = defaultdict(list)
        self.bits: dict[str, list[float]] = defaultdict(list)
        self.files = 0
        self.together: list[int] = []
        self.cpu: list[float] = []
        self.refused: list[str] = []

    def add(self, phone: Phone, seed: int, content: bytes) -> None:
        """Have the decoder make the variants of a post's photo and of a profile picture out of it."""
        for use in (Use.POST, Use.PROFILE):
            with memory_file(content) as file:
                outcome = examine(file, use)
            photo = outcome.verdict
            if not isinstance(photo, Photo):
                self.refused.append(f"{phone.name}, seed {seed}: {photo.detail}")
                return
            if (photo.width, photo.height) != (phone.width, phone.height):
                raise ValueError(f"{phone.name}, seed {seed}: became {photo.width} × {photo.height}")
            for one in photo.variants:
                self.by_variant[one.name].append(one.size)
                if (
                    phone.width > phone.height
                ):  # as those of REAL; a portrait of the same width is the same scene, larger
                    self.bits[one.name].append(8 * one.size / (one.width * one.height))
            if use is Use.POST:
                self.files = max(self.files, len(photo.variants))
                self.together.append(sum(one.size for one in photo.variants))
                self.cpu.append(outcome.cost.cpu_seconds)
        self.uploads[phone].append(len(content))

    @staticmethod
    def _kind(phone: Phone, sizes: Sequence[int]) -> dict[str, Any]:
        found = spread(sizes)
        return {"kind": phone.name, **found, "bytes_a_pixel": round(found["mean"] / (phone.width * phone.height), 3)}

    def record(self) -> dict[str, Any]:
        """Return the figures. Sizes are in bytes."""
        uploads = [one for sizes in self.uploads.values() for one in sizes]
        return {
            "uploads": {
                "bytes": spread(uploads),
                "refused": self.refused,
                "kinds": [self._kind(phone, sizes) for phone, sizes in self.uploads.items()],
            },
            "variants": [
                {"name": name, **spread(sizes), "bits_a_pixel": spread(self.bits[name], 2)}
                for name, sizes in self.by_variant.items()
            ],
            "post": {"files": self.files, "bytes": spread(self.together)},
            "cpu_seconds": spread(self.cpu, 3),
            "pages": pages(self.by_variant, uploads),
        }


def table(result: Mapping[str, Any]) -> str:
    """Return the variants in Markdown."""
    lines = ["| | mean kB | p50 | p95 | bits a pixel of landscapes, p50 |", "|---|---:|---:|---:|---:|"]
    for one in result["variants"]:
        cells = " | ".join(f"{one[key] / 1000:.1f}" for key in ("mean", "p50", "p95"))
        lines.append(f"| {one['name']} | {cells} | {one['bits_a_pixel']['p50']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    found = Weights()
    about = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": revision(ROOT), "machine": describe()}
    for phone, seed, content in corpus():
        found.add(phone, seed, content)
        sys.stderr.write(f"{phone.name}, seed {seed}: {len(content) / 1e6:.1f} MB\n")
    result = found.record()
    packages = {name: version(name) for name in ("pillow", "pi-heif")}
    saved = {**about, "packages": packages, **result, "real": REAL}
    options.out.write_text(json.dumps(saved, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{table(result)}\n{json.dumps(result['pages'], indent=2)}\n")


if __name__ == "__main__":
    main()
