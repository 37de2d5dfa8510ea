"""HTTP/1.1 on a connection: uvicorn's protocol with limits, and its short form for the gateway.

The short form hands the parsed request to the gateway and writes the answer at once, head and body together. Left out is what an
ASGI application needs and the gateway does not: messages, a task where nothing has to be waited for, an event and a timer for each
request, a check of each header of each answer. uvicorn writes head and body one after the other, and uvloop hands each to the
system at once: two calls and two packets where one does.

The one module that uses names inside of uvicorn's protocol. tests/unit/api/test_protocol.py names the version that it was read in.
"""

import asyncio
import logging
import sys
from typing import Any, Final, Protocol
from urllib.parse import unquote

import httptools
from starlette.types import Message, Receive, Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bapsang_api.http.answers import CLOSE, Answer
from bapsang_api.http.request import Request
from bapsang_api.http.streaming import CHUNKED, Stream, TransportSink

log = logging.getLogger(__name__)

HEAD_LIMIT: Final = 32 * 1024  # bytes of headers; cookies of other programs of the site are among them
# Bytes that come in a row and neither end a head or request nor belong to a body. That much is read at once, and may begin within
# the request before; a whole head that is longer than its limit is refused by the gateway, in the usual form.
_MOST_UNREAD: Final = 256 * 1024 + HEAD_LIMIT
# Requests of one connection that wait for the one before. Browsers and ingresses send none ahead; each takes 2 KiB.
_MOST_WAITING: Final = 16
_CLOSE_LINE: Final = (*CLOSE[:1], b": ", CLOSE[1], b"\r\n")
_GO_ON: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# From Python 3.12 on a task runs to its first wait at once; most answers need none.
_AT_ONCE: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class Answering(Protocol):
    """What answers requests."""

    hops: int  # how many proxies of our own each request passes

    async def exchange(self, request: Request, receive: Receive) -> Answer | None:
        """Return the whole answer, None for a client that has gone."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with a limit to what a request may hold besides its body: it collects headers, before a body
    and behind it, for as long as they come."""

    _unread = 0

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > _MOST_UNREAD and not self.transport.is_closing():
            self.send_400_response("Too many headers received.")

    def on_headers_complete(self) -> None:
        self._unread = 0
        if len(self.pipeline) < _MOST_WAITING:
            super().on_headers_complete()
        else:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        super().on_message_complete()


