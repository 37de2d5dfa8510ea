"""What lies between one process and its servers: carries each request to S3 and each statement to MySQL, and tells of both.

Nothing in the program says at which step it is. The requests do: it can be killed before one is carried, when half of it is,
and when it is done but not answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

BEFORE, HALF, AFTER = "before", "half", "after"
# Called with a step and a moment of it, before anything more is carried. Raises CutError when nothing is to be any more.
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Told = Callable[[str, str], Awaitable[None]]
_MOST: Final = 1 << 24
_HEADER: Final = 4  # bytes of a packet of MySQL
_QUERY: Final = 3
_NO_BODY: Final = frozenset({204, 304})
_STATEMENTS: Final = (
    ("claim", re.compile(rb"UPDATE images SET due_at='.*leased_until='")),
    ("finish", re.compile(rb"UPDATE images SET photo=")),
    ("postpone", re.compile(rb"UPDATE images SET due_at='.*leased_until=NULL")),
    ("enqueue", re.compile(rb"UPDATE images SET due_at='")),
    ("mail claimed", re.compile(rb"UPDATE mail_outbox SET due_at='.*leased_until='")),
    ("mail sent", re.compile(rb"UPDATE mail_outbox SET address=NULL.*sent_at='")),
    ("post", re.compile(rb"INSERT INTO posts ")),
)


class CutError(Exception):
    """Who has sent it is dead."""


class Wire:
    """Proxies to S3 and to MySQL at ports that stay the same for whichever process uses them."""

    def __init__(self, begin: Callable[[], Told]) -> None:
        """`begin` is called at each new connection, and returns who is told of what it carries."""
        self._begin = begin
        self._servers: list[asyncio.Server] = []

    async def to_s3(self, host: str, port: int) -> int:
        """Return the port that leads there."""
        return await self.listen(_carry_http, host, port)

    async def to_mysql(self, host: str, port: int) -> int:
        return await self.listen(_carry_mysql, host, port)

    async def close(self) -> None:
        for server in self._servers:
            server.close()

    async def listen(self, carry: Callable[..., Awaitable[None]], host: str, port: int) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told = self._begin()
            try:
                with contextlib.suppress(CutError, OSError, asyncio.IncompleteReadError):
                    up = await asyncio.open_connection(host, port, limit=_MOST)
                    with contextlib.closing(up[1]):
                        await carry((reader, writer), up, told)
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_MOST)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])


async def _carry_http(client: Ends, server: Ends, told: Told) -> None:
    while True:
        head = await client[0].readuntil(b"\r\n\r\n")
        step = _step_of(head)
        await told(step, BEFORE)
        server[1].write(head)
        answer = b""
        if b"100-continue" in head.lower():
            answer = await server[0].readuntil(b"\r\n\r\n")
            if _status(answer) == 100:
                client[1].write(answer)
                answer = b""
        if not answer:
            body = await client[0].readexactly(_length(head))
            server[1].write(body[: len(body) // 2])
            if body:
                await server[1].drain()
                await told(step, HALF)
            server[1].write(body[len(body) // 2 :])
            answer = await server[0].readuntil(b"\r\n\r\n")
        if not head.startswith(b"HEAD ") and _status(answer) not in _NO_BODY:
            answer += await _body(server[0], answer)
        await told(step, AFTER)
        client[1].write(answer)
        await client[1].drain()


async def _carry_mysql(client: Ends, server: Ends, told: Told) -> None:
    asked: list[str] = []

    async def up() -> None:
        written = ""
        while True:
            header = await client[0].readexactly(_HEADER)
            packet = await client[0].readexactly(int.from_bytes(header[:3], "little"))
            if header[3] == 0 and packet[:1] == bytes((_QUERY,)):
                if packet[1:] == b"COMMIT" and written:
                    await told(written, BEFORE)
                    asked.append(written)
                if packet[1:] in (b"COMMIT", b"ROLLBACK"):
                    written = ""
                elif found := next((name for name, form in _STATEMENTS if form.match(packet[1:])), ""):
                    written = found
            server[1].write(header + packet)
            await server[1].drain()

    async def down() -> None:
        while data := await server[0].read(1 << 16):
            if asked:
                await told(asked.pop(), AFTER)
            client[1].write(data)
            await client[1].drain()

    both = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)


def _step_of(head: bytes) -> str:
    """Return what a request to S3 does, as in `put public`, `copy originals`."""
    method, path, _ = head.split(b" ", 2)
    folder = path.split(b"?")[0].split(b"/")[2:3]
    verb = "copy" if b"\r\nx-amz-copy-source:" in head.lower() else method.decode().lower()
    return f"{verb} {folder[0].decode() if folder else ''}"


def _status(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])


def _length(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else 0


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if b"transfer-encoding: chunked" not in head.lower():
        return await reader.readexactly(_length(head))
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        body += line + await reader.readexactly(int(line, 16) + 2)
        if int(line, 16) == 0:
            return body
