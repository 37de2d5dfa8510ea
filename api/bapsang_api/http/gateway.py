"""The one middleware: request id, time, metrics, load shedding, rate limit, body limit, idempotency, conditional reading,
CORS, security headers, and the answer when all else fails.

Plain ASGI and a single layer, because every layer of the framework's convenience kind costs more than a whole cached
read.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Mapping
from itertools import chain
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bapsang_api.http.bodies import Bodies
from bapsang_api.http.conditional import etag_of, has
from bapsang_api.http.cors import Cors, RawHeaders
from bapsang_api.http.idempotency import HEADER as IDEMPOTENCY_KEY
from bapsang_api.http.idempotency import Idempotency
from bapsang_api.http.network import client_address
from bapsang_api.http.onewrite import HEAD_LIMIT
from bapsang_api.http.ratelimit import Limit, RateLimiter, headers_of, subject_of
from bapsang_api.http.shedding import Kind, Shedder
from bapsang_api.http.wire import API
from bapsang_api.kit.caller import set_user_id
from bapsang_api.kit.logs import describe, set_request_id
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import BodyTooLarge, FieldError, InvalidInput, Problem, ServerError, Unavailable, respond
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.kit.text import number_of
from bapsang_api.lifecycle import Lifecycle

log = logging.getLogger(__name__)

BODY_LIMIT: Final = 1024 * 1024  # bytes
# Within which a body must have come: 1 MiB takes a line of 0.3 Mbit/s that long.
BODY_SECONDS: Final = 30.0
# Bytes of path and query, as much as other servers take. The longest that makes sense is a search for 50 characters: 200 code
# points, each in 12 characters.
URL_LIMIT: Final = 8 * 1024
_GOOD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# A load balancer that asks often must not be told to go away, least of all when there is much to do.
_ALWAYS_ANSWERED: Final = ("/health", f"{API}/health")
_READS: Final = ("GET", "HEAD", "OPTIONS")
# Anything may be kept by the browser that asked, if it asks again whether that is still right; by nobody in between.
_OWN_ONLY: Final = b"private, no-cache"
# For what is not a page: it loads nothing, and nothing may frame it.
_BARE_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_ALWAYS: Final = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))


class Gateway:
    """Wraps the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        cors: Cors,
        lifecycle: Lifecycle,
        limiter: RateLimiter,
        shedder: Shedder,
        idempotency: Idempotency,
    ) -> None:
        self.bodies, self.body_seconds = Bodies(), BODY_SECONDS
        self.app, self.idempotency, self.shedder, self._limiter = app, idempotency, shedder, limiter
        self._metrics, self._cors, self._lifecycle = metrics, cors, lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self, scope, receive, send)
        started = time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            await exchange.run()
        finally:
            self._metrics.in_flight.dec()
            if exchange.held:
                self.bodies.release(exchange.sender, exchange.held)
            route = getattr(exchange.scope.get("route"), "path", "unmatched")
            self._metrics.observe(scope["method"], route, exchange.status, time.perf_counter() - started)

    def request_id(self, headers: Mapping[str, str]) -> str:
        given = headers.get("x-request-id", "")
        return given if _GOOD_ID.fullmatch(given) else os.urandom(13).hex()

    def preflight(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        return self._cors.preflight(headers) if scope["method"] == "OPTIONS" else None

    def admit(self, scope: Scope) -> None:
        """Raise TooManyRequests when the sender's address asks too often. Only reads of the documents and the feed are free."""
        if scope["path"].startswith(f"{API}/") or scope["method"] not in _READS:
            self._limiter.admit(scope, Limit.IP, subject_of(client_address(scope)))

    def headers(self, origin: str | None, request_id: str) -> RawHeaders:
        """Return the headers of every answer."""
        headers = [(b"x-request-id", request_id.encode("latin-1")), *_ALWAYS, *self._cors.headers(origin)]
        if self._lifecycle.draining:
            # The proxy in front keeps connections open; told to close them, it sends the next request to another pod.
            headers.append((b"connection", b"close"))
        return headers


class _Exchange:
    """One request and its answer."""

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        self._gateway, self._receive, self._send = gateway, receive, send
        self._is_head = scope["method"] == "HEAD"
        # A copy, because the server looks at its own to know whether a body may follow.
        self.scope = {**scope, "method": "GET"} if self._is_head else scope
        self._kind = Kind.READ if scope["method"] in _READS else Kind.WRITE
        # The first of each name counts.
        self._headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        self._request_id = gateway.request_id(self._headers)
        self.held, self.sender = 0, ""  # bytes of the body, and whose, once there are any
        self._received, self._has_come = 0, False  # the body
        self._must_have_come: float | None = None  # by the event loop's clock
        self._start: Message | None = None
        self._counted = False
        self.status = 0  # 0 until the answer has begun

    async def run(self) -> None:
        set_request_id(self._request_id)
        set_user_id(None)  # until a token says who it is
        if (preflight := self._gateway.preflight(self.scope, self._headers)) is not None:
            await self._answer(preflight)
            return
        try:
            if self.scope["path"] in _ALWAYS_ANSWERED:
                await self._gateway.app(self.scope, self._limited_receive, self._finished_send)
            else:
                await self._work()
        except Problem as problem:
            if isinstance(problem, Unavailable) and problem.__cause__ is not None:
                log.warning("http.dependency_down", extra={"error": describe(problem.__cause__)})
            await self._answer(respond(problem, self.scope["path"]))
        except OUTAGE as error:
            log.warning("http.dependency_down", extra={"error": describe(error)})
            await self._answer(respond(Unavailable(), self.scope["path"]))
        except Exception:
            # The last line: whatever a bug raises is logged with its stack and answered without one.
            log.exception("http.unhandled", extra={"method": self.scope["method"], "path": self.scope["path"]})
            if self.status:
                raise  # the answer has begun; the server closes the connection, so that the client sees it is cut
            await self._answer(respond(ServerError(), self.scope["path"]))

    async def _work(self) -> None:
        self._count_in()
        try:
            self._gateway.admit(self.scope)
            self._require_small_head()
            app, receive, send = self._gateway.app, self._limited_receive, self._finished_send
            key = self._headers.get(IDEMPOTENCY_KEY.lower()) if self.scope["method"] == "POST" else None
            if key is None:
                await app(self.scope, receive, send)
            else:
                await self._gateway.idempotency.run(app, self.scope, receive, send, key)
        finally:
            self._count_out()

    def _count_in(self) -> None:
        self._gateway.shedder.enter(self._kind)
        self._counted = True

    def _count_out(self) -> None:
        if self._counted:
            self._gateway.shedder.leave(self._kind)
        self._counted = False

    async def _answer(self, response: Response) -> None:
        self._start = None  # an answer that a bug left half made
        await response(self.scope, self._receive, self._finished_send)

    def _require_small_head(self) -> None:
        """Raise InvalidInput or BodyTooLarge before anything is done with what a request brings along or announces."""
        if len(self.scope["path"]) + len(self.scope["query_string"]) > URL_LIMIT:
            raise InvalidInput(FieldError("url", f"{URL_LIMIT} 바이트 이하여야 합니다."))
        if sum(map(len, chain.from_iterable(self.scope["headers"]))) > HEAD_LIMIT:
            raise InvalidInput(FieldError("headers", f"모두 {HEAD_LIMIT} 바이트 이하여야 합니다."))
        length = self._headers.get("content-length")
        if length is None:
            return
        try:
            declared = number_of(length)
        except ValueError as error:
            raise InvalidInput(FieldError("Content-Length", "0으로 시작하지 않는 정수여야 합니다.")) from error
        if declared > BODY_LIMIT:
            raise BodyTooLarge

    async def _limited_receive(self) -> Message:
        # Waiting for a client's bytes is no work: clients on slow lines must not use the budget up.
        waits_for_body = self._counted
        self._count_out()
        message = await (self._receive() if self._has_come else self._body_in_time())
        if waits_for_body:
            self._count_in()
        self._has_come = not message.get("more_body", False)
        if body := message.get("body"):
            self._hold(len(body))
        return message

    async def _body_in_time(self) -> Message:
        """Return the next message. Raises InvalidInput when the body takes too long as a whole."""
        loop = asyncio.get_running_loop()
        if self._must_have_come is None:
            self._must_have_come = loop.time() + self._gateway.body_seconds
        try:
            async with asyncio.timeout_at(self._must_have_come):
                return await self._receive()
        except TimeoutError as error:
            message = f"{self._gateway.body_seconds:g}초 안에 모두 보내야 합니다."
            raise InvalidInput(FieldError("body", message)) from error

    def _hold(self, size: int) -> None:
        # Counted here as well as declared: a chunked body declares no length.
        self._received += size
        if self._received > BODY_LIMIT:
            raise BodyTooLarge
        self.sender = self.sender or subject_of(client_address(self.scope))
        self._gateway.bodies.hold(self.sender, size)
        self.held += size

    async def _finished_send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message  # held until the body is there: its digest becomes the ETag
            return
        if self._start is not None:
            start, self._start = self._start, None
            message = await self._begin(start, message)
        await self._send(message)

    async def _begin(self, start: Message, first: Message) -> Message:
        """Send the head of the answer; return the body that goes with it."""
        status, headers = start["status"], list(start.get("headers", ()))
        given = dict(headers)
        caching, vary = given.get(b"cache-control"), [given[b"vary"]] if b"vary" in given else []
        if status == 200 and self.scope["method"] == "GET" and not first.get("more_body"):
            if caching is None:
                caching = _OWN_ONLY
                headers.append((b"cache-control", caching))
            if b"no-store" not in caching:
                etag = given.get(b"etag") or etag_of(first.get("body", b"")).encode()
                if b"etag" not in given:
                    headers.append((b"etag", etag))
                known = self._headers.get("if-none-match")
                if known is not None and has(known, etag.decode("latin-1")):
                    status, first = 304, {"type": "http.response.body"}
                    headers = [header for header in headers if header[0] not in (b"content-length", b"content-type")]
        elif status >= 400:
            # Caches may keep a 404 otherwise.
            headers = [header for header in headers if header[0] != b"cache-control"]
            headers.append((b"cache-control", b"no-store"))
        if caching == _OWN_ONLY:
            vary.append(b"Authorization")
        headers = [header for header in headers if header[0] != b"vary"]
        headers.append((b"vary", b", ".join((*vary, b"Origin"))))
        if b"content-security-policy" not in given:
            headers.append(_BARE_POLICY)
        headers += headers_of(self.scope)
        headers += self._gateway.headers(self._headers.get("origin"), self._request_id)
        self.status = status
        await self._send({**start, "status": status, "headers": headers})
        return {**first, "body": b""} if self._is_head else first
