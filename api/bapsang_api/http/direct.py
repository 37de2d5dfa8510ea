"""Direct routes: plain functions that the gateway calls itself, past the framework's routing and dependencies.

Those cost more than the answers of the routes that make up the peak. A direct route stands in its router like any other, so that it
is in the OpenAPI document and among the methods of its path; the framework never calls it.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.routing import APIRoute
from pydantic import BaseModel

from bapsang_api.http.answers import Answer
from bapsang_api.http.request import Request
from bapsang_api.http.wire import API

POSTS: Final = f"{API}/posts/"
_ITEM: Final = POSTS + "{post_id}"
Services = Mapping[type, Any]
Handler = Callable[[Request, Services, str], Awaitable[Answer]]
"""Takes the request, the services by class, and the post's id, or an empty string. Raises Problem."""


class DirectRoute(APIRoute):
    """A route that the gateway calls: under `/posts`, or of one path."""

    handler: Handler

    def matches_of(self) -> Iterator[tuple[str, str]]:
        """Yield its methods with what follows the post's id in its path, or the whole path where none is in it."""
        for method in self.methods or ():
            yield method, self.path.removeprefix(_ITEM)


def direct(
    router: APIRouter, *methods: str, path: str = "", query: type[BaseModel] | None = None, **declared: Any
) -> Callable[[Handler], Handler]:
    """Add a route to the router. `query` is the model of its parameters; `declared` goes to the OpenAPI document."""

    def add(handler: Handler) -> Handler:
        async def endpoint(**_: Any) -> None:
            raise AssertionError("the gateway answers this")

        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter(name, kind, annotation=str) for name in ("post_id",) if _ITEM in router.prefix + path
        ]
        if query is not None:
            parameters.append(inspect.Parameter("query", kind, annotation=Annotated[query, Query()]))
        endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        endpoint.__name__, endpoint.__doc__ = handler.__name__, handler.__doc__
        router.add_api_route(path, endpoint, methods=list(methods), route_class_override=DirectRoute, **declared)
        route = router.routes[-1]
        assert isinstance(route, DirectRoute)  # noqa: S101
        route.handler = handler
        return handler

    return add
