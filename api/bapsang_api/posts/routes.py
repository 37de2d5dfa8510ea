"""HTTP routes of posts."""

import hashlib
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi import Request as FrameworkRequest
from pydantic import AfterValidator, BeforeValidator
from starlette.responses import Response

from bapsang_api.http.access import (
    TOKEN_NEEDED,
    TOKEN_OPTIONAL,
    CurrentPrincipal,
    OptionalPrincipal,
    caller_of,
    provided,
    required_caller_of,
)
from bapsang_api.http.answers import Answer, json_answer
from bapsang_api.http.direct import Services, direct
from bapsang_api.http.idempotency import REPLAYED_WITH, Replay
from bapsang_api.http.paging import PageQuery, RequestedPage, query_of
from bapsang_api.http.ratelimit import Limit, RateLimiter, subject_of
from bapsang_api.http.request import Request, request_of
from bapsang_api.http.validation import empty_as_absent, text_between
from bapsang_api.http.wire import API, JsonRoute, json_response, problems
from bapsang_api.kit.security.tokens import Principal
from bapsang_api.posts.listing import Wanted
from bapsang_api.posts.pictures import NamedPicture, PictureChange
from bapsang_api.posts.schemas import GonePost, OwnPostPage, PostChange, PostCreate, PostDetail, PostPage
from bapsang_api.posts.service import PostService
from bapsang_api.posts.wire import own_detail_of, own_page_of, page_of
from bapsang_api.search.query import Query as Words
from bapsang_api.search.query import searchable
from bapsang_api.tags.schemas import TagName
from bapsang_api.uploads.service import ImageService

router = APIRouter(prefix=f"{API}/posts", tags=["posts"], route_class=JsonRoute)
mine_router = APIRouter(prefix=f"{API}/users/me/posts", tags=["posts"])
search_router = APIRouter(prefix=f"{API}/search", tags=["posts"])
Images = Annotated[ImageService, provided(ImageService)]
Limiter = Annotated[RateLimiter, provided(RateLimiter)]
Posts = Annotated[PostService, provided(PostService)]
TagFilter = Annotated[TagName | None, BeforeValidator(empty_as_absent), Query(description="Only posts with this tag.")]
SearchText = Annotated[
    str,
    AfterValidator(text_between(2, 50)),
    AfterValidator(searchable),
    Query(
        description="What all must be in title or content, separated by spaces; 2-50 characters.",
        json_schema_extra={"minLength": 2, "maxLength": 50},
        examples=["된장찌개"],
    ),
]
# By which browsers say so, Sec-Purpose by the standard.
_PREFETCHING: Final = (b"sec-purpose", b"purpose", b"x-moz")
_PUBLISHED: Final[dict[str, Any]] = {
    "description": f"The post. {REPLAYED_WITH} as it is now, or its id alone when it can no longer be read.",
    "headers": {"Location": {"description": "Where the post is read.", "schema": {"type": "string"}}},
}


class ListQuery(PageQuery):
    """The parameters of a list of posts."""

    tag: TagFilter = None


@direct(
    *(router, "GET"),
    query=ListQuery,
    response_model=PostPage,
    responses=problems(400, 401),
    openapi_extra=TOKEN_OPTIONAL,
)
async def list_posts(request: Request, services: Services, _: str) -> Answer:
    """List posts, newest first; with `tag`, only those that have it."""
    principal = caller_of(request, services)  # a bad token is refused even where none is needed
    query = query_of(ListQuery, request.query)
    posts: PostService = services[PostService]
    wanted = Wanted(query.tag, query.start, query.most)
    return json_answer(await posts.listed(wanted, principal.user_id if principal else None))


@direct(
    *(router, "GET"),
    path="/{post_id}",
    response_model=PostDetail,
    responses=problems(401, 404),
    openapi_extra=TOKEN_OPTIONAL,
)
async def read_post(request: Request, services: Services, post_id: str) -> Answer:
    """Read one post. Counts a view, at most one per viewer and minute; HEAD and prefetching count none."""
    principal = caller_of(request, services)
    posts: PostService = services[PostService]
    return json_answer(await posts.detail(post_id, principal, _viewer(request, principal)))


