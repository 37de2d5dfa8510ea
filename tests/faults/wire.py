"""A network between the processes and one server that can fall silent: a process that carries bytes both ways, in order.

Nobody is told when it is silent: connections stay open, and new ones are accepted. What was sent meanwhile arrives before
anything that is sent later, or never.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Final

# What a silence takes: requests, answers, or both.
UP, DOWN, BOTH = "requests", "answers", "both"
_REPLY: Final = b"."


class _Way:
    """One direction of a connection."""

    def __init__(self) -> None:
        self.target: asyncio.WriteTransport | None = None
        self.silent = self._ended = False
        self._held = bytearray()

    def carry(self, data: bytes) -> None:
        self._held += data
        self.flush()

    def end(self) -> None:
        self._ended = True
        self.flush()

    def flush(self) -> None:
        if self.silent or self.target is None:
            return
        if self._held:
            self.target.write(bytes(self._held))
            self._held.clear()
        if self._ended:
            self.target.close()


class _End(asyncio.Protocol):
    """One end: what it receives goes out by `out`, and what comes by `back` is sent from here."""

    def __init__(self, out: _Way, back: _Way, made: Callable[[asyncio.Transport], None]) -> None:
        self._out, self._back, self._made = out, back, made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._back.target = transport
        self._made(transport)
        self._back.flush()

    def data_received(self, data: bytes) -> None:
        self._out.carry(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._out.end()


class _Connection:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, carrier: _Carrier) -> None:
        self.up, self.down = _Way(), _Way()
        self._carrier = carrier
        self._ends: list[asyncio.Transport] = []
        self.client = _End(self.up, self.down, self._accepted)

    def _accepted(self, transport: asyncio.Transport) -> None:
        self._ends.append(transport)
        self._carrier.open.add(self)
        self._carrier.hush(self)
        task = asyncio.get_running_loop().create_task(self._connect())
        self._carrier.tasks.add(task)
        task.add_done_callback(self._carrier.tasks.discard)

    async def _connect(self) -> None:
        server = _End(self.down, self.up, self._ends.append)
        try:
            await asyncio.get_running_loop().create_connection(lambda: server, *self._carrier.address)
        except OSError:
            self.reset()

    @property
    def is_closed(self) -> bool:
        return all(end.is_closing() for end in self._ends)

    def reset(self) -> None:
        self._carrier.open.discard(self)
        for end in self._ends:
            end.abort()


class _Carrier:
    """The process's side: does what the director says, one line at a time, and says when it is done."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.open: set[_Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._silence = ""

    def hush(self, connection: _Connection) -> None:
        connection.up.silent = self._silence in (UP, BOTH)
        connection.down.silent = self._silence in (DOWN, BOTH)

    def silence(self, direction: str, who: str) -> None:
        """Carry nothing in that direction, on connections that are open ("old") or on all, also new ones ("all")."""
        self._silence = direction
        self.open = {connection for connection in self.open if not connection.is_closed}
        for connection in self.open:
            self.hush(connection)
        if who == "old":
            self._silence = ""

    def resume(self) -> None:
        """Carry what was held, all of it before anything new, and go on."""
        self._silence = ""
        for connection in self.open:
            self.hush(connection)
            connection.up.flush()
            connection.down.flush()

    def reset(self) -> None:
        """Lose what was held; both ends of every silent connection learn it."""
        self._silence = ""
        for connection in list(self.open):
            if connection.up.silent or connection.down.silent:
                connection.reset()

    def to(self, host: str, port: str) -> None:
        """Lead to another server from now on."""
        self.address, self._silence = (host, int(port)), ""
        for connection in list(self.open):
            connection.reset()

    async def run(self, listening: socket.socket, orders: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: _Connection(self).client, sock=listening)
        orders.setblocking(False)
        while line := await loop.sock_recv(orders, 1_000):
            order, *arguments = line.decode().split()
            getattr(self, order)(*arguments)
            await loop.sock_sendall(orders, _REPLY)


class Wire:
    """The director's side. `host` and `port` are where clients connect."""

    host = "127.0.0.1"

    def __init__(self, host: str, port: int) -> None:
        listening = socket.create_server((self.host, 0), backlog=1_000)
        self.port: int = listening.getsockname()[1]
        self._orders, theirs = socket.socketpair()
        self._process = os.fork()
        if not self._process:
            self._orders.close()
            _carry(functools.partial(_Carrier((host, port)).run, listening, theirs))
        listening.close()
        theirs.close()

    def silence(self, direction: str, who: str) -> None:
        self._tell("silence", direction, who)

    def resume(self) -> None:
        self._tell("resume")

    def reset(self) -> None:
        self._tell("reset")

    def to(self, host: str, port: int) -> None:
        self._tell("to", host, str(port))

    def close(self) -> None:
        self._orders.close()  # at whose end the process ends
        with contextlib.suppress(ChildProcessError):
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)

    def _tell(self, *words: str) -> None:
        self._orders.sendall(" ".join(words).encode())
        if self._orders.recv(1) != _REPLY:
            raise ConnectionError("the process between clients and server has ended")


def _carry(run: Callable[[], Any]) -> None:
    """Be the process that carries, until the director's end of the orders is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        asyncio.run(run())
    finally:
        os._exit(0)
