"""The server's protocol, with one write an answer.

uvicorn writes an answer's head and its body one after the other, and uvloop hands each to the system at once: two calls and two
packets where one does.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD: Final = b"HTTP/1.1 "
_GO_ON: Final = b"HTTP/1.1 100"  # what a client waits for before it sends more


class OneWriteProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it."""

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