class GatewayProtocol(BoundedProtocol):
    """The same for the gateway."""

    cycle: "_Exchange | None"  # type: ignore[assignment]
    stream: Stream | None = None  # which the answer under way goes on with
    _idle_since = 0.0  # by the event loop's clock; 0 while a request is under way

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        self._unread = self._idle_since = 0
        if len(self.pipeline) >= _MOST_WAITING:
            self.transport.abort()
            return
        url, parser = httptools.parse_url(self.url), self.parser
        path = url.path.decode("ascii")
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": parser.get_http_version(),
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": parser.get_method().decode("ascii"),
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self.headers,
            "state": self.app_state,
        }
        before = self.cycle
        exchange = self.cycle = _Exchange(self, scope, parser.should_keep_alive(), self.expect_100_continue)
        if before is None or before.response_complete:
            self._begin(exchange)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        exchange = self.cycle
        if exchange is not None and not exchange.response_complete:
            exchange.body += body
            if len(exchange.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            exchange.wake()

    def on_message_complete(self) -> None:
        self._unread = 0
        exchange = self.cycle
        if exchange is not None and not exchange.response_complete:
            exchange.more_body = False
            exchange.wake()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            exchange, _ = self.pipeline.pop()
            self._begin(exchange)  # type: ignore[arg-type]
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._await_idleness(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for as long as that. One timer a connection, not one a request."""
        self.timeout_keep_alive_task = None
        if not self._idle_since:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._await_idleness(left)
        else:
            super().timeout_keep_alive_handler()

    def data_received(self, data: bytes) -> None:
        # As uvicorn does, but for the timer.
        self._unread += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        except httptools.HttpParserUpgrade:
            pass  # to nothing that is spoken here: the request is answered as it stands
        if self._unread > _MOST_UNREAD and not self.transport.is_closing():
            self.send_400_response("Too many headers received.")

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.wake()
        if self.stream is not None:
            self.stream.lose()
            self.stream = None
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self.parser = None  # type: ignore[assignment]

    def _await_idleness(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _begin(self, exchange: "_Exchange") -> None:
        task = asyncio.Task(exchange.run(), loop=self.loop, **_AT_ONCE)
        if not task.done():
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)


class _Exchange:
    """A request and its answer. uvicorn reads `response_complete` and `keep_alive` when it shuts down."""

    __slots__ = (
        *("_event", "_protocol", "_scope", "_says_go_on", "_was_read"),
        *("body", "disconnected", "keep_alive", "more_body", "response_complete"),
    )

    def __init__(self, protocol: GatewayProtocol, scope: Scope, keep_alive: bool, says_go_on: bool) -> None:
        self._protocol, self._scope, self._says_go_on = protocol, scope, says_go_on
        self._event: asyncio.Event | None = None
        self._was_read = False  # the whole body
        self.keep_alive, self.body, self.more_body = keep_alive, b"", True
        self.disconnected = self.response_complete = False

    def wake(self) -> None:
        """Let who waits for the body look again."""
        if self._event is not None:
            self._event.set()

    async def receive(self) -> Message:
        """Return what has come of the body since this was called last."""
        protocol = self._protocol
        if self._says_go_on and not protocol.transport.is_closing():
            protocol.transport.write(_GO_ON)
        self._says_go_on = False
        while (self.more_body or self._was_read) and not (self.body or self.disconnected or self.response_complete):
            protocol.flow.resume_reading()
            self._event = asyncio.Event()
            await self._event.wait()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body, self._was_read = self.body, b"", not self.more_body
        protocol.flow.resume_reading()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def run(self) -> None:
        """Answer the request."""
        protocol, answered = self._protocol, False
        gateway: Answering = protocol.config.app  # type: ignore[assignment]
        try:
            request = Request(self._scope, gateway.hops)
            answer = await gateway.exchange(request, self.receive)
            if answer is not None and not self.disconnected:
                if answer.stream is not None:
                    self._go_on(answer, answer.stream, is_head=request.is_head)
                    return
                content = self._written(answer, is_head=request.is_head)
                if protocol.flow.write_paused:
                    await protocol.flow.drain()
                protocol.transport.write(content)
                answered = True
        except Exception:
            log.exception("http.unhandled", extra={"path": self._scope["path"]})
            protocol.stream = None
        finally:
            if protocol.stream is None:
                self.response_complete = True
                if not (answered and self.keep_alive):
                    protocol.transport.close()
                protocol.on_response_complete()

    def _go_on(self, answer: Answer, stream: Stream, *, is_head: bool) -> None:
        """Write a head and hand what follows over to a stream; the connection ends with it."""
        protocol, is_chunked = self._protocol, self._scope["http_version"] == "1.1"
        if is_chunked:
            answer = answer._replace(headers=[*answer.headers, CHUNKED])
        protocol.transport.write(self._written(answer, is_head=is_head))
        if not is_head:
            protocol.stream, self._scope = (
                stream,
                {"path": self._scope["path"]},
            )  # so that the request is not held for as long as that
            stream.begin(TransportSink(protocol.transport, self._end, is_chunked=is_chunked))

    def _end(self) -> None:
        self._protocol.stream, self.response_complete = None, True
        self._protocol.transport.close()
        self._protocol.on_response_complete()

    def _written(self, answer: Answer, *, is_head: bool) -> bytes:
        """Return the bytes of an answer. Raises ValueError for a header that would be more than one."""
        lines, headers = [STATUS_LINE[answer.status]], [*self._protocol.server_state.default_headers, *answer.headers]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        if CLOSE in answer.headers:
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append(CLOSE)
            lines += _CLOSE_LINE
        lines.append(b"\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(headers) + 2:
            raise ValueError("a header holds a line break")
        return head if is_head else head + answer.content
