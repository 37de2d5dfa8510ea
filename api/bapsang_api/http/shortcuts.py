"""The short way to the routes that make up the peak.

The framework's routing and dependency solving cost more than the answers of these routes. A shortcut answers the same
request with the same bytes (a test compares them), and leaves whatever is unusual about one to the framework.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from bapsang_api.http.wire import API

_POSTS: Final = f"{API}/posts/"
_ID_ENDS: Final = len(_POSTS) + 26
_JSON: Final = (b"content-type", b"application/json")
Answer = Callable[[Mapping[type, Any], Scope, str], Awaitable[bytes | None]]
"""Takes the services by class, the request, and the post's id or an empty string. Returns the body of the answer, None to
leave the request to the framework; raises Problem."""


@dataclass(frozen=True)
class Shortcut:
    """The short way of one route under `/posts`."""

    route: APIRoute
    answer: Answer

    @property
    def status(self) -> int:
        return self.route.status_code or 200


class Shortcuts:
    """Answers what it has a short way for, and hands everything else on."""

    def __init__(self, app: ASGIApp, *, shortcuts: Iterable[Shortcut], services: Mapping[type, Any]) -> None:
        self.app, self._services = app, services
        self._ways: dict[tuple[str, str], Shortcut] = {}
        for shortcut in shortcuts:
            path = shortcut.route.path.removeprefix(f"{_POSTS}{{post_id}}")
            self._ways.update({(method, path): shortcut for method in shortcut.route.methods or ()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        post_id, rest = ("", path) if not path.startswith(_POSTS) else (path[len(_POSTS) : _ID_ENDS], path[_ID_ENDS:])
        way = self._ways.get((scope["method"], rest))
        if way is None or "/" in post_id:
            await self.app(scope, receive, send)
            return
        scope["route"] = way.route  # for the metrics, as the framework does
        body = await way.answer(self._services, scope, post_id)
        if body is None:
            await self.app(scope, receive, send)
            return
        headers = [] if way.status == 204 else [(b"content-length", b"%d" % len(body)), _JSON]
        await send({"type": "http.response.start", "status": way.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
