"""Times as the generator counts them: buckets of microseconds, each at most 1/128 as wide as what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
_EXACT = 256  # below this each microsecond has a bucket of its own


def highest(lowest: int) -> int:
    """Return the largest value of the bucket whose lowest is `lowest` (generator/histogram.go makes them)."""
    return lowest if lowest < _EXACT else lowest + (1 << (lowest.bit_length() - 8)) - 1


@dataclass
class Histogram:
    """How many values each bucket holds, by its lowest value."""

    counts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[Sequence[int]]) -> Histogram:
        """Read `[lowest, count]` pairs."""
        return cls({pair[0]: pair[1] for pair in pairs})

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Histogram:
        whole = cls()
        for part in parts:
            for lowest, count in part.counts.items():
                whole.counts[lowest] = whole.counts.get(lowest, 0) + count
        return whole

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def quantile(self, share: float) -> int | None:
        """Return the microseconds within which that share of the values lies, never too few; None of nothing."""
        total = self.count
        if not total:
            return None
        wanted, seen = max(1, -int(-share * total // 1)), 0  # rounded up
        for lowest in sorted(self.counts):
            seen += self.counts[lowest]
            if seen >= wanted:
                return highest(lowest)
        raise AssertionError(share)

    def milliseconds(self) -> dict[str, float | int | None]:
        """Return the usual quantiles and the maximum, in milliseconds, and how many values there are."""
        wanted = {**QUANTILES, "max": 1.0}
        found = {name: self.quantile(share) for name, share in wanted.items()}
        return {"n": self.count, **{name: None if us is None else round(us / 1000, 2) for name, us in found.items()}}
