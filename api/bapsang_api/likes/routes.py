"""HTTP routes of likes. They take any body or none: existing clients send all kinds."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.http.access import TOKEN_NEEDED, CurrentPrincipal, provided, required_caller_of
from bapsang_api.http.answers import Answer
from bapsang_api.http.direct import Services, direct
from bapsang_api.http.paging import RequestedPage
from bapsang_api.http.request import Request
from bapsang_api.http.wire import API, json_response, problems
from bapsang_api.likes.service import LikeService
from bapsang_api.people.hidden import HiddenPeople
from bapsang_api.posts.schemas import PostPage
from bapsang_api.posts.service import PostService
from bapsang_api.posts.wire import page_of
from bapsang_api.uploads.service import ImageService

router = APIRouter(prefix=f"{API}/posts/{{post_id}}/likes", tags=["likes"])
mine_router = APIRouter(prefix=f"{API}/users/me/likes", tags=["likes"])
Images = Annotated[ImageService, provided(ImageService)]
Likes = Annotated[LikeService, provided(LikeService)]
Posts = Annotated[PostService, provided(PostService)]


_DONE: Final = Answer(204)
_CHANGE: Final[dict[str, Any]] = {
    "status_code": 204,
    "response_class": Response,
    "responses": problems(401, 404),
    "openapi_extra": TOKEN_NEEDED,
}


@direct(router, "POST", **_CHANGE)
async def toggle_like(request: Request, services: Services, post_id: str) -> Answer:
    """Turn the caller's like over. To be safe when a request is repeated, use PUT or DELETE instead."""
    principal = required_caller_of(request, services)
    likes: LikeService = services[LikeService]
    if services[HiddenPeople].may_hide(principal.user_id):
        await services[PostService].require_seen(post_id, principal.user_id)
    await likes.toggle(post_id, principal)
    return _DONE


@direct(router, "PUT", **_CHANGE)
async def like(request: Request, services: Services, post_id: str) -> Answer:
    """Like the post. Idempotent."""
    principal = required_caller_of(request, services)
    likes: LikeService = services[LikeService]
    if services[HiddenPeople].may_hide(principal.user_id):
        await services[PostService].require_seen(post_id, principal.user_id)
    await likes.set(post_id, principal, wanted=True)
    return _DONE


@direct(router, "DELETE", **_CHANGE)
async def unlike(request: Request, services: Services, post_id: str) -> Answer:
    """Take the like back. Idempotent."""
    principal = required_caller_of(request, services)
    likes: LikeService = services[LikeService]
    await likes.set(post_id, principal, wanted=False)
    return _DONE


@mine_router.get("", response_model=PostPage, responses=problems(400, 401), openapi_extra=TOKEN_NEEDED)
async def list_liked_posts(
    principal: CurrentPrincipal,
    likes: Likes,
    posts: Posts,
    images: Images,
    paging: RequestedPage,
) -> Response:
    """List the posts that the caller likes, the last liked first. A like shows here after the next write-back."""
    page = await posts.counted(await likes.page(principal.user_id, paging.start, paging.most))
    return json_response(page_of(page.rows, page.following, images))
