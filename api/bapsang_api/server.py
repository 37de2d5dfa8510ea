"""`bapsang-api serve`: the public and the admin listener in one process, and its orderly end."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import uvicorn

from bapsang_api.http.protocol import BoundedProtocol, GatewayProtocol
from bapsang_api.kit.concurrency import ended
from bapsang_api.kit.logs import describe
from bapsang_api.lifecycle import Lifecycle
from bapsang_api.runtime import Runtime, running
from bapsang_api.schema_gate import until_fit
from bapsang_api.settings import Settings

log = logging.getLogger(__name__)

# With the drain before it and closing after it, the end of the process stays within 20 seconds.
REQUEST_SECONDS: Final = 10
# Longer than the idle time of the load balancers in front (60 s): the one who closes first must not be this side.
KEEP_ALIVE_SECONDS: Final = 75
# As many as the kernel admits: what does not fit is tried again by the client's kernel after one second, then two, then four.
BACKLOG: Final = 4096
# More, and a process that is behind spends its time on connections; fewer, and the kernel turns clients away.
_ACCEPTED_A_TURN: Final = 8
_PAUSE_SECONDS: Final = 0.5  # while no descriptor is free


class ListenError(OSError):
    """An address that cannot be listened on; the text says which."""


class Acceptor:
    """Accepts several connections a turn of the event loop.

    libuv accepts one. Turns of a busy process are long: it accepted a few a second, and the kernel turned clients away.
    """

    def __init__(self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listening, self._protocol, self._loop = listening, protocol, asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._begin()

    def close(self) -> None:
        self._loop.remove_reader(self._listening)
        if self._pause is not None:
            self._pause.cancel()

    async def wait_closed(self) -> None:
        """Wait for connections that were accepted and are not open yet."""
        if self._opening:
            await asyncio.wait(self._opening)

    def _begin(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_A_TURN):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptor is free
                log.error("serve.not_accepted", extra={"error": describe(error)})
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._begin)
                return
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._protocol, connection)


class _Listener(uvicorn.Server):
    """uvicorn without its signal handlers: two listeners in one process need one common end. It accepts by itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        protocol: Any = self.config.http_protocol_class
        opened = partial(protocol, config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        acceptors: list[Any] = [Acceptor(listening, opened) for listening in sockets or ()]
        self.servers = acceptors  # which `shutdown` closes


async def serve(settings: Settings, *, host: str, port: int, drain_seconds: float) -> bool:
    """Serve until SIGTERM or SIGINT; tell whether it ever became ready. Raises SettingsError and ListenError before anything is served.

    It listens at once, and is ready once the database has been found to have the schema that this program needs.
    At the signal readiness fails at once, requests are still accepted for `drain_seconds` while load balancers notice,
    then those in flight get up to 10 s to finish. A second signal ends at once.
    """
    # Bound before anything else: a taken port should not first migrate a database.
    with _bound(host, port) as public_socket, _bound(host, settings.admin_port) as admin_socket:
        async with running(settings) as runtime:
            public = _listener(runtime.app, GatewayProtocol)
            admin = _listener(runtime.admin, BoundedProtocol)
            stop, hurry = asyncio.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, _on_signal, stop, hurry)
            ending = asyncio.create_task(_drain(stop, hurry, runtime.lifecycle, drain_seconds, (public, admin)))
            serving = [
                asyncio.create_task(public.serve(sockets=[public_socket])),
                asyncio.create_task(admin.serve(sockets=[admin_socket])),
            ]
            for listening in (public_socket, admin_socket):
                listening.listen(BACKLOG)  # from here on a connection is served, so readiness tells the truth
            # What is here now stays: without it the collector has little to look at, and stops no request for long.
            gc.collect()
            gc.freeze()
            address = {"port": _port(public_socket), "admin_port": _port(admin_socket), "host": host}
            log.info("serve.listening", extra=address)
            starting = asyncio.create_task(_start(runtime, address))
            try:
                await asyncio.gather(*serving)
            finally:
                ending.cancel()
                is_started = starting.done()
                await ended([starting])
    log.info("serve.ended")
    return is_started


async def _start(runtime: Runtime, address: dict[str, object]) -> None:
    await until_fit(runtime.database)
    runtime.lifecycle.start()
    log.info("serve.ready", extra=address)


async def _drain(
    stop: asyncio.Event,
    hurry: asyncio.Event,
    lifecycle: Lifecycle,
    seconds: float,
    listeners: tuple[_Listener, ...],
) -> None:
    """Wait for the first signal, let the service drain, then end the listeners; the second signal cuts that short."""
    await stop.wait()
    lifecycle.drain()
    log.info("serve.draining", extra={"seconds": seconds})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await hurry.wait()
    for listener in listeners:
        listener.should_exit = True
    await hurry.wait()
    for listener in listeners:
        listener.force_exit = True


def _on_signal(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    if stop.is_set():
        hurry.set()
    stop.set()


def _listener(app: Any, protocol: type[BoundedProtocol]) -> _Listener:
    config = uvicorn.Config(
        app,
        backlog=BACKLOG,
        http=protocol,
        ws="none",
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=REQUEST_SECONDS,
    )
    return _Listener(config)


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        yield listening


def _port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])
