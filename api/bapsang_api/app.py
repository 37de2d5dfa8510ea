"""The public application: routers, error answers and the gateway around them."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from bapsang_api import docs, openapi
from bapsang_api.auth import discovery
from bapsang_api.auth.linkpages.routes import router as link_pages_router
from bapsang_api.auth.links.routes import HASHES as LINK_HASHES
from bapsang_api.auth.links.routes import router as links_router
from bapsang_api.auth.routes import HASHES, account_router
from bapsang_api.auth.routes import REPLAYS as AUTH_REPLAYS
from bapsang_api.auth.routes import router as auth_router
from bapsang_api.comments.routes import REPLAYS as COMMENT_REPLAYS
from bapsang_api.comments.routes import router as comments_router
from bapsang_api.feed.routes import router as feed_router
from bapsang_api.health.routes import router as health_router
from bapsang_api.home.routes import bookmark_router
from bapsang_api.home.routes import mine_router as home_router
from bapsang_api.home.routes import router as people_router
from bapsang_api.http.cors import Cors
from bapsang_api.http.direct import DirectRoute
from bapsang_api.http.gateway import Gateway
from bapsang_api.http.idempotency import Idempotency
from bapsang_api.http.ratelimit import RateLimiter
from bapsang_api.http.shedding import Shedder
from bapsang_api.http.validation import invalid_input
from bapsang_api.inbox.routes import router as inbox_router
from bapsang_api.kit.logs import describe
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import (
    BodyTooLarge,
    Forbidden,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    Problem,
    ServerError,
    Unavailable,
    UnsupportedMediaType,
    respond,
)
from bapsang_api.lifecycle import Lifecycle
from bapsang_api.likes.routes import mine_router as liked_posts_router
from bapsang_api.likes.routes import router as likes_router
from bapsang_api.moderation.look_routes import router as moderators_look_router
from bapsang_api.moderation.routes import router as moderation_router
from bapsang_api.pages.routes import router as pages_router
from bapsang_api.posts.routes import REPLAYS as POST_REPLAYS
from bapsang_api.posts.routes import mine_router as my_posts_router
from bapsang_api.posts.routes import router as posts_router
from bapsang_api.posts.routes import search_router
from bapsang_api.privacy.routes import router as privacy_router
from bapsang_api.reports.routes import router as reports_router
from bapsang_api.tags.routes import router as tags_router
from bapsang_api.terms.routes import router as terms_router
from bapsang_api.uploads.routes import router as uploads_router
from bapsang_api.users.routes import router as users_router

log = logging.getLogger(__name__)

# Matching is linear, so the routes with the most traffic come first.
ROUTERS: Final = (
    posts_router,
    comments_router,
    likes_router,
    search_router,
    tags_router,
    reports_router,
    auth_router,
    links_router,
    users_router,
    my_posts_router,
    liked_posts_router,
    home_router,
    inbox_router,
    uploads_router,
    account_router,
    privacy_router,
    health_router,
    feed_router,
    discovery.router,
    terms_router,
    link_pages_router,
    pages_router,
    moderation_router,
    bookmark_router,
    people_router,  # after all that is below /users/me
    moderators_look_router,
)
# How repeats are answered of what a POST of each domain makes.
REPLAYS: Final = (*POST_REPLAYS, *COMMENT_REPLAYS, *AUTH_REPLAYS)
_BY_STATUS: Final[dict[int, type[Problem]]] = {
    400: InvalidInput,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
}


class _Framework(FastAPI):
    """The framework without its outermost layers: errors, tracing and the limit of bodies are the gateway's."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Before each request the framework looks whether somebody traces it, which costs as much as a look at the cache.
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        layer: Any = super().build_middleware_stack()
        while not isinstance(layer, ExceptionMiddleware):
            layer = layer.app
        return layer


def create_app(
    services: Iterable[object],
    *,
    metrics: Metrics,
    cors_origins: Iterable[str],
    lifecycle: Lifecycle,
    limiter: RateLimiter,
    shedder: Shedder,
    idempotency: Idempotency,
    room_to_hash: Callable[[], None],
    hops: int,
    moved: Callable[[str, bytes], Awaitable[str | None]] | None = None,
) -> Gateway:
    """Return the application; `services` are handed to routes by their class. `room_to_hash` raises Unavailable when no password
    can be hashed now. `hops`: how many proxies each request passes. `moved`: see Gateway.
    """
    cors = Cors(cors_origins)
    # No redirects for a slash too many: an unknown path is 404. Documents are served by `docs`.
    app = _Framework(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = {type(item): item for item in (*services, limiter, cors)}
    # Not include_router: it would make each route anew for this application, half of them in the middle of the first request.
    app.router.routes.extend(route for router in ROUTERS for route in router.routes)
    docs.serve(app, partial(openapi.document, ROUTERS))
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    return Gateway(
        app,
        (route for route in app.routes if isinstance(route, DirectRoute)),
        app.state.services,
        metrics=metrics,
        cors=cors,
        lifecycle=lifecycle,
        limiter=limiter,
        shedder=shedder,
        idempotency=idempotency,
        rooms=dict.fromkeys((*HASHES, *LINK_HASHES), room_to_hash),
        hops=hops,
        moved=moved,
    )


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for exactly this class
    if isinstance(error, Unavailable) and error.__cause__ is not None:
        log.warning("http.dependency_down", extra={"error": describe(error.__cause__)})
    return respond(error, request.scope["path"])


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Put the framework's own refusals (unknown path, wrong method, unreadable body) into our body."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for exactly this class
    problem = _BY_STATUS.get(error.status_code, ServerError)()
    if problem.status == MethodNotAllowed.status:
        problem.headers = {"Allow": ", ".join(sorted(_methods_at(request.scope, error)))}
    _forget_frames(error)
    return respond(problem, request.scope["path"])


def _methods_at(scope: Scope, error: HTTPException) -> set[str]:
    """Return the methods of the path: the framework names those of one route only, and every GET is answered as HEAD."""
    methods = set((error.headers or {}).get("Allow", "").split(", "))
    for route in (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)):
        if route.matches(scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return methods | ({"HEAD"} if "GET" in methods else set())


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for exactly this class
    answer = respond(invalid_input(error.errors()), request.scope["path"])
    _forget_frames(error)
    return answer


def _forget_frames(error: BaseException | None) -> None:
    """Free what was sent with a refused request at once.

    The framework's frame, which the traceback holds, has the error in a variable, beside the body: a megabyte each time that only
    the garbage collector would find.
    """
    while error is not None:
        error = error.with_traceback(None).__cause__
