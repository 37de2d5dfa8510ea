"""One write an answer, whatever sort of answer it is."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from bapsang_api.http import onewrite

CHUNKS = 3
LET_GO = asyncio.Event()


class Spy:
    """A transport that notes what is written."""

    def __init__(self, transport: asyncio.Transport, written: list[bytes]) -> None:
        self._transport, self._written = transport, written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._written.append(data)
        self._transport.write(data)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer by path: `/text`, `/nothing` (204), `/chunks`, `/echo`, `/wait` (once it is let go)."""
    path = scope["path"]
    if path == "/wait":
        await LET_GO.wait()
    body = b"HTTP/1.1 is what this text is about" if path == "/text" else b""
    if path == "/echo":
        body = (await receive())["body"]
    headers = [] if path in ("/nothing", "/chunks") else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 204 if path == "/nothing" else 200, "headers": headers})
    for number in range(CHUNKS if path == "/chunks" else 0):
        await send({"type": "http.response.body", "body": b"chunk %d" % number, "more_body": True})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def written() -> list[bytes]:
    return []


@pytest.fixture
async def port(written: list[bytes], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    joining = onewrite._Joining
    monkeypatch.setattr(onewrite, "_Joining", lambda transport: joining(Spy(transport, written)))  # type: ignore[arg-type]
    config = uvicorn.Config(
        app, http=onewrite.OneWriteProtocol, loop="none", lifespan="off", access_log=False, log_config=None
    )
    server = uvicorn.Server(config)
    monkeypatch.setattr(server, "capture_signals", contextlib.nullcontext)
    with socket.create_server(("127.0.0.1", 0)) as listening:  # so a client may come before the server is up
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield int(listening.getsockname()[1])
        server.should_exit = True
        await serving


async def exchange(port: int, request: bytes, until: bytes) -> bytes:
    """Send bytes and return what comes back, up to an end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.readuntil(until)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("request_line", "end", "writes"),
    [
        (b"GET /text", b"is about", 1),
        (b"HEAD /text", b"\r\n\r\n", 1),
        (b"GET /nothing", b"\r\n\r\n", 1),
        (b"GET /chunks", b"0\r\n\r\n", CHUNKS + 1),
    ],
)
async def test_an_answer_is_one_write(
    port: int, written: list[bytes], request_line: bytes, end: bytes, writes: int
) -> None:
    answer = await exchange(port, request_line + b" HTTP/1.1\r\nHost: a\r\n\r\n", end)
    assert answer.startswith(b"HTTP/1.1 20")
    assert len(written) == writes


async def test_who_asks_whether_to_go_on_is_told_at_once(port: int, written: list[bytes]) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"abc")
        assert (await reader.readuntil(b"abc")).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    assert len(written) == 2


async def test_the_last_answer_of_a_connection_comes_whole_before_its_end(port: int) -> None:
    for method in (b"GET", b"HEAD"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(method + b" /text HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(10):
            answer = await reader.read()
        assert answer.endswith(b"is about" if method == b"GET" else b"\r\n\r\n")
        writer.close()


async def test_answers_to_requests_sent_at_once_come_in_order(port: int) -> None:
    paths = (b"GET /text", b"HEAD /text", b"GET /nothing", b"GET /text")
    answer = await exchange(port, b"".join(path + b" HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths), b"204 No Content")
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.count(b"is what this text") == 1


async def test_a_connection_that_sends_many_requests_ahead_is_closed(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: asyncio.Queue[int] = asyncio.Queue()
    ended = onewrite.OneWriteProtocol.connection_lost

    def count(self: onewrite.OneWriteProtocol, error: Exception | None) -> None:
        waiting.put_nowait(len(self.pipeline))
        ended(self, error)

    monkeypatch.setattr(onewrite.OneWriteProtocol, "connection_lost", count)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /wait HTTP/1.1\r\n\r\n" * 10_000)
    try:
        async with asyncio.timeout(10):
            assert await waiting.get() == 16
    finally:
        LET_GO.set()
        writer.close()


async def test_what_is_no_request_is_refused(port: int) -> None:
    answer = await exchange(port, b"nonsense\r\n\r\n", b"received.")
    assert answer.startswith(b"HTTP/1.1 400")


HEADER = b"X-Pad: " + b"a" * 10_000 + b"\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"GET /text HTTP/1.1\r\nHost: a\r\n", HEADER),  # one header after the other
        (b"GET /text HTTP/1.1\r\nHost: a\r\nX-Pad: ", b"a" * 10_000),  # one without an end
        (b"GET /", b"a" * 10_000),
        (b"POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", HEADER),
        (b"POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;", b"a" * 10_000),
    ],
    ids=["headers", "header", "url", "trailers", "extension"],
)
async def test_headers_that_go_on_and_on_end_the_connection(port: int, head: bytes, piece: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    sent = 0
    with contextlib.suppress(ConnectionError):
        while not reader.at_eof() and sent < 64 * 1024 * 1024:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
            await asyncio.sleep(0)
    assert sent < 16 * 1024 * 1024  # what the system holds between the two, and the limit
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_body_may_be_as_long_as_it_likes_here(port: int) -> None:
    """It is the gateway that limits bodies; and a long one must not be taken for a head."""
    length = onewrite._MOST_UNREAD * 4
    request = b"POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length + b"a" * length
    answer = await exchange(port, request, b"is about")
    assert answer.startswith(b"HTTP/1.1 200")
