"""What the generator reports, as values. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .histogram import Histogram


@dataclass(frozen=True)
class Outcome:
    """What came of the requests of one class, or of several, in one window or all."""

    latency: Histogram  # of the expected answers
    refused: Histogram  # of the others
    statuses: Counter[str]
    failures: Counter[str]

    @classmethod
    def of(cls, window: Mapping[str, Any]) -> Outcome:
        return cls(
            Histogram.of(window["latency"]),
            Histogram.of(window["refused_latency"]),
            Counter(window["statuses"]),
            Counter(window["failures"]),
        )

    @classmethod
    def merged(cls, parts: Iterable[Outcome]) -> Outcome:
        found = list(parts)
        return cls(
            Histogram.merged(part.latency for part in found),
            Histogram.merged(part.refused for part in found),
            sum((part.statuses for part in found), Counter()),
            sum((part.failures for part in found), Counter()),
        )

    @property
    def good(self) -> int:
        return self.latency.count

    @property
    def errors(self) -> int:
        """Unexpected answers, and requests without one."""
        return self.refused.count + sum(self.failures.values())

    @property
    def requests(self) -> int:
        return self.good + self.errors

    def p50(self) -> float:
        return self._quantile(0.5)

    def p99(self) -> float:
        return self._quantile(0.99)

    def _quantile(self, share: float) -> float:
        """Return the milliseconds of the expected answers; infinite without any."""
        found = self.latency.quantile(share)
        return float("inf") if found is None else found / 1000

    def kinds(self) -> dict[str, int]:
        """Return the errors by status or kind."""
        unexpected = {status: count for status, count in self.statuses.items() if not status.startswith("2")}
        return dict(sorted({**unexpected, **self.failures}.items()))

    def record(self) -> dict[str, Any]:
        return {**self.latency.milliseconds(), "errors": self.errors, **({"by": self.kinds()} if self.errors else {})}


@dataclass(frozen=True)
class Run:
    """One run of the generator."""

    started: float  # seconds since 1970
    seconds: float  # in which what is counted was due
    sent: int  # requests, those while warming up too
    cpu_us: float
    lag: Histogram  # from when a request was due until it was handed to a connection
    windows: dict[str, list[Outcome]]  # by class
    tallies: dict[str, list[int]]

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Run:
        return cls(
            started=report["started"],
            seconds=report["counted"],
            sent=report["sent"],
            cpu_us=report["cpu_us"],
            lag=Histogram.of(report["lag"]),
            windows={name: [Outcome.of(one) for one in found] for name, found in report["classes"].items()},
            tallies=report["tallies"],
        )

    def outcome(self, *classes: str) -> Outcome:
        """Return what came of these classes, of all when none is given."""
        wanted = classes or tuple(self.windows)
        return Outcome.merged(window for name in wanted for window in self.windows.get(name, ()))

    def window(self, first: int, last: int, *classes: str) -> Outcome:
        """Return what came of these classes in the windows `first` to before `last`."""
        wanted = classes or tuple(self.windows)
        return Outcome.merged(one for name in wanted for one in self.windows.get(name, ())[first:last])

    @property
    def rate(self) -> float:
        """Expected answers a second."""
        return self.outcome().good / self.seconds if self.seconds else 0.0
