"""The one middleware: request id, time, metrics, load shedding, rate limit, body limit, idempotency, conditional reading,
CORS, security headers, and the answer when all else fails.

Plain ASGI and a single layer, because every layer of the framework's convenience kind costs more than a whole cached
read.
"""

import logging
import re
import time
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bapsang_api.kit.caller import set_user_id
from bapsang_api.kit.conditional import etag_of, has
from bapsang_api.kit.idempotency import HEADER as IDEMPOTENCY_KEY
from bapsang_api.kit.idempotency import REPLAYED, Idempotency
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.logs import describe, set_request_id
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.network import client_address
from bapsang_api.kit.problem import BodyTooLarge, Problem, ServerError, respond
from bapsang_api.kit.ratelimit import Limit, RateLimiter, headers_of, subject_of
from bapsang_api.kit.shedding import Kind, Shedder
from bapsang_api.kit.wire import API
from bapsang_api.lifecycle import Lifecycle

log = logging.getLogger(__name__)

BODY_LIMIT: Final = 1024 * 1024  # bytes
_GOOD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PREFLIGHT_SECONDS: Final = 600
_EXPOSED: Final = ", ".join(
    (
        *("Authorization", "ETag", "Location", "X-Request-ID", "Retry-After", REPLAYED),
        *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    )
)
# A load balancer that asks often must not be told to go away, least of all when there is much to do.
_ALWAYS_ANSWERED: Final = ("/health", f"{API}/health")
_READS: Final = ("GET", "HEAD", "OPTIONS")
# Anything may be kept by the browser that asked, if it asks again whether that is still right; by nobody in between.
_OWN_ONLY: Final = "private, no-cache"
# For what is not a page: it loads nothing, and nothing may frame it.
_BARE_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True)
class Cors:
    """The origins whose pages may read answers."""

    origins: frozenset[str]

    def apply(self, origin: str | None, headers: MutableHeaders) -> None:
        headers.add_vary_header("Origin")
        if origin in self.origins:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Allow-Credentials"] = "true"
            headers["Access-Control-Expose-Headers"] = _EXPOSED

    def preflight(self, request: Headers) -> Response | None:
        """Return the answer to a preflight request, None for any other. Another origin gets no permission in it."""
        if "origin" not in request or "access-control-request-method" not in request:
            return None
        response = Response(status_code=204)
        if request["origin"] in self.origins:
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, PUT, PATCH, DELETE"
            response.headers["Access-Control-Allow-Headers"] = request.get("access-control-request-headers", "")
            response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
        return response


class Gateway:
    """Wraps the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        cors: Cors,
        ids: Ids,
        lifecycle: Lifecycle,
        limiter: RateLimiter,
        shedder: Shedder,
        idempotency: Idempotency,
    ) -> None:
        self.app, self.idempotency, self.shedder, self._limiter = app, idempotency, shedder, limiter
        self._metrics, self._cors, self._ids, self._lifecycle = metrics, cors, ids, lifecycle

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
            route = getattr(exchange.scope.get("route"), "path", "unmatched")
            self._metrics.observe(scope["method"], route, exchange.status, time.perf_counter() - started)

    def request_id(self, headers: Headers) -> str:
        given = headers.get("x-request-id", "")
        return given if _GOOD_ID.fullmatch(given) else self._ids.new()

    def preflight(self, scope: Scope, headers: Headers) -> Response | None:
        return self._cors.preflight(headers) if scope["method"] == "OPTIONS" else None

    def admit(self, scope: Scope) -> None:
        """Raise TooManyRequests when the sender's address asks too often."""
        if scope["path"].startswith(f"{API}/"):
            self._limiter.admit(scope, Limit.IP, subject_of(client_address(scope)))

    def finish_headers(self, headers: MutableHeaders, origin: str | None, request_id: str) -> None:
        headers["X-Request-ID"] = request_id
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers.setdefault("Content-Security-Policy", _BARE_POLICY)
        self._cors.apply(origin, headers)
        if self._lifecycle.draining:
            # The proxy in front keeps connections open; told to close them, it sends the next request to another pod.
            headers["Connection"] = "close"


class _Exchange:
    """One request and its answer."""

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        self._gateway, self._receive, self._send = gateway, receive, send
        self._is_head = scope["method"] == "HEAD"
        # A copy, because the server looks at its own to know whether a body may follow.
        self.scope = {**scope, "method": "GET"} if self._is_head else scope
        self._kind = Kind.READ if scope["method"] in _READS else Kind.WRITE
        self._headers = Headers(scope=scope)
        self._request_id = gateway.request_id(self._headers)
        self._received = 0
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
            if problem.__cause__ is not None:
                log.warning("http.dependency_down", extra={"error": describe(problem.__cause__)})
            await self._answer(respond(problem, self.scope["path"]))
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
            if self._declared_length() > BODY_LIMIT:
                raise BodyTooLarge
            app, receive, send = self._gateway.app, self._limited_receive, self._finished_send
            key = self._headers.get(IDEMPOTENCY_KEY) if self.scope["method"] == "POST" else None
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

    def _declared_length(self) -> int:
        length = self._headers.get("content-length", "")
        return int(length) if length.isascii() and length.isdigit() else 0

    async def _limited_receive(self) -> Message:
        # Waiting for a client's bytes is no work: clients on slow lines must not use the budget up.
        waits_for_body = self._counted
        self._count_out()
        message = await self._receive()
        if waits_for_body:
            self._count_in()
        # Counted here as well: a chunked body declares no length.
        self._received += len(message.get("body", b""))
        if self._received > BODY_LIMIT:
            raise BodyTooLarge
        return message

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
        status, headers = start["status"], MutableHeaders(raw=list(start.get("headers", ())))
        if status == 200 and self.scope["method"] == "GET" and not first.get("more_body"):
            headers.setdefault("Cache-Control", _OWN_ONLY)
            if self._is_known(first.get("body", b""), headers):
                status, first = 304, {"type": "http.response.body"}
                del headers["Content-Length"], headers["Content-Type"]
        elif status >= 400:
            headers["Cache-Control"] = "no-store"  # caches may keep a 404 otherwise
        if headers.get("Cache-Control") == _OWN_ONLY:
            headers.add_vary_header("Authorization")
        for name, value in headers_of(self.scope):
            headers[name] = value
        self._gateway.finish_headers(headers, self._headers.get("origin"), self._request_id)
        self.status = status
        await self._send({**start, "status": status, "headers": headers.raw})
        return {**first, "body": b""} if self._is_head else first

    def _is_known(self, body: bytes, headers: MutableHeaders) -> bool:
        """Give the answer its ETag, unless it must not be kept, and return whether the client has it already."""
        if "no-store" in headers["Cache-Control"]:
            return False
        etag = headers.setdefault("ETag", etag_of(body))
        return has(self._headers.get("if-none-match", ""), etag)
