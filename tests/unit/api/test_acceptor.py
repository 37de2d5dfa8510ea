"""Connections are accepted in good time by a process whose turns are long, and again after descriptors ran out."""

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from bapsang_api import server
from bapsang_api.server import Acceptor

WAITING = 64


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"hello")
        transport.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=WAITING) as found:
        yield found


def connected(listening: socket.socket, count: int) -> list[socket.socket]:
    """Return connections that the kernel has made and nobody has accepted."""
    return [socket.create_connection(listening.getsockname(), timeout=10) for _ in range(count)]


def greeted(client: socket.socket) -> bool:
    with client:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            return client.recv(16) == b"hello"
    return False


def under_uvloop(main: Callable[[], Coroutine[None, None, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_as_many_wait_few_turns(listening: socket.socket) -> None:
    """libuv's own accept takes one turn for each: sixty-four."""
    clients = connected(listening, WAITING)

    async def main() -> None:
        acceptor = Acceptor(listening, Greeter)
        for _ in range(WAITING // 4):
            await asyncio.sleep(0)
        acceptor.close()
        await acceptor.wait_closed()
        await asyncio.sleep(0.05)

    under_uvloop(main)
    assert sum(map(greeted, clients)) == WAITING


def test_whoever_comes_after_the_end_is_not_accepted(listening: socket.socket) -> None:
    async def main() -> None:
        acceptor = Acceptor(listening, Greeter)
        acceptor.close()
        await acceptor.wait_closed()
        clients.extend(connected(listening, 1))
        await asyncio.sleep(0.05)

    clients: list[socket.socket] = []
    under_uvloop(main)
    assert not greeted(clients[0])


def test_it_accepts_again_once_descriptors_are_free(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "_PAUSE_SECONDS", 0.05)
    clients = connected(listening, 3)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main() -> None:
        acceptor = Acceptor(listening, Greeter)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # those that are open stay
        try:
            await asyncio.sleep(0.12)
            logged.extend(record.getMessage() for record in caplog.records)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await asyncio.sleep(0.15)
        acceptor.close()

    logged: list[str] = []
    with caplog.at_level(logging.ERROR):
        under_uvloop(main)
    assert 2 <= logged.count("serve.not_accepted") <= 4  # at each try, not at each turn
    assert all(map(greeted, clients))
