"""`bapsang-api media` makes variants of uploads until SIGTERM; `bapsang-api variants` has those made that older images lack.

A process of its own, so that decoding takes nothing from those that answer requests. It needs the database and the bucket, not
Redis.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bapsang_api import endings, server
from bapsang_api.http.protocol import BoundedProtocol
from bapsang_api.kit.clock import Clock, SystemClock
from bapsang_api.kit.concurrency import ended
from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.logs import describe
from bapsang_api.kit.problem import Unavailable
from bapsang_api.runtime import CHANGED, REFUSED
from bapsang_api.schema_gate import UnfitDatabaseError, require_fit, until_fit
from bapsang_api.settings import Settings, SettingsError
from bapsang_api.uploads import queries
from bapsang_api.uploads.backfill import BackFill
from bapsang_api.uploads.queries import Backlog
from bapsang_api.uploads.storage import Storage
from bapsang_api.uploads.worker import Tally, Worker

log = logging.getLogger(__name__)

#: Less than whoever answers requests gets on the same node.
NICE: Final = 10
#: How long a photo that was begun may go on after SIGTERM, within the grace of the pod. It would be begun again elsewhere.
GRACE_SECONDS: Final = 20.0
_LIMITS: Final = Limits(connections=2, statement_seconds=30)


async def work(settings: Settings, *, host: str) -> bool:
    """Make variants until SIGTERM or SIGINT. Raises SettingsError without a bucket, and ListenError."""
    os.nice(NICE)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    with server.bound(host, settings.admin_port) as admin_socket:
        async with _opened(settings) as (database, storage):
            worker = Worker(database, storage, clock, CHANGED, REFUSED)
            ready = asyncio.Event()
            admin = server.listener(_admin_app(worker, database, clock, ready), BoundedProtocol)
            listening = asyncio.create_task(admin.serve(sockets=[admin_socket]))
            stopping = asyncio.create_task(_set(stop))
            working = asyncio.create_task(_work(worker, database, stop, ready))
            log.info("media.listening", extra={"admin_port": admin_socket.getsockname()[1], "host": host})
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            ready.clear()
            done, _ = await asyncio.wait((working,), timeout=GRACE_SECONDS)
            if not done:
                log.warning("media.cut_off", extra={"seconds": GRACE_SECONDS})
            admin.should_exit = True
            await listening
            await ended([working, stopping])
            failed = working.exception() if working in done else None
    if failed is not None:
        raise failed
    log.info("media.ended")
    return True


async def _work(worker: Worker, database: Database, stop: asyncio.Event, ready: asyncio.Event) -> None:
    fit = asyncio.create_task(until_fit(database))
    await asyncio.wait((fit, asyncio.create_task(_set(stop))), return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        await ended([fit])
        return
    ready.set()
    log.info("media.ready")
    await worker.run(stop)


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def fill_back(settings: Settings) -> bool:
    """Have the variants made that images lack which were published before there were any; returns False when it failed.

    Somebody has to be at work on the queue. Ended halfway it goes on where it was when it is started again. Raises SettingsError.
    """
    async with _opened(settings) as (database, _):
        try:
            await require_fit(database)
            await BackFill(database, SystemClock(), _progress).run()
        except (Unavailable, UnfitDatabaseError) as error:
            log.error("variants.failed", extra={"error": describe(error)})
            endings.write(endings.of(error))
            return False
    return True


def _progress(made: int, left: int) -> None:
    sys.stderr.write(f"{made} done, {left} left\n")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Database, Storage]]:
    if settings.bucket is None:
        raise SettingsError("BAPSANG_S3_BUCKET", "is not set", "give the name of the bucket that holds the images")
    database, storage = Database(settings.database_url, _LIMITS), Storage(settings.bucket)
    try:
        yield database, storage
    finally:
        await storage.close()
        await database.close()


def _admin_app(worker: Worker, database: Database, clock: Clock, ready: asyncio.Event) -> Starlette:
    registry, photos = CollectorRegistry(), Photos(worker.tally, clock)
    ProcessCollector(registry=registry)
    registry.register(photos)

    async def livez(_: Request) -> Response:
        return PlainTextResponse("OK")

    async def readyz(_: Request) -> Response:
        return PlainTextResponse("OK") if ready.is_set() else PlainTextResponse("not ready", 503)

    async def expose(_: Request) -> Response:
        photos.backlog = None
        with contextlib.suppress(Unavailable):  # no samples then
            photos.backlog = await database.read(queries.backlog)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", expose)])


class Photos(Collector):
    """What this process has done, and what is left to do for all."""

    def __init__(self, tally: Tally, clock: Clock) -> None:
        self._tally, self._clock = tally, clock
        self.backlog: Backlog | None = None

    def collect(self) -> Iterator[Metric]:
        jobs = CounterMetricFamily("bapsang_media_jobs", "Jobs done, by what became of them.", labels=("outcome",))
        for outcome, count in self._tally.jobs.items():
            jobs.add_metric((outcome,), count)
        yield jobs
        yield CounterMetricFamily(
            "bapsang_media_cpu_seconds", "CPU time of the processes that decode.", self._tally.cpu_seconds
        )
        yield GaugeMetricFamily(
            "bapsang_media_peak_bytes", "The most memory that one of them has taken.", self._tally.peak_bytes
        )
        if self.backlog is not None:
            yield GaugeMetricFamily("bapsang_media_backlog", "Images to be made, of all.", self.backlog.jobs)
            yield GaugeMetricFamily(
                "bapsang_media_late_seconds", "For how long the oldest of them has been due.", self._late(self.backlog)
            )

    def _late(self, backlog: Backlog) -> float:
        return 0.0 if backlog.oldest is None else max(0.0, (self._clock.now() - backlog.oldest).total_seconds())
