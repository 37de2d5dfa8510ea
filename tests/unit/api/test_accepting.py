"""Connections are accepted in good time by a process whose turns of the event loop are long."""

import asyncio
import contextlib
import socket
from typing import Any

import uvloop

from bapsang_api.server import descriptors

WAITING = 64


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"hello")
        transport.close()


def test_sixty_four_who_wait_take_few_turns() -> None:
    """libuv accepts one a turn and descriptor, where asyncio's own loop accepts all that wait."""

    async def accept() -> None:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(Greeter, sock=one, backlog=WAITING) for one in descriptors(listening)]
        for _ in range(WAITING // 2):
            await asyncio.sleep(0)
        for server in servers:
            server.close()
        await asyncio.sleep(0.05)  # what was accepted is greeted

    with socket.create_server(("127.0.0.1", 0), backlog=WAITING) as listening:
        clients = [socket.create_connection(listening.getsockname(), timeout=10) for _ in range(WAITING)]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(accept())
        greeted = []
        for client in clients:
            with client, contextlib.suppress(ConnectionResetError):
                greeted.append(client.recv(16))
    assert greeted == [b"hello"] * WAITING
