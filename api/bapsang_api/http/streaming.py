"""Answers that go on after their head: a stream is given a sink, and sends to it for as long as the client stays."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

CHUNKED: Final = (b"transfer-encoding", b"chunked")
# Bytes of a stream that its client may leave unread, beside what the kernel holds.
MOST_UNSENT: Final = 64 * 1024


class Sink(Protocol):
    """Where the bytes of a stream go."""

    def send(self, data: bytes) -> None:
        """Send bytes now. A client that does not take them for long loses its connection."""

    def end(self) -> None:
        """End the answer, and the connection with it. Doing it again changes nothing."""


class Stream(Protocol):
    """What an answer goes on with. It runs no task of its own: idle streams cost memory alone."""

    def begin(self, sink: Sink) -> None:
        """Take the sink: the head is written."""

    def lose(self) -> None:
        """Forget the sink: its client has gone."""


class TransportSink:
    """The rest of an answer of HTTP/1.1 (`is_chunked`) or 1.0 whose head is written."""

    __slots__ = ("_finish", "_is_chunked", "_is_over", "_transport")

    def __init__(self, transport: asyncio.Transport, finish: Callable[[], None], *, is_chunked: bool) -> None:
        """`finish` is called once the last byte is written."""
        self._transport, self._finish, self._is_chunked, self._is_over = transport, finish, is_chunked, False

    def send(self, data: bytes) -> None:
        transport = self._transport
        if transport.get_write_buffer_size() > MOST_UNSENT:
            transport.abort()
        elif not transport.is_closing():
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._is_chunked and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")
        self._finish()


class Beginning:
    """A sink for servers that send an answer as a whole: it takes what a stream sends first."""

    def __init__(self) -> None:
        self.content = b""

    def send(self, data: bytes) -> None:
        self.content += data

    def end(self) -> None:
        pass


def beginning_of(stream: Stream) -> bytes:
    """Return what a stream sends first, and end it: its client comes back for more."""
    sink = Beginning()
    stream.begin(sink)
    stream.lose()
    return sink.content
