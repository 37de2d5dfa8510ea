"""Series about each Community, read off what the store has at each scrape: they end with the Community. Pure.

At most one for each condition that this version knows, and four more; none of them has a value that users choose, but
namespace and name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType

_WHOSE: Final = ("namespace", "name")
_KNOWN: Final = frozenset(kind.value for kind in ConditionType)


@dataclass(frozen=True)
class Live:
    """A Community and, where there is one, its CronJob of the like-sync, as the store has them."""

    community: Manifest
    like_sync: Manifest | None


class CommunityMetrics(Collector):
    """Collects the series of all Communities that `source` returns."""

    def __init__(self, source: Callable[[], Iterable[Live]]) -> None:
        self._source = source

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return nothing, so that registering asks for no series."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return all series."""
        conditions = GaugeMetricFamily(
            "bapsang_community_condition",
            "1 for what a condition says now.",
            labels=[*_WHOSE, "type", "status", "reason"],
        )
        replicas = GaugeMetricFamily("bapsang_community_replicas", "Ready pods of a tier.", labels=[*_WHOSE, "tier"])
        cost = GaugeMetricFamily("bapsang_community_monthly_cost_usd", "USD a month of spec.estate.", labels=_WHOSE)
        synced = GaugeMetricFamily(
            "bapsang_community_like_sync_last_success_timestamp_seconds",
            "When the last run that succeeded wrote likes to MySQL.",
            labels=_WHOSE,
        )
        for live in self._source():
            whose = [live.community["metadata"][label] for label in ("namespace", "name")]
            status = live.community.get("status", {})
            for condition in _conditions(status):
                conditions.add_metric([*whose, *condition], 1)
            for tier in ("base", "burst"):
                replicas.add_metric([*whose, tier], status.get("replicas", {}).get(tier, 0))
            if (usd := _number(status.get("cost", {}).get("monthlyUSD"))) is not None:
                cost.add_metric(whose, usd)
            if (last := (live.like_sync or {}).get("status", {}).get("lastSuccessfulTime")) is not None:
                synced.add_metric(whose, datetime.fromisoformat(last).timestamp())
        return conditions, replicas, cost, synced


def _conditions(status: Manifest) -> Iterator[tuple[str, str, str]]:
    for condition in status.get("conditions", ()):
        # Others are of a newer version: nobody bounds their number.
        if condition["type"] in _KNOWN:
            yield condition["type"], condition["status"], condition["reason"]


def _number(text: str | None) -> float | None:
    """Return an amount of the status; None for none, and for one in the form of another version."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
