"""Wire shapes of moderation."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from bapsang_api.http.paging import Cursor
from bapsang_api.http.validation import empty_as_absent, ruled, text_between
from bapsang_api.http.wire import Wire
from bapsang_api.kit.clock import from_wire
from bapsang_api.moderation.queries import UserState
from bapsang_api.posts.holding import Rule
from bapsang_api.posts.schemas import PostDetail
from bapsang_api.reports.vocabulary import Reason as ReportReason

Reason = Annotated[
    str, AfterValidator(text_between(1, 500)), Field(json_schema_extra={"minLength": 1, "maxLength": 500})
]


class Act(Wire):
    """Why an administrator acts; kept in the audit log."""

    reason: Reason | None = None


@ruled
def _moment(text: str) -> str:
    """Rule for a time of ours."""
    try:
        from_wire(text)
    except ValueError as error:
        raise ValueError("올바르지 않은 시각입니다.") from error
    return text


class Suspension(Act):
    """Until when an account cannot be used: a time, or so many days from now. Where both are given, the time counts."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 7, "reason": "약관 제6조 위반"}]})

    until: Annotated[Annotated[str, AfterValidator(_moment)] | None, BeforeValidator(empty_as_absent)] = None
    days: Annotated[int, Field(strict=True, ge=1, le=3650)] | None = None


class UserCounts(Wire):
    """How much there is of somebody, but for what is deleted, and how many open reports of it."""

    posts: int
    comments: int
    open_reports: int


class UserItem(Wire):
    """An account as administrators see it. A withdrawn one has no e-mail."""

    user_id: str
    nickname: str
    email: str | None
    role: str = Field(examples=["USER"])
    status: UserState
    suspended_until: str | None
    created_at: str
    counts: UserCounts


class UserPage(Wire):
    """A page of accounts, newest first. `nextCursor` is passed back verbatim; it is null on the last page."""

    items: list[UserItem]
    next_cursor: Cursor | None
    has_more: bool


class AuditActor(Wire):
    """Who acted."""

    user_id: str
    nickname: str | None


class AuditItem(Wire):
    """An entry of the audit log. `actor` is null for the command line; `detail` is what the program says of the act."""

    audit_id: str
    actor: AuditActor | None
    action: str = Field(examples=["post.hide"])
    target_id: str
    reason: str | None
    detail: str | None = Field(examples=["until 2026-11-30T10:10:12.781554"])
    request_id: str | None
    created_at: str


class AuditPage(Wire):
    """A page of the audit log, newest first. `nextCursor` is passed back verbatim; it is null on the last page."""

    items: list[AuditItem]
    next_cursor: Cursor | None
    has_more: bool


class Queue(Wire):
    """How much waits for administrators, and for how many seconds the oldest of it has; null where nothing does."""

    open_reports: int
    open_reports_by_reason: dict[ReportReason, int] = Field(examples=[{"SPAM": 2, "ABUSE": 1}])
    oldest_open_seconds: int | None
    held_posts: int
    oldest_held_seconds: int | None
    suspended_users: int


class WrittenBy(Wire):
    """Who wrote it, also who has withdrawn."""

    user_id: str
    nickname: str


class HeldPost(Wire):
    """A post that waits for a moderator, and which rule holds it."""

    post_id: str
    title: str
    created_at: str
    held_at: str
    held_for: Rule
    author: WrittenBy


class HeldPage(Wire):
    """A page of held posts, newest first. `nextCursor` is passed back verbatim; it is null on the last page."""

    items: list[HeldPost]
    next_cursor: Cursor | None
    has_more: bool


class PostStatus(StrEnum):
    """What became of a post."""

    ACTIVE = "ACTIVE"
    HELD = "HELD"
    HIDDEN = "HIDDEN"


class AdminPost(Wire):
    """A post as its page shows or would show it, and what became of it. Pictures of a hidden one cannot be loaded."""

    post: PostDetail
    status: PostStatus
    held_at: str | None
    held_for: Rule | None
    author: WrittenBy


class CommentStatus(StrEnum):
    """What became of a comment."""

    ACTIVE = "ACTIVE"
    HIDDEN = "HIDDEN"


class AdminComment(Wire):
    """A comment, and what became of it."""

    comment_id: str
    post_id: str
    parent_id: str | None
    content: str
    status: CommentStatus
    created_at: str
    updated_at: str | None
    author: WrittenBy
