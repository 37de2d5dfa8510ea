"""HTTP routes of likes. They take any body or none: existing clients send all kinds."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Scope

from bapsang_api.http.access import TOKEN_NEEDED, CurrentPrincipal, required_caller_of
from bapsang_api.http.inject import provided
from bapsang_api.http.paging import RequestedPage
from bapsang_api.http.shortcuts import Shortcut
from bapsang_api.http.wire import API, json_response, problems
from bapsang_api.likes.service import LikeService
from bapsang_api.posts.schemas import PostPage
from bapsang_api.posts.wire import page_of
from bapsang_api.uploads.service import ImageService

router = APIRouter(prefix=f"{API}/posts/{{post_id}}/likes", tags=["likes"])
mine_router = APIRouter(prefix=f"{API}/users/me/likes", tags=["likes"])
Images = Annotated[ImageService, provided(ImageService)]
Likes = Annotated[LikeService, provided(LikeService)]


@router.post("", status_code=204, response_class=Response, responses=problems(401, 404), openapi_extra=TOKEN_NEEDED)
async def toggle_like(post_id: str, principal: CurrentPrincipal, likes: Likes) -> Response:
    """Turn the caller's like over. To be safe when a request is repeated, use PUT or DELETE instead."""
    await likes.toggle(post_id, principal)
    return Response(status_code=204)


@router.put("", status_code=204, response_class=Response, responses=problems(401, 404), openapi_extra=TOKEN_NEEDED)
async def like(post_id: str, principal: CurrentPrincipal, likes: Likes) -> Response:
    """Like the post. Idempotent."""
    await likes.set(post_id, principal, wanted=True)
    return Response(status_code=204)


@router.delete("", status_code=204, response_class=Response, responses=problems(401, 404), openapi_extra=TOKEN_NEEDED)
async def unlike(post_id: str, principal: CurrentPrincipal, likes: Likes) -> Response:
    """Take the like back. Idempotent."""
    await likes.set(post_id, principal, wanted=False)
    return Response(status_code=204)


@mine_router.get("", response_model=PostPage, responses=problems(400, 401), openapi_extra=TOKEN_NEEDED)
async def list_liked_posts(
    principal: CurrentPrincipal,
    likes: Likes,
    images: Images,
    paging: RequestedPage,
) -> Response:
    """List the posts that the caller likes, the last liked first. A like shows here after the next write-back."""
    page = await likes.page(principal.user_id, paging.start, paging.size)
    return json_response(page_of(page.rows, page.following, images))


async def _toggle(services: Mapping[type, Any], scope: Scope, post_id: str) -> bytes:
    principal = required_caller_of(services, scope)
    service: LikeService = services[LikeService]
    await service.toggle(post_id, principal)
    return b""


async def _set(services: Mapping[type, Any], scope: Scope, post_id: str) -> bytes:
    principal = required_caller_of(services, scope)
    service: LikeService = services[LikeService]
    await service.set(post_id, principal, wanted=scope["method"] == "PUT")
    return b""


SHORTCUTS: Final = tuple(
    Shortcut(route, _toggle if route.endpoint is toggle_like else _set)
    for route in router.routes
    if isinstance(route, APIRoute)
)
