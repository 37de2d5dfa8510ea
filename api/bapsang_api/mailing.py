"""`bapsang-api mail` sends letters until SIGTERM. A process of its own, so that letters are sent where requests are not served.

It needs the database, the mail server and the signing keys, not Redis.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bapsang_api import server
from bapsang_api.http.protocol import BoundedProtocol
from bapsang_api.keys import signing_keys
from bapsang_api.kit.clock import Clock, SystemClock
from bapsang_api.kit.concurrency import ended
from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.logs import describe
from bapsang_api.kit.problem import Unavailable
from bapsang_api.mail import store
from bapsang_api.mail.bounces import mark, reports_in
from bapsang_api.mail.seal import Seal
from bapsang_api.mail.store import Backlog
from bapsang_api.mail.worker import Tally, Worker, late_seconds
from bapsang_api.process import code_of, read_settings
from bapsang_api.schema_gate import UnfitDatabaseError, require_fit, until_fit
from bapsang_api.settings import Settings, SettingsError

log = logging.getLogger(__name__)

#: How long the letter under way may take after SIGTERM, within the grace of the pod. Cut off, it may be sent again.
GRACE_SECONDS: Final = 25.0
#: A worker is not ready while a letter has been due for longer: by that a Community's MailReady tells of it.
LATE_SECONDS: Final = 900.0
_READY_SECONDS: Final = 1.0  # for the database to say so: a kubelet waits two
_LIMITS: Final = Limits(connections=2, statement_seconds=30)


def mail(
    host: Annotated[str, typer.Option(help="address of the listener for probes and metrics")] = "127.0.0.1",
) -> int:
    """Send letters from the outbox, one at a time, until SIGTERM."""
    return code_of(work(read_settings(), host=host))


def bounces(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="the reports; - is standard input")] = Path("-"),
) -> int:
    """Read reports of letters that were not delivered: bounces (one message or an mbox), or JSON of SES."""
    return code_of(read_bounces(read_settings(), file=file))


async def read_bounces(settings: Settings, *, file: Path) -> bool:
    """Mark the addresses of letters that were not delivered; returns False when the database failed. Raises OSError."""
    clock, database = SystemClock(), Database(settings.database_url, _LIMITS)
    read, marked = 0, 0
    try:
        await require_fit(database)
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines:
            for report in reports_in(lines):
                read += 1
                if await database.write(partial(mark, report=report, now=clock.now())):
                    marked += 1
                    log.warning("mail.bounced", extra={"mail_id": report.mail_id, "reason": report.reason})
    except (Unavailable, UnfitDatabaseError) as error:
        log.error("mail.bounces_failed", extra={"error": describe(error)})
        return False
    finally:
        await database.close()
    log.info("mail.bounces_read", extra={"reports": read, "marked": marked, "unknown": read - marked})
    return True


async def work(settings: Settings, *, host: str) -> bool:
    """Send letters until SIGTERM or SIGINT. Raises SettingsError without a mail server, and ListenError."""
    if settings.mail is None:
        raise SettingsError("BAPSANG_SMTP_URL", "is not set", "give the URL of the server that takes mail")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock, seal = SystemClock(), Seal(signing_keys(settings))
    with server.bound(host, settings.admin_port) as admin_socket:
        database = Database(settings.database_url, _LIMITS)
        worker = Worker(database, settings.mail, seal, settings.stationery, clock)
        ready = asyncio.Event()
        admin = server.listener(_admin_app(worker, database, clock, ready), BoundedProtocol)
        listening = asyncio.create_task(admin.serve(sockets=[admin_socket]))
        stopping = asyncio.create_task(_set(stop))
        working = asyncio.create_task(_work(worker, database, stop, ready))
        log.info("mail.listening", extra={"admin_port": admin_socket.getsockname()[1], "host": host})
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        ready.clear()
        done, _ = await asyncio.wait((working,), timeout=GRACE_SECONDS)
        if not done:
            log.warning("mail.cut_off", extra={"seconds": GRACE_SECONDS})
        admin.should_exit = True
        await listening
        await ended([working, stopping])
        failed = working.exception() if working in done else None
        await database.close()
    if failed is not None:
        raise failed
    log.info("mail.ended")
    return True


async def _work(worker: Worker, database: Database, stop: asyncio.Event, ready: asyncio.Event) -> None:
    fit = asyncio.create_task(until_fit(database))
    await asyncio.wait((fit, asyncio.create_task(_set(stop))), return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        await ended([fit])
        return
    ready.set()
    log.info("mail.ready")
    await worker.run(stop)


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def _admin_app(worker: Worker, database: Database, clock: Clock, ready: asyncio.Event) -> Starlette:
    registry, letters = CollectorRegistry(), Letters(worker.tally, clock)
    ProcessCollector(registry=registry)
    registry.register(letters)

    async def livez(_: Request) -> Response:
        return PlainTextResponse("OK")

    async def readyz(_: Request) -> Response:
        if not ready.is_set():
            return PlainTextResponse("not ready", 503)
        with contextlib.suppress(
            Unavailable, TimeoutError
        ):  # then nobody knows, and no letter is the mail server's fault
            async with asyncio.timeout(_READY_SECONDS):
                if late_seconds(await database.read(store.oldest_due), clock.now()) > LATE_SECONDS:
                    return PlainTextResponse("letters wait", 503)
        return PlainTextResponse("OK")

    async def expose(_: Request) -> Response:
        letters.backlog = None
        with contextlib.suppress(Unavailable):  # no samples then
            letters.backlog = await database.read(store.backlog)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", expose)])


class Letters(Collector):
    """What this process has done, and what is left to do for all."""

    def __init__(self, tally: Tally, clock: Clock) -> None:
        self._tally, self._clock = tally, clock
        self.backlog: Backlog | None = None

    def collect(self) -> Iterator[Metric]:
        letters = CounterMetricFamily("bapsang_mail_letters", "Letters, by what became of them.", labels=("outcome",))
        for outcome, count in self._tally.letters.items():
            letters.add_metric((outcome,), count)
        yield letters
        yield GaugeMetricFamily(
            "bapsang_mail_server_up", "0 while the mail server takes no letters.", int(self._tally.server_up)
        )
        if self.backlog is not None:
            late = late_seconds(self.backlog.oldest, self._clock.now())
            yield GaugeMetricFamily("bapsang_mail_queue", "Letters to be sent, of all.", self.backlog.letters)
            yield GaugeMetricFamily("bapsang_mail_late_seconds", "For how long the oldest of them has been due.", late)
