"""HTTP routes of posts."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BeforeValidator
from starlette.responses import Response

from bapsang_api.kit.access import TOKEN_NEEDED, TOKEN_OPTIONAL, CurrentPrincipal, OptionalPrincipal
from bapsang_api.kit.clock import to_wire
from bapsang_api.kit.cursor import Cursor, RequestedPage
from bapsang_api.kit.inject import provided
from bapsang_api.kit.network import client_address
from bapsang_api.kit.ratelimit import Limit, RateLimiter, subject_of
from bapsang_api.kit.validation import empty_as_absent, text_between
from bapsang_api.kit.wire import API, JsonRoute, json_response, problems
from bapsang_api.posts.pictures import NamedPicture, PictureChange
from bapsang_api.posts.schemas import (
    Author,
    ContentDetail,
    DetailStats,
    PostChange,
    PostCreate,
    PostDetail,
    PostItem,
    PostPage,
    ShownImage,
    Stats,
)
from bapsang_api.posts.service import Detail, Page, PostService
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


@router.get("", response_model=PostPage, responses=problems(400, 401), openapi_extra=TOKEN_OPTIONAL)
async def list_posts(
    _: OptionalPrincipal,
    posts: Posts,
    images: Images,
    paging: RequestedPage,
    tag: TagFilter = None,
) -> Response:
    """List posts, newest first; with `tag`, only those that have it."""
    before, size = paging.start, paging.size
    page = await (posts.page(before, size) if tag is None else posts.tagged(tag, before, size))
    return json_response(page_body(page, images))


@router.get("/{post_id}", response_model=PostDetail, responses=problems(401, 404), openapi_extra=TOKEN_OPTIONAL)
async def read_post(
    post_id: str, request: Request, principal: OptionalPrincipal, posts: Posts, images: Images
) -> Response:
    """Read one post. Counts a view, at most one per viewer and minute, which shows after the next write-back."""
    user_id = principal.user_id if principal else None
    detail = await posts.detail(post_id, user_id=user_id, viewer=user_id or _visitor(request))
    return json_response(_detail(detail, images))


@router.post(
    "",
    status_code=201,
    response_model=PostDetail,
    responses=problems(400, 401, 413, 415),
    openapi_extra=TOKEN_NEEDED,
)
async def create_post(body: PostCreate, principal: CurrentPrincipal, posts: Posts, images: Images) -> Response:
    """Publish a post."""
    detail = await posts.create(
        user_id=principal.user_id,
        title=body.title,
        content=body.content,
        pictures=_pictures(body),
        tags=tuple(body.tags or ()),
    )
    return json_response(_detail(detail, images), 201)


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
    detail = await posts.change(
        post_id,
        user_id=principal.user_id,
        title=body.title,
        content=body.content,
        pictures=_pictures(body),
        tags=None if body.tags is None else tuple(body.tags),
    )
    return json_response(_detail(detail, images))


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


@mine_router.get("", response_model=PostPage, responses=problems(400, 401), openapi_extra=TOKEN_NEEDED)
async def list_my_posts(
    principal: CurrentPrincipal,
    posts: Posts,
    images: Images,
    paging: RequestedPage,
) -> Response:
    """List the caller's posts, newest first."""
    page = await posts.page(paging.start, paging.size, author_id=principal.user_id)
    return json_response(page_body(page, images))


@search_router.get("/posts", response_model=PostPage, responses=problems(400, 401), openapi_extra=TOKEN_OPTIONAL)
async def search_posts(
    q: SearchText,
    request: Request,
    _: OptionalPrincipal,
    limiter: Limiter,
    posts: Posts,
    images: Images,
    paging: RequestedPage,
) -> Response:
    """List the posts with all the words in title or content, newest first. 503 when too many hold them to be read in time."""
    limiter.admit(request.scope, Limit.SEARCH, subject_of(client_address(request.scope)))
    page = await posts.search(Words.of(q), paging.start, paging.size)
    return json_response(page_body(page, images))


def _visitor(request: Request) -> str:
    """Return a short digest that tells visitors without a login apart; no address is ever stored."""
    seen = f"{client_address(request.scope)} {request.headers.get('user-agent', '')}"
    return hashlib.blake2b(seen.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _pictures(body: PostCreate | PostChange) -> PictureChange:
    listed = body.images if body.images is None else tuple(NamedPicture(image.key, image.alt) for image in body.images)
    return PictureChange(body.post_image_key, listed)


def page_body(page: Page, images: ImageService) -> PostPage:
    """Return a page of posts as clients see it."""
    items = [
        PostItem(
            post_id=row.post_id,
            title=row.title,
            created_at=to_wire(row.created_at),
            thumbnail_url=images.url(row.image_key),
            author=Author(nickname=row.author_nickname, author_profile_url=images.url(row.author_image_key)),
            stats=Stats(like_count=row.like_count, comment_count=row.comment_count, view_count=row.view_count),
            tags=list(row.tags),
        )
        for row in page.rows
    ]
    return PostPage(items=items, next_cursor=Cursor.of(page.following), has_more=page.following is not None)


def _detail(detail: Detail, images: ImageService) -> PostDetail:
    row = detail.row
    return PostDetail(
        post_id=row.post_id,
        title=row.title,
        created_at=to_wire(row.created_at),
        updated_at=to_wire(row.updated_at) if row.updated_at else None,
        content_detail=ContentDetail(
            content=row.content, post_image_url=images.url(row.image_key), images=_shown(detail, images)
        ),
        author=Author(nickname=row.author_nickname, author_profile_url=images.url(row.author_image_key)),
        stats=DetailStats(
            like_count=row.like_count,
            comment_count=row.comment_count,
            view_count=row.view_count,
            is_liked=detail.is_liked,
        ),
        tags=list(row.tags),
    )


def _shown(detail: Detail, images: ImageService) -> list[ShownImage]:
    shown = ((picture, images.url(picture.object_key)) for picture in detail.row.pictures)
    return [ShownImage(key=picture.object_key, url=url, alt=picture.alt) for picture, url in shown if url is not None]
