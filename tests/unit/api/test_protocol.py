"""HTTP/1.1 on a real connection: one write an answer, whatever is asked; and limits to what a request may hold."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from bapsang_api.http import protocol
from bapsang_api.http.answers import CLOSE, Answer
from bapsang_api.http.request import Request, read_body
from bapsang_api.http.streaming import Sink

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


class Count:
    """A stream of two pieces, or one that fails."""

    def __init__(self, path: str) -> None:
        self.path = path

    def begin(self, sink: Sink) -> None:
        if self.path == "/broken-stream":
            raise ValueError
        sink.send(b"one\n")
        sink.send(b"two\n")
        sink.end()
        sink.end()

    def lose(self) -> None:
        pass


class Gateway:
    """Answers by path: `/text`, `/nothing` (204), `/echo`, `/wait` (once it is let go), `/torn` (a header that is two), and
    `/stream` and `/broken-stream`."""

    hops = 1

    async def exchange(self, request: Request, receive: Any) -> Answer | None:
        path = request.path
        if path == "/wait":
            await LET_GO.wait()
        if path == "/nothing":
            return Answer(204)
        if path.endswith("stream"):
            return Answer(200, stream=Count(path))
        body = b"HTTP/1.1 is what this text is about" if path == "/text" else b""
        if path == "/echo":
            body = await read_body(receive) or b""
        headers = [(b"content-length", b"%d" % len(body))]
        if path == "/torn":
            headers.append((b"x-torn", b"a\r\nSet-Cookie: b=c"))
        if path == "/last":
            headers.append(CLOSE)
        return Answer(200, body, headers)


@pytest.fixture
async def written() -> list[bytes]:
    return []


@pytest.fixture
async def port(written: list[bytes], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    made = protocol.GatewayProtocol.connection_made
    monkeypatch.setattr(
        protocol.GatewayProtocol,
        "connection_made",
        lambda self, transport: made(self, Spy(transport, written)),  # type: ignore[arg-type]
    )
    app: Any = Gateway()
    config = uvicorn.Config(
        app, http=protocol.GatewayProtocol, loop="none", lifespan="off", access_log=False, log_config=None
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


async def everything(port: int, request: bytes) -> bytes:
    """Send a request and return what comes until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_stream_is_chunked_for_who_knows_chunks_and_ends_with_its_connection(port: int) -> None:
    head, _, body = (await everything(port, b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")).partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert body == b"4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n"
    head, _, body = (await everything(port, b"GET /stream HTTP/1.0\r\n\r\n")).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"one\ntwo\n"


async def test_a_stream_that_fails_ends_its_connection(port: int) -> None:
    answer = await everything(port, b"GET /broken-stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert not answer.endswith(b"0\r\n\r\n")  # the client knows that it was cut off


async def test_answers_to_requests_sent_at_once_come_in_order(port: int) -> None:
    paths = (b"GET /text", b"HEAD /text", b"GET /nothing", b"GET /text")
    answer = await exchange(port, b"".join(path + b" HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths), b"204 No Content")
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.count(b"is what this text") == 1


async def test_a_connection_that_sends_many_requests_ahead_is_closed(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: asyncio.Queue[int] = asyncio.Queue()
    ended = protocol.GatewayProtocol.connection_lost

    def count(self: protocol.GatewayProtocol, error: Exception | None) -> None:
        waiting.put_nowait(len(self.pipeline))
        ended(self, error)

    monkeypatch.setattr(protocol.GatewayProtocol, "connection_lost", count)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /wait HTTP/1.1\r\n\r\n" * 10_000)
    try:
        async with asyncio.timeout(10):
            assert await waiting.get() == 16
    finally:
        LET_GO.set()
        writer.close()


async def test_a_body_is_given_to_the_next_request_whole(port: int) -> None:
    """Bodies in pieces, two requests on one connection, and a request that nobody reads the body of."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path, body in ((b"/echo", b"a" * 200_000), (b"/text", b"b" * 200_000), (b"/echo", b"c" * 3)):
        writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (path, len(body)))
        for start in range(0, len(body), 70_000):
            writer.write(body[start : start + 70_000])
            await writer.drain()
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            answer = await reader.readexactly(length)
        assert answer == (body if path == b"/echo" else b"HTTP/1.1 is what this text is about")
    writer.close()
    await writer.wait_closed()


async def test_a_header_that_would_be_two_is_never_sent(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /torn HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    "request_head",
    [b"GET /last HTTP/1.1\r\nHost: a", b"GET /text HTTP/1.1\r\nHost: a\r\nConnection: close", b"GET /text HTTP/1.0"],
)
async def test_the_answer_says_so_when_it_is_the_last_of_its_connection(port: int, request_head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_head + b"\r\n\r\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert answer.lower().count(b"connection: close") == 1
    writer.close()


async def test_an_idle_connection_is_closed_and_one_in_use_is_not(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = protocol.GatewayProtocol.__init__

    def impatient(self: protocol.GatewayProtocol, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        self.timeout_keep_alive = 0.5  # type: ignore[assignment]

    monkeypatch.setattr(protocol.GatewayProtocol, "__init__", impatient)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(6):
        writer.write(b"GET /text HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(10):
            await reader.readuntil(b"is about")
        await asyncio.sleep(0.2)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


def test_uvicorn_is_the_version_whose_protocol_was_read() -> None:
    """Read what changed in `uvicorn/protocols/http/httptools_impl.py`, try `make bench ONLY=routes`, then change this."""
    assert uvicorn.__version__ == "0.54.0"


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
    length = protocol._MOST_UNREAD * 4
    request = b"POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length + b"a" * length
    answer = await exchange(port, request, b"is about")
    assert answer.startswith(b"HTTP/1.1 200")
