"""Prometheus metrics of one process, in a registry of their own so that several apps can live in one interpreter."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.replica import ReplicatedDatabase

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"})
# Around the service levels: reads 200/500 ms, writes 300/1,000 ms.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0)


class CacheUsage(Protocol):
    """What a cache keeps now."""

    @property
    def entries(self) -> int: ...

    @property
    def bytes(self) -> int: ...


class Metrics:
    """What the admin listener exposes. Labels have few values: route templates, never paths."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "bapsang_http_requests_total",
            "Requests answered.",
            ("method", "route", "status_class"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "bapsang_http_request_seconds",
            "Time from the request's head to the end of its answer.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._sent = Counter(
            "bapsang_http_response_bytes",
            "Bytes of bodies as they were sent, compressed if the client takes that.",
            ("method", "route"),
            registry=self.registry,
        )
        self.serving = 0
        in_flight = Gauge("bapsang_http_in_flight", "Requests being served.", registry=self.registry)
        in_flight.set_function(lambda: self.serving)
        self.streams = 0
        open_streams = Gauge("bapsang_streams", "Open streams of notifications.", registry=self.registry)
        open_streams.set_function(lambda: self.streams)
        self.stream_events = Counter(
            "bapsang_stream_events_total", "Notifications sent to streams.", registry=self.registry
        )
        self.shed = Counter(
            "bapsang_http_shed_total",
            "Requests refused at once because enough of their kind were being worked on.",
            ("kind",),
            registry=self.registry,
        )
        self.like_dirty_posts = Gauge(
            "bapsang_like_dirty_posts", "Posts whose likes wait to be written to the database.", registry=self.registry
        )
        self.like_oldest_dirty_seconds = Gauge(
            "bapsang_like_oldest_dirty_seconds", "Age of the oldest like not yet written.", registry=self.registry
        )
        self.like_differences = Gauge(
            "bapsang_like_differences",
            "Likes by which rows, counts and Redis were found to differ, since Redis began: must be 0.",
            registry=self.registry,
        )
        self.like_posts_reconciled = Gauge(
            "bapsang_like_posts_reconciled", "Posts compared for such differences since then.", registry=self.registry
        )
        self.mail_oldest_due_seconds = Gauge(
            "bapsang_mail_oldest_due_seconds", "For how long the oldest letter has been due.", registry=self.registry
        )
        self.task_running = Gauge(
            "bapsang_task_running", "1 while the background task runs.", ("task",), registry=self.registry
        )
        self.task_failures = Counter(
            "bapsang_task_failures_total",
            "Background tasks that ended by an error and were started again.",
            ("task",),
            registry=self.registry,
        )
        self.redis_bytes = Gauge(
            "bapsang_redis_bytes",
            "Bytes of Redis that keys of a kind take, estimated.",
            ("kind",),
            registry=self.registry,
        )
        self.redis_budget = Gauge(
            "bapsang_redis_budget_bytes", "Bytes that keys of the kind may take.", ("kind",), registry=self.registry
        )
        self.redis_up = Gauge("bapsang_redis_up", "1 when Redis answered this scrape.", registry=self.registry)

    def watch(self, database: Database) -> None:
        """Expose how the pools of `database` are used, as of each scrape."""
        self.registry.register(_Pools(database))

    def watch_caches(self, usage: Callable[[], Mapping[str, CacheUsage]]) -> None:
        """Expose what caches keep, as of each scrape."""
        self.registry.register(_Caches(usage))

    def observe(self, method: str, route: str, status: int, size: int, seconds: float) -> None:
        """Count a request that was answered with a body of `size` bytes, as it was sent."""
        requests, durations, sent = self._series(method if method in _METHODS else "OTHER", route, status // 100)
        requests.inc()
        durations.observe(seconds)
        sent.inc(size)

    @lru_cache(maxsize=2048)  # noqa: B019 - as few as there are routes; looking series up costs more than counting
    def _series(self, method: str, route: str, hundreds: int) -> tuple[Counter, Histogram, Counter]:
        requests = self._requests.labels(method, route, f"{hundreds}xx")
        return requests, self._seconds.labels(method, route), self._sent.labels(method, route)

    def render(self) -> bytes:
        """Return the text format."""
        return generate_latest(self.registry)


class _Pools(Collector):
    """Reads the state of the database's pools when it is asked, so that nothing has to be kept up to date."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        connections = GaugeMetricFamily(
            "bapsang_db_connections", "Open connections of this process.", labels=("server", "state")
        )
        limit = GaugeMetricFamily("bapsang_db_connections_limit", "The most it may open.", labels=("server",))
        waiting = GaugeMetricFamily("bapsang_db_waiting", "Requests that wait for a connection.", labels=("server",))
        refused = CounterMetricFamily(
            "bapsang_db_refused", "Requests that got no connection in time.", labels=("server",)
        )
        for pool in self._database.usage():
            connections.add_metric((pool.server, "in_use"), pool.in_use)
            connections.add_metric((pool.server, "idle"), pool.idle)
            limit.add_metric((pool.server,), pool.size)
            waiting.add_metric((pool.server,), pool.waiting)
            refused.add_metric((pool.server,), pool.refused)
        yield from (connections, limit, waiting, refused)
        if isinstance(self._database, ReplicatedDatabase):
            yield GaugeMetricFamily(
                "bapsang_db_replica_up", "0 while the writer reads for the replica.", int(self._database.replica_up)
            )
            yield CounterMetricFamily(
                "bapsang_db_replica_fallbacks",
                "Reads that the writer took over because the replica could not answer them.",
                self._database.fallbacks,
            )


class _Caches(Collector):
    """Asks caches how much they keep when it is asked itself."""

    def __init__(self, usage: Callable[[], Mapping[str, CacheUsage]]) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        entries = GaugeMetricFamily("bapsang_cache_entries", "Entries of this process's caches.", labels=("cache",))
        size = GaugeMetricFamily("bapsang_cache_bytes", "Bytes of them that depend on clients.", labels=("cache",))
        for name, used in self._usage().items():
            entries.add_metric((name,), used.entries)
            size.add_metric((name,), used.bytes)
        yield from (entries, size)