@router.post(
    "",
    status_code=201,
    response_model=PostDetail | GonePost,
    responses={201: _PUBLISHED, **problems(400, 401, 413, 415)},
    openapi_extra=TOKEN_NEEDED,
)
async def create_post(body: PostCreate, principal: CurrentPrincipal, posts: Posts, images: Images) -> Response:
    """Publish a post. One of a new account may be held back for moderators: `state` says so."""
    detail = await posts.create(user_id=principal.user_id, fields=body.columns, pictures=_pictures(body))
    shown = own_detail_of(detail.row, images, is_liked=detail.is_liked)
    return json_response(shown, 201, {"Location": f"{API}/posts/{shown.post_id}"})


@router.patch(
    "/{post_id}",
    response_model=PostDetail,
    responses=problems(400, 401, 403, 404, 413, 415),
    openapi_extra=TOKEN_NEEDED,
)
async def change_post(
    post_id: str, body: PostChange, principal: CurrentPrincipal, posts: Posts, images: Images
) -> Response:
    """Change a post of the caller's. What is missing or null stays. Counts no view."""
    detail = await posts.change(post_id, principal=principal, fields=body.columns, pictures=_pictures(body))
    return json_response(own_detail_of(detail.row, images, is_liked=detail.is_liked))


@router.delete(
    "/{post_id}",
    status_code=204,
    response_class=Response,
    responses=problems(401, 403, 404),
    openapi_extra=TOKEN_NEEDED,
)
async def delete_post(post_id: str, principal: CurrentPrincipal, posts: Posts) -> Response:
    """Delete a post of the caller's, with its comments and likes, for good."""
    await posts.delete(post_id, user_id=principal.user_id)
    return Response(status_code=204)


@mine_router.get("", response_model=OwnPostPage, responses=problems(400, 401), openapi_extra=TOKEN_NEEDED)
async def list_my_posts(
    principal: CurrentPrincipal,
    posts: Posts,
    images: Images,
    paging: RequestedPage,
) -> Response:
    """List the caller's posts, newest first, also those that are held back."""
    page = await posts.own(principal.user_id, paging.start, paging.most)
    return json_response(own_page_of(page.rows, page.following, images))


@search_router.get("/posts", response_model=PostPage, responses=problems(400, 401), openapi_extra=TOKEN_OPTIONAL)
async def search_posts(
    q: SearchText,
    request: FrameworkRequest,
    principal: OptionalPrincipal,
    limiter: Limiter,
    posts: Posts,
    images: Images,
    paging: RequestedPage,
) -> Response:
    """List the posts with all the words in title or content, newest first. A page may be short although more follow."""
    limiter.admit(request.scope, Limit.SEARCH, subject_of(request_of(request.scope).address))
    page = await posts.search(Words.of(q), paging.start, paging.most, principal.user_id if principal else None)
    return json_response(page_of(page.rows, page.following, images))


async def _published(request: Request, services: Services, post_id: str) -> bytes | None:
    posts: PostService = services[PostService]
    detail = await posts.current(post_id, required_caller_of(request, services))
    if detail is None:
        return None
    shown = own_detail_of(detail.row, services[ImageService], is_liked=detail.is_liked)
    return shown.model_dump_json(by_alias=True).encode()


REPLAYS: Final = (Replay(create_post, "postId", _published),)


def _viewer(request: Request, principal: Principal | None) -> str | None:
    """Return who sees a post: the user, or a short digest that tells visitors apart; no address is ever stored. None for a request
    after which nobody sees it: of its head alone, or ahead of a click that may never come.
    """
    if request.is_head or any(b"prefetch" in request.headers.get(name, b"").lower() for name in _PREFETCHING):
        return None
    if principal is not None:
        return principal.user_id
    seen = request.address.encode("utf-8", "surrogateescape") + b" " + request.headers.get(b"user-agent", b"")
    return hashlib.blake2b(seen, digest_size=8).hexdigest()


def _pictures(body: PostCreate | PostChange) -> PictureChange:
    listed = body.images if body.images is None else tuple(NamedPicture(image.key, image.alt) for image in body.images)
    return PictureChange(body.post_image_key, listed)
