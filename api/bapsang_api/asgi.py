"""The one middleware: request id, time, metrics, rate limit, body limit, CORS, security headers, and the answer when
all else fails.

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
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.logs import set_request_id
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.network import client_address
from bapsang_api.kit.problem import BodyTooLarge, ServerError, TooManyRequests, respond
from bapsang_api.kit.ratelimit import Limit, RateLimiter, headers_of, subject_of
from bapsang_api.kit.wire import API
from bapsang_api.lifecycle import Lifecycle

log = logging.getLogger(__name__)

BODY_LIMIT: Final = 1024 * 1024  # bytes
_GOOD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PREFLIGHT_SECONDS: Final = 600
_EXPOSED: Final = "Authorization, X-Request-ID, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
_UNLIMITED: Final = f"{API}/health"  # a load balancer that asks often must not be told to go away


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
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE"
            response.headers["Access-Control-Allow-Headers"] = request.get("access-control-request-headers", "")
            response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
        return response


class Gateway:
    """Wraps the whole application."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, cors: Cors, ids: Ids, lifecycle: Lifecycle, limiter: RateLimiter
    ) -> None:
        self.app, self._limiter = app, limiter
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
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.observe(scope["method"], route, exchange.status, time.perf_counter() - started)

    def request_id(self, headers: Headers) -> str:
        given = headers.get("x-request-id", "")
        return given if _GOOD_ID.fullmatch(given) else self._ids.new()

    def preflight(self, scope: Scope, headers: Headers) -> Response | None:
        return self._cors.preflight(headers) if scope["method"] == "OPTIONS" else None

    def admit(self, scope: Scope) -> None:
        """Raise TooManyRequests when the sender's address asks too often."""
        path = scope["path"]
        if path.startswith(f"{API}/") and path != _UNLIMITED:
            self._limiter.admit(scope, Limit.IP, subject_of(client_address(scope)))

    def finish_headers(self, headers: MutableHeaders, origin: str | None, request_id: str) -> None:
        headers["X-Request-ID"] = request_id
        headers["X-Content-Type-Options"] = "nosniff"
        self._cors.apply(origin, headers)
        if self._lifecycle.draining:
            # The proxy in front keeps connections open; told to close them, it sends the next request to another pod.
            headers["Connection"] = "close"


class _Exchange:
    """One request and its answer."""

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        self._gateway, self._scope, self._receive, self._send = gateway, scope, receive, send
        self._headers = Headers(scope=scope)
        self._request_id = gateway.request_id(self._headers)
        self._received = 0
        self.status = 0  # 0 until the answer has begun

    async def run(self) -> None:
        set_request_id(self._request_id)
        set_user_id(None)  # until a token says who it is
        if (preflight := self._gateway.preflight(self._scope, self._headers)) is not None:
            await self._answer(preflight)
            return
        try:
            self._gateway.admit(self._scope)
            if self._declared_length() > BODY_LIMIT:
                raise BodyTooLarge
            await self._gateway.app(self._scope, self._limited_receive, self._finished_send)
        except (BodyTooLarge, TooManyRequests) as problem:
            await self._answer(respond(problem, self._scope["path"]))
        except Exception:
            # The last line: whatever a bug raises is logged with its stack and answered without one.
            log.exception("http.unhandled", extra={"method": self._scope["method"], "path": self._scope["path"]})
            if self.status:
                raise  # the answer has begun; the server closes the connection, so that the client sees it is cut
            await self._answer(respond(ServerError(), self._scope["path"]))

    async def _answer(self, response: Response) -> None:
        await response(self._scope, self._receive, self._finished_send)

    def _declared_length(self) -> int:
        length = self._headers.get("content-length", "")
        return int(length) if length.isascii() and length.isdigit() else 0

    async def _limited_receive(self) -> Message:
        message = await self._receive()
        # Counted here as well: a chunked body declares no length.
        self._received += len(message.get("body", b""))
        if self._received > BODY_LIMIT:
            raise BodyTooLarge
        return message

    async def _finished_send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in headers_of(self._scope):
                headers[name] = value
            self._gateway.finish_headers(headers, self._headers.get("origin"), self._request_id)
            message = {**message, "headers": headers.raw}
        await self._send(message)
