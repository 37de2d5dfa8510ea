"""HTTP routes of comments."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.comments.schemas import (
    CommentChange,
    CommentCreate,
    CommentEdited,
    CommentItem,
    CommentPage,
    GoneComment,
)
from bapsang_api.comments.service import CommentService
from bapsang_api.comments.threads import Thread
from bapsang_api.comments.wire import item_of, page_of
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
from bapsang_api.http.request import Request
from bapsang_api.http.wire import API, JsonRoute, json_response, problems
from bapsang_api.kit.clock import to_wire
from bapsang_api.people.hidden import HiddenPeople
from bapsang_api.posts.service import PostService
from bapsang_api.uploads.service import ImageService

router = APIRouter(prefix=f"{API}/posts/{{post_id}}/comments", tags=["comments"], route_class=JsonRoute)
Images = Annotated[ImageService, provided(ImageService)]
Comments = Annotated[CommentService, provided(CommentService)]
Posts = Annotated[PostService, provided(PostService)]

_WRITTEN: Final[dict[str, Any]] = {
    "description": f"The comment. {REPLAYED_WITH} as it is now, or its id alone when it can no longer be read."
}


@direct(
    *(router, "GET"),
    query=PageQuery,
    response_model=CommentPage,
    responses=problems(400, 401, 404),
    openapi_extra=TOKEN_OPTIONAL,
)
async def list_comments(request: Request, services: Services, post_id: str) -> Answer:
    """List the top-level comments of a post, newest first, with their replies, oldest first."""
    principal = caller_of(request, services)  # a bad token is refused even where none is needed
    query = query_of(PageQuery, request.query)
    comments: CommentService = services[CommentService]
    user_id = principal.user_id if principal else None
    if user_id is not None and services[HiddenPeople].may_hide(user_id):
        await services[PostService].require_seen(post_id, user_id)
    return json_answer(await comments.page(post_id, query.start, query.most, user_id))


@router.get(
    "/{comment_id}/replies",
    response_model=CommentPage,
    responses=problems(400, 401, 404),
    openapi_extra=TOKEN_OPTIONAL,
)
async def list_replies(
    post_id: str,
    comment_id: str,
    principal: OptionalPrincipal,
    comments: Comments,
    posts: Posts,
    images: Images,
    paging: RequestedPage,
) -> Response:
    """List all replies below a top-level comment, oldest first and side by side: `parentId` says what each answers."""
    user_id = principal.user_id if principal else None
    if user_id is not None:
        await posts.require_seen(post_id, user_id)
    page = await comments.replies(post_id, comment_id, paging.start, paging.most, user_id)
    return json_response(page_of(page, images))


@router.post(
    "",
    status_code=201,
    response_model=CommentItem | GoneComment,
    responses={201: _WRITTEN, **problems(400, 401, 404, 413, 415)},
    openapi_extra=TOKEN_NEEDED,
)
async def create_comment(
    post_id: str, body: CommentCreate, principal: CurrentPrincipal, comments: Comments, posts: Posts, images: Images
) -> Response:
    """Write a comment, or with `parentId` a reply, down to a depth of 3."""
    await posts.require_seen(post_id, principal.user_id)
    row = await comments.create(
        post_id, user_id=principal.user_id, content=body.content, parent_id=body.parent_id or None
    )
    return json_response(item_of(Thread(row), images), 201)


@router.patch(
    "/{comment_id}",
    status_code=201,
    response_model=CommentEdited,
    responses=problems(400, 401, 403, 404, 413, 415),
    openapi_extra=TOKEN_NEEDED,
)
async def change_comment(
    post_id: str, comment_id: str, body: CommentChange, principal: CurrentPrincipal, comments: Comments
) -> Response:
    """Change the text of a comment of the caller's."""
    edited = await comments.change(post_id, comment_id, user_id=principal.user_id, content=body.content)
    answer = CommentEdited(id=edited.comment_id, content=edited.content, updated_at=to_wire(edited.updated_at))
    return json_response(answer, 201)


@router.delete(
    "/{comment_id}",
    status_code=204,
    response_class=Response,
    responses=problems(401, 403, 404),
    openapi_extra=TOKEN_NEEDED,
)
async def delete_comment(post_id: str, comment_id: str, principal: CurrentPrincipal, comments: Comments) -> Response:
    """Delete a comment of the caller's. One that was answered stays, without text and author, while answers are there."""
    await comments.delete(post_id, comment_id, user_id=principal.user_id)
    return Response(status_code=204)


async def _written(request: Request, services: Services, comment_id: str) -> bytes | None:
    required_caller_of(request, services)
    comments: CommentService = services[CommentService]
    thread = await comments.current(comment_id)
    return None if thread is None else item_of(thread, services[ImageService]).model_dump_json(by_alias=True).encode()


REPLAYS: Final = (Replay(create_comment, "commentId", _written),)
