"""The operator's own Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bapsang_operator.community_metrics import CommunityMetrics, Live


class Metrics:
    """All metrics; one object for each process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Histogram(
            "bapsang_operator_reconcile_seconds",
            "Time that one pass over a Community took.",
            ["result"],
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60),
            registry=self.registry,
        )
        self.requests = Counter(
            "bapsang_operator_api_requests_total",
            "Requests to the apiserver, watches aside.",
            ["verb", "kind", "code"],
            registry=self.registry,
        )
        self.writes = Counter(
            "bapsang_operator_writes_total",
            "Requests that change something; stands still while nothing changes.",
            ["verb", "kind"],
            registry=self.registry,
        )
        self.unsettled = Counter(
            "bapsang_operator_unsettled_applies_total",
            "Applied objects that came back different from what was sent: a builder disagrees with the apiserver.",
            ["kind"],
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "bapsang_operator_queue_depth", "Communities that wait for a worker.", registry=self.registry
        )
        self.loop_lag = Gauge(
            "bapsang_operator_event_loop_lag_seconds", "How late timers fire.", registry=self.registry
        )
        self.watch_age = Gauge(
            "bapsang_operator_watch_age_seconds",
            "Time since the watch of a kind was last (re)opened; of several namespaces, in the one where it is longest.",
            ["kind"],
            registry=self.registry,
        )
        self.refused_namespaces = Gauge(
            "bapsang_operator_refused_namespaces",
            "Watched namespaces that the apiserver refuses: deleted, or without rights for the operator.",
            registry=self.registry,
        )
        self.leader = Gauge(
            "bapsang_operator_leader", "1 while this process holds the lease and writes.", registry=self.registry
        )
        self.communities = Gauge(
            "bapsang_operator_communities", "Communities that are looked after.", registry=self.registry
        )

    def watch_communities(self, source: Callable[[], Iterable[Live]]) -> None:
        """Add series of each Community that `source` returns at a scrape."""
        self.registry.register(CommunityMetrics(source))

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)
