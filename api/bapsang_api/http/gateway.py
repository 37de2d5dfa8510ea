"""The gateway: every request passes it, and every answer.

`Gateway.answer` and `Gateway.head` list the parts in their order. Direct routes are answered from here; all others by the
framework, whose answers are completed in the same way. Plain functions, because every layer of the framework's convenience kind
costs more than a whole cached read.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from bapsang_api.http.answers import (
    BARE_POLICY,
    CLOSE,
    PROTECTION,
    Answer,
    compressed,
    moved_answer,
    problem_answer,
    revalidated,
)
from bapsang_api.http.bodies import Bodies
from bapsang_api.http.cors import Cors
from bapsang_api.http.direct import POSTS, DirectRoute, Services
from bapsang_api.http.framework import framework_answer
from bapsang_api.http.idempotency import HEADER as IDEMPOTENCY_KEY
from bapsang_api.http.idempotency import AnswerBy, Idempotency
from bapsang_api.http.protocol import HEAD_LIMIT
from bapsang_api.http.ratelimit import Limit, RateLimiter, headers_of
from bapsang_api.http.request import BODY_LIMIT, BODY_SECONDS, READS, BodyReader, Request
from bapsang_api.http.shedding import Kind, Shedder
from bapsang_api.http.streaming import beginning_of
from bapsang_api.http.wire import API
from bapsang_api.kit.context import caller, request_id
from bapsang_api.kit.logs import describe
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import BodyTooLarge, FieldError, InvalidInput, Problem, ServerError, Unavailable
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.kit.text import number_of
from bapsang_api.lifecycle import Lifecycle

log = logging.getLogger(__name__)

# Bytes of path and query, as much as other servers take. The longest that makes sense is a search for 50 characters: 200 code
# points, each in 12 characters.
URL_LIMIT: Final = 8 * 1024
# A load balancer that asks often must not be told to go away, least of all when there is much to do.
_ALWAYS_ANSWERED: Final = frozenset({"/health", f"{API}/health"})
_LIMITED: Final = f"{API}/"
_IDEMPOTENCY_KEY: Final = IDEMPOTENCY_KEY.lower().encode()


class Gateway:
    """Wraps the whole application."""

    def __init__(
        self,
        framework: ASGIApp,
        routes: Iterable[DirectRoute],
        services: Services,
        *,
        metrics: Metrics,
        cors: Cors,
        lifecycle: Lifecycle,
        limiter: RateLimiter,
        shedder: Shedder,
        idempotency: Idempotency,
        rooms: Mapping[tuple[str, str], Callable[[], None]],
        hops: int,
        moved: Callable[[str, bytes], Awaitable[str | None]] | None = None,
    ) -> None:
        """`rooms`: what raises Unavailable for a method and path that have no room, before anything else is done with a request.
        `hops`: how many proxies of our own each request passes. `moved` returns where the thing is now that a path and
        query of an older server name, None when there is none.
        """
        self.hops, self._rooms, self._moved = hops, rooms, moved
        self.bodies, self.body_seconds = Bodies(), BODY_SECONDS
        self.framework, self.services, self.idempotency, self.shedder = framework, services, idempotency, shedder
        self._routes = {key: route for route in routes for key in route.matches_of()}
        self._metrics, self._cors, self._lifecycle, self._limiter = metrics, cors, lifecycle, limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.framework(scope, receive, send)
            return
        request = Request(scope, self.hops)
        answer = await self.exchange(request, receive)
        if answer is not None:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            content = answer.content if answer.stream is None else beginning_of(answer.stream)
            await send({"type": "http.response.body", "body": b"" if request.is_head else content})

    async def exchange(self, request: Request, receive: Receive) -> Answer | None:
        """Return the whole answer to a request, None for a client that has gone."""
        request_id.set(request.id)
        caller.set(None)  # until a token says who it is
        started, status, size = time.perf_counter(), 0, 0
        self._metrics.serving += 1
        try:
            answer = await self.answer(request, receive)
            if answer is not None and answer.status == 404 and self._moved is not None:
                location = await self._moved(request.path, request.query)
                answer = answer if location is None else moved_answer(location)
            if answer is not None:
                answer = self.head(answer, request)
                status, size = answer.status, 0 if request.is_head else len(answer.body)
            return answer
        finally:
            self._metrics.serving -= 1
            method = "HEAD" if request.is_head else request.method
            self._metrics.observe(method, request.route, status, size, time.perf_counter() - started)

    async def answer(self, request: Request, receive: Receive) -> Answer | None:
        """Return the answer of a route, or a refusal; None for a client that has gone."""
        try:
            if request.method == "OPTIONS" and (preflight := self._cors.preflight(request.headers)) is not None:
                return preflight
            if request.path in _ALWAYS_ANSWERED:
                return await framework_answer(self.framework, request, receive)
            return await self._shed(request, receive)
        except Problem as problem:
            if isinstance(problem, Unavailable) and problem.__cause__ is not None:
                log.warning("http.dependency_down", extra={"error": describe(problem.__cause__)})
            return problem_answer(problem, request)
        except OUTAGE as error:
            log.warning("http.dependency_down", extra={"error": describe(error)})
            return problem_answer(Unavailable(), request)
        except Exception:
            # The last line: whatever a bug raises is logged with its stack and answered without one.
            log.exception("http.unhandled", extra={"method": request.method, "path": request.path})
            return problem_answer(ServerError(), request)

    def head(self, answer: Answer, request: Request) -> Answer:
        """Return the answer with a complete head."""
        stream = answer.stream
        answer = compressed(revalidated(answer, request), request)
        headers = [*answer.headers, *PROTECTION, *headers_of(request.scope), (b"x-request-id", request.id.encode())]
        if answer.header(b"content-security-policy") is None:
            headers.append(BARE_POLICY)
        if (origin := request.headers.get(b"origin")) is not None:
            headers += self._cors.headers.get(origin, ())
        if self._lifecycle.draining:
            # The proxy in front keeps connections open; told to close them, it sends the next request to another pod.
            headers.append(CLOSE)
        return Answer(answer.status, answer.body, headers, stream)

    async def _shed(self, request: Request, receive: Receive) -> Answer | None:
        """Refuse what is too much for the process, and count what is worked on."""
        kind, free = Kind.READ if request.method in READS else Kind.WRITE, self.shedder.free
        if self.shedder.refused or not free[kind]:
            self.shedder.check(kind)
        free[kind] -= 1
        body: BodyReader | None = None
        try:
            # Only reads of the documents and the feed are free.
            if request.path.startswith(_LIMITED) or kind is Kind.WRITE:
                self._limiter.admit(request.scope, Limit.IP, request.sender)
            self._limit_head(request)
            if (require_room := self._rooms.get((request.method, request.path))) is not None:
                request.route = request.path
                require_room()
            # Direct routes first: list, detail, likes and comments make up the peak.
            _, under_posts, rest = request.path.partition(POSTS)
            post_id, slash, rest = rest.partition("/")
            route = self._routes.get((request.method, slash + rest if under_posts else request.path))
            if route is not None and (post_id or not under_posts):
                request.route = route.path
                if _IDEMPOTENCY_KEY not in request.headers:
                    return await route.handler(request, self.services, post_id)
                request.scope["route"] = route
                answer_by: AnswerBy = partial(_by_direct, route, request, self.services, post_id)
            else:
                answer_by = partial(framework_answer, self.framework, request)
            body = BodyReader(receive, self.bodies, self.shedder, self.body_seconds, kind, request.sender)
            key = request.headers.get(_IDEMPOTENCY_KEY) if request.method == "POST" else None
            if key is None:
                return await answer_by(body)
            return await self.idempotency.run(answer_by, request, self.services, body, key.decode("latin-1"))
        finally:
            if body is None:
                free[kind] += 1
            else:
                body.leave()
                body.release()

    def _limit_head(self, request: Request) -> None:
        """Raise InvalidInput or BodyTooLarge before anything is done with what a request brings along or announces."""
        if len(request.path) + len(request.query) > URL_LIMIT:
            raise InvalidInput(FieldError("url", f"{URL_LIMIT} 바이트 이하여야 합니다."))
        if sum(map(len, chain.from_iterable(request.scope["headers"]))) > HEAD_LIMIT:
            raise InvalidInput(FieldError("headers", f"모두 {HEAD_LIMIT} 바이트 이하여야 합니다."))
        length = request.headers.get(b"content-length")
        if length is None:
            return
        try:
            declared = number_of(length.decode("latin-1"))
        except ValueError as error:
            raise InvalidInput(FieldError("Content-Length", "0으로 시작하지 않는 정수여야 합니다.")) from error
        if declared > BODY_LIMIT:
            raise BodyTooLarge


async def _by_direct(
    route: DirectRoute, request: Request, services: Services, post_id: str, _receive: Receive
) -> Answer | None:
    return await route.handler(request, services, post_id)
