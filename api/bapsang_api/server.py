"""`bapsang-api serve`: the public and the admin listener in one process, and its orderly end."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from bapsang_api.http.protocol import BoundedProtocol, GatewayProtocol
from bapsang_api.kit.concurrency import ended
from bapsang_api.kit.logs import describe
from bapsang_api.kit.problem import Unavailable
from bapsang_api.lifecycle import Lifecycle
from bapsang_api.runtime import Runtime, running
from bapsang_api.schema_gate import PAUSE_SECONDS, until_fit
from bapsang_api.settings import Settings

log = logging.getLogger(__name__)

# With the drain before it and closing after it, the end of the process stays within 20 seconds.
REQUEST_SECONDS: Final = 10
# Longer than the idle time of the load balancers in front (60 s): the one who closes first must not be this side.
KEEP_ALIVE_SECONDS: Final = 75
# As many as the kernel admits: what does not fit is tried again by the client's kernel after one second, then two, then four.
BACKLOG: Final = 4096
# libuv accepts one connection of each descriptor a turn of the event loop. Turns of a busy process are long: by one descriptor it
# accepts a few connections a second, and the kernel turns clients away. Each accepted connection makes the turn longer, too.
_DESCRIPTORS: Final = 4
# Each means every address of the machine, in both families: operators give the first, and pods may have IPv6 addresses alone.
_EVERY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what `--host` may name


class ListenError(OSError):
    """An address that cannot be listened on; the text says which."""


class _Listener(uvicorn.Server):
    """uvicorn without its signal handlers: two listeners in one process need one common end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, *, host: str, port: int, drain_seconds: float) -> bool:
    """Serve until SIGTERM or SIGINT; tell whether it ever became ready. Raises SettingsError and ListenError before anything is served.

    It listens at once, and is ready once the database has been found to have the schema that this program needs.
    At the signal readiness fails at once, requests are still accepted for `drain_seconds` while load balancers notice,
    then those in flight get up to 10 s to finish. A second signal ends at once.
    """
    # Bound before anything else: a taken port should not first migrate a database.
    with bound(host, port) as public_socket, bound(host, settings.admin_port) as admin_socket:
        async with running(settings) as runtime:
            public = listener(runtime.app, GatewayProtocol)
            admin = listener(runtime.admin, BoundedProtocol)
            stop, hurry = asyncio.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, _on_signal, stop, hurry)
            ending = asyncio.create_task(_drain(stop, hurry, runtime.lifecycle, drain_seconds, (public, admin)))
            serving = [
                asyncio.create_task(public.serve(sockets=descriptors(public_socket))),
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
    while True:
        try:
            await runtime.revoked.recall(runtime.database)
            break
        except Unavailable as error:
            log.warning("serve.revocations_unread", extra={"error": describe(error)})
            await asyncio.sleep(PAUSE_SECONDS)
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


def listener(app: Any, protocol: type[BoundedProtocol]) -> _Listener:
    """Return a listener, still without a socket; the process ends it by `should_exit`."""
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
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket that is bound but does not listen yet. Raises ListenError."""
    is_dual = host in _EVERY and socket.has_dualstack_ipv6()  # not where the kernel was started without IPv6
    address = "::" if is_dual else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_dual:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listening.bind((address, port))
        except OSError as error:
            raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        yield listening


def descriptors(listening: socket.socket) -> list[socket.socket]:
    """Return it with others of the same queue of connections."""
    return [listening, *(listening.dup() for _ in range(_DESCRIPTORS - 1))]


def _port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])
