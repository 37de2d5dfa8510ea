"""What a photo weighs and costs to make, as measured; and which of its variants readers load, which is assumed.

`photo-weights.yaml` is copied from docs/benchmarks/photo-weights.json by `make generate`; nothing else in the model is a weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import yaml

#: Assumed: of 100 photos that readers load, how many are of which variant. 75 are in lists, which show 640 pixels at most.
#: 12.5 are in details, a fifth of them zoomed. 12.5 are authors. What a browser has already is not loaded again, and all that
#: count take WebP.
VIEWS: Final[Mapping[str, float]] = {
    "640.webp": 75.0,
    "1080.webp": 10.0,
    "1600.webp": 2.5,
    "96.webp": 12.5,
}


@dataclass(frozen=True)
class Weights:
    """Means of the measured corpus. Sizes in KB (decimal) and, of an upload, MB; `files` are the variants of a post's photo."""

    variants_kb: Mapping[str, float]
    upload_mb: float
    photo_mb: float
    files: int
    cpu_seconds: float

    @property
    def view_kb(self) -> float:
        """Return what a reader loads for a photo, by the mix of VIEWS."""
        return sum(share * self.variants_kb[name] for name, share in VIEWS.items()) / sum(VIEWS.values())


def parse(text: str) -> Weights:
    """Return the weights of a file. Raises KeyError for one that lacks a field."""
    found: dict[str, Any] = yaml.safe_load(text)
    return Weights(
        variants_kb={name: size / 1000 for name, size in found["variants"].items()},
        upload_mb=found["upload"] / 1e6,
        photo_mb=found["photo"] / 1e6,
        files=found["files"],
        cpu_seconds=found["cpuSeconds"],
    )


MEASURED: Final = parse(resources.files("bapsang_operator.cost").joinpath("photo-weights.yaml").read_text())
