"""A request as the gateway and direct routes see it, and its body, read within limits."""

import asyncio
import os
import re
from typing import Final

from starlette.types import Message, Receive, Scope

from bapsang_api.http.bodies import Bodies
from bapsang_api.http.ratelimit import subject_of
from bapsang_api.http.shedding import Kind, Shedder
from bapsang_api.kit.problem import BodyTooLarge, FieldError, InvalidInput

SCOPE: Final = "bapsang.request"
BODY_LIMIT: Final = 1024 * 1024  # bytes
# Within which a body must have come: 1 MiB takes a line of 0.3 Mbit/s that long.
BODY_SECONDS: Final = 30.0
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_GOOD_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ADDRESS_LIMIT: Final = 64  # characters, of an IPv6 address with its zone


class Request:
    """One request. `method` is GET for HEAD too, which is answered alike but for the body."""

    __slots__ = ("address", "headers", "id", "is_head", "method", "path", "query", "route", "scope", "sender")

    def __init__(self, scope: Scope, hops: int) -> None:
        """`hops`: how many proxies of our own the request has passed, each of which added where it came from."""
        self.is_head = scope["method"] == "HEAD"
        # A copy, because the server looks at its own to know whether a body may follow.
        self.scope = {**scope, "method": "GET"} if self.is_head else scope
        self.scope[SCOPE] = self
        self.method: str = "GET" if self.is_head else scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        # The first of each name counts.
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        given = self.headers.get(b"x-request-id")
        self.id: str = given.decode() if given and _GOOD_ID.fullmatch(given) else os.urandom(13).hex()
        # What stands before the entries of our own proxies was written by the client and may be made up. At most 64 characters,
        # because it becomes the key of caches.
        forwarded = b""
        for name, value in scope["headers"]:
            if (
                name == b"x-forwarded-for"
            ):  # a proxy may add a line of its own instead of an entry to the one that it was given
                forwarded = forwarded + b"," + value
        entry = _entry(forwarded, hops) if forwarded and hops else ""
        client = scope.get("client")
        address: str = entry[:_ADDRESS_LIMIT] if entry else str(client[0]) if client else ""
        # On a socket of both families an IPv4 address has the IPv6 form `::ffff:10.0.0.1`, which is the same sender.
        self.address = address[7:] if address[:7] == "::ffff:" and "." in address else address
        self.sender = subject_of(self.address)  # by which it is limited
        self.route = "unmatched"  # for the metrics


def _entry(forwarded: bytes, hops: int) -> str:
    """Return the entry of X-Forwarded-For that the outermost of `hops` proxies wrote, the first one where there are fewer."""
    entries = [entry for part in forwarded.split(b",") if (entry := part.strip())]
    return entries[-min(hops, len(entries))].decode("latin-1") if entries else ""


def request_of(scope: Scope) -> Request:
    """Return the request whose scope that is."""
    found: Request = scope[SCOPE]
    return found


class BodyReader:
    """Receives a body within BODY_LIMIT and BODY_SECONDS. What it holds counts among the bodies of all senders.

    Waiting for a client's bytes is no work: while a request waits, it is not counted among those worked on, so that clients on slow
    lines cannot use the budget up.
    """

    def __init__(
        self, receive: Receive, bodies: Bodies, shedder: Shedder, seconds: float, kind: Kind, sender: str
    ) -> None:
        self._receive, self._bodies, self._shedder = receive, bodies, shedder
        self._seconds, self._kind, self._sender = seconds, kind, sender
        self._size, self._held, self._whole = 0, 0, False
        self._deadline: float | None = None  # by the event loop's clock
        self.counted = True  # among the requests worked on

    async def __call__(self) -> Message:
        """Return the next message. Raises InvalidInput when the body takes too long as a whole, BodyTooLarge, and what `Bodies`
        raises."""
        waits_for_body = self.counted
        self.leave()
        message = await (self._receive() if self._whole else self._in_time())
        if waits_for_body:
            self._shedder.enter(self._kind)
            self.counted = True
        self._whole = not message.get("more_body", False)
        if body := message.get("body"):
            # Counted here as well as declared: a chunked body declares no length.
            self._size += len(body)
            if self._size > BODY_LIMIT:
                raise BodyTooLarge
            self._bodies.hold(self._sender, len(body))
            self._held += len(body)
        return message

    def leave(self) -> None:
        """Count the request out of those worked on."""
        if self.counted:
            self._shedder.leave(self._kind)
        self.counted = False

    def release(self) -> None:
        if self._held:
            self._bodies.release(self._sender, self._held)

    async def _in_time(self) -> Message:
        loop = asyncio.get_running_loop()
        if self._deadline is None:
            self._deadline = loop.time() + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError as error:
            raise InvalidInput(FieldError("body", f"{self._seconds:g}초 안에 모두 보내야 합니다.")) from error


async def read_body(receive: Receive) -> bytes | None:
    """Return the whole body, None when the client has gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
