"""The server's protocol, with one write an answer and a limit to what a request may hold besides its body.

uvicorn writes an answer's head and its body one after the other, and uvloop hands each to the system at once: two calls and two
packets where one does. And it collects headers, before a body and behind it, for as long as they come.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT: Final = 32 * 1024  # bytes of headers; cookies of other programs of the site are among them
# Bytes that come in a row and neither end a head or request nor belong to a body. That much is read at once, and may begin within
# the request before; a whole head that is longer than its limit is refused by the gateway, in the usual form.
_MOST_UNREAD: Final = 256 * 1024 + HEAD_LIMIT
# Requests of one connection that wait for the one before. Browsers and ingresses send none ahead; each takes 2 KiB.
_MOST_WAITING: Final = 16
_HEAD: Final = b"HTTP/1.1 "
_GO_ON: Final = b"HTTP/1.1 100"  # what a client waits for before it sends more


class OneWriteProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it."""

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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", _Joining(transport)))

    def on_response_complete(self) -> None:
        cast("_Joining", self.transport).flush()  # of an answer without a body: to HEAD
        super().on_response_complete()


class _Joining:
    """A transport that keeps the head of an answer back until the next write."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_HEAD) and not data.startswith(_GO_ON):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()
