"""HTTP routes of what administrators look up. None of it may be kept by a browser."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator
from starlette.responses import Response

from bapsang_api.http.access import TOKEN_NEEDED, CurrentAdmin, provided
from bapsang_api.http.paging import Cursor, RequestedPage
from bapsang_api.http.validation import at_most, empty_as_absent
from bapsang_api.http.wire import API, JsonRoute, json_response, problems
from bapsang_api.kit.clock import to_wire
from bapsang_api.kit.security.tokens import Principal
from bapsang_api.moderation.acts import Actor
from bapsang_api.moderation.looking import MOST_ASKED, Found, LookService
from bapsang_api.moderation.queries import AuditRow, HeldRow, UserState
from bapsang_api.moderation.schemas import (
    AdminComment,
    AdminPost,
    AuditActor,
    AuditItem,
    AuditPage,
    CommentStatus,
    HeldPage,
    HeldPost,
    PostStatus,
    Queue,
    UserCounts,
    UserItem,
    UserPage,
    WrittenBy,
)
from bapsang_api.posts.holding import Rule
from bapsang_api.posts.wire import own_detail_of
from bapsang_api.reports.vocabulary import Reason
from bapsang_api.uploads.service import ImageService

router = APIRouter(prefix=f"{API}/admin", tags=["admin"], route_class=JsonRoute)
Images = Annotated[ImageService, provided(ImageService)]
Looks = Annotated[LookService, provided(LookService)]
Asked = Annotated[
    Annotated[str, AfterValidator(at_most(MOST_ASKED))] | None,
    BeforeValidator(empty_as_absent),
    Query(description="An id, an e-mail, or how a nickname begins.", json_schema_extra={"maxLength": MOST_ASKED}),
]
InState = Annotated[
    UserState | None, BeforeValidator(empty_as_absent), Query(description="Accounts in this state, all when absent.")
]
_Id = Annotated[str, AfterValidator(at_most(26))]
ByActor = Annotated[_Id | None, BeforeValidator(empty_as_absent), Query(description="Only acts of this user.")]
OnTarget = Annotated[
    _Id | None, BeforeValidator(empty_as_absent), Query(description="Only acts on this user, post, comment or report.")
]


def _answers(model: type[BaseModel], *statuses: int) -> dict[str, Any]:
    return {"response_model": model, "responses": problems(400, 401, 403, *statuses), "openapi_extra": TOKEN_NEEDED}


@router.get("/users", **_answers(UserPage))
async def search_users(
    admin: CurrentAdmin, looks: Looks, paging: RequestedPage, q: Asked = None, status: InState = None
) -> Response:
    """Look for users, newest first: by id or e-mail the one, by the beginning of a nickname all who have it. Recorded."""
    page = await looks.people(_actor(admin), q, status, paging.start, paging.most)
    following = page.following
    items = [_user(found) for found in page.rows]
    return _private(UserPage(items=items, next_cursor=Cursor.of(following), has_more=following is not None))


@router.get("/users/{user_id}", **_answers(UserItem, 404))
async def read_user(user_id: str, admin: CurrentAdmin, looks: Looks) -> Response:
    """Read an account. Recorded."""
    return _private(_user(await looks.user(_actor(admin), user_id)))


@router.get("/held-posts", **_answers(HeldPage))
async def list_held_posts(admin: CurrentAdmin, looks: Looks, paging: RequestedPage) -> Response:
    """List the posts that are held back for moderators, newest first."""
    page = await looks.held(_actor(admin), paging.start, paging.most)
    following = page.following
    items = [_held(row) for row in page.rows]
    return _private(HeldPage(items=items, next_cursor=Cursor.of(following), has_more=following is not None))


@router.get("/posts/{post_id}", **_answers(AdminPost, 404))
async def inspect_post(post_id: str, admin: CurrentAdmin, looks: Looks, images: Images) -> Response:
    """Read a post that is not deleted, also one that is hidden or held. Counts no view."""
    view, hold = await looks.post(_actor(admin), post_id)
    return _private(
        AdminPost(
            post=own_detail_of(view, images, is_liked=False),
            status=PostStatus(view.status),
            held_at=to_wire(hold.held_at) if hold.held_at else None,
            held_for=Rule(hold.held_for) if hold.held_for else None,
            author=WrittenBy(user_id=view.author_id, nickname=view.nickname),
        )
    )


@router.get("/comments/{comment_id}", **_answers(AdminComment, 404))
async def inspect_comment(comment_id: str, admin: CurrentAdmin, looks: Looks) -> Response:
    """Read a comment that is not deleted, also one that is hidden."""
    row = await looks.comment(_actor(admin), comment_id)
    return _private(
        AdminComment(
            comment_id=row.comment_id,
            post_id=row.post_id,
            parent_id=row.parent_id,
            content=row.content,
            status=CommentStatus(row.status),
            created_at=to_wire(row.created_at),
            updated_at=to_wire(row.updated_at) if row.updated_at else None,
            author=WrittenBy(user_id=row.author_id, nickname=row.author_nickname),
        )
    )


@router.get("/audit", **_answers(AuditPage))
async def list_audit(
    admin: CurrentAdmin, looks: Looks, paging: RequestedPage, actor: ByActor = None, target: OnTarget = None
) -> Response:
    """List what administrators did, newest first."""
    page = await looks.audit(_actor(admin), by=actor, target=target, before=paging.start, size=paging.most)
    following = page.following
    items = [_entry(row) for row in page.rows]
    return _private(AuditPage(items=items, next_cursor=Cursor.of(following), has_more=following is not None))


@router.get("/queue", **_answers(Queue))
async def read_queue(admin: CurrentAdmin, looks: Looks) -> Response:
    """Tell how much waits for administrators."""
    waiting = await looks.queue(_actor(admin))
    by_reason = {Reason(reason): count for reason, count in waiting.queue.open_reports.items()}
    return _private(
        Queue(
            open_reports=sum(by_reason.values()),
            open_reports_by_reason=by_reason,
            oldest_open_seconds=None if waiting.oldest_report is None else int(waiting.oldest_report.total_seconds()),
            held_posts=waiting.queue.held_posts,
            oldest_held_seconds=None if waiting.oldest_held is None else int(waiting.oldest_held.total_seconds()),
            suspended_users=waiting.queue.suspended_users,
        )
    )


def _user(found: Found) -> UserItem:
    user, counts, until = found.user, found.counts, found.user.suspended_until
    return UserItem(
        user_id=user.user_id,
        nickname=user.nickname,
        email=user.email,
        role=user.role,
        status=UserState(user.state),
        suspended_until=to_wire(until) if until and user.state == UserState.SUSPENDED else None,
        created_at=to_wire(user.created_at),
        counts=UserCounts(posts=counts.posts, comments=counts.comments, open_reports=counts.open_reports),
    )


def _held(row: HeldRow) -> HeldPost:
    return HeldPost(
        post_id=row.post_id,
        title=row.title,
        created_at=to_wire(row.created_at),
        held_at=to_wire(row.held_at),
        held_for=Rule(row.held_for),
        author=WrittenBy(user_id=row.author_id, nickname=row.author_nickname),
    )


def _entry(row: AuditRow) -> AuditItem:
    actor = None if row.actor_id is None else AuditActor(user_id=row.actor_id, nickname=row.actor_nickname)
    return AuditItem(
        audit_id=row.audit_id,
        actor=actor,
        action=row.action,
        target_id=row.target_id,
        reason=row.reason,
        detail=row.detail,
        request_id=row.request_id,
        created_at=to_wire(row.created_at),
    )


def _private(body: BaseModel) -> Response:
    return json_response(body, headers={"Cache-Control": "private, no-store"})


def _actor(admin: Principal) -> Actor:
    return Actor(admin.user_id, None)
