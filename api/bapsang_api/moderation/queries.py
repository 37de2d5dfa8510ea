"""Every SQL statement that reads what administrators see: people, the audit log, how much waits for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, func, or_, select

from bapsang_api.comments.models import STATUS_DELETED as COMMENT_DELETED
from bapsang_api.comments.models import Comment
from bapsang_api.kit.db.columns import UtcDateTime, table_of
from bapsang_api.kit.db.keyset import Keyset, newest_first
from bapsang_api.moderation.models import AuditEntry
from bapsang_api.posts.models import STATUS_DELETED as POST_DELETED
from bapsang_api.posts.models import STATUS_HELD, Post
from bapsang_api.reports.models import Report
from bapsang_api.reports.vocabulary import ReportStatus, TargetKind
from bapsang_api.users.models import STATUS_ACTIVE, STATUS_BLOCKED, STATUS_DELETED, User, UserAuth
from bapsang_api.users.store import author_name

audit_log = table_of(AuditEntry)
comments = table_of(Comment)
posts = table_of(Post)
reports = table_of(Report)
users = table_of(User)
user_auth = table_of(UserAuth)


class UserState(StrEnum):
    """What an account can be, as administrators see it."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"  # ACTIVE, but for a time
    BLOCKED = "BLOCKED"
    DELETED = "DELETED"


@dataclass(frozen=True)
class UserRow:
    """An account as administrators see it. A withdrawn one has no e-mail."""

    user_id: str
    nickname: str
    email: str | None
    role: str
    state: str
    suspended_until: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class Counts:
    """How much there is of somebody, but for what is deleted, and how many open reports of it."""

    posts: int = 0
    comments: int = 0
    open_reports: int = 0


@dataclass(frozen=True)
class AuditRow:
    """An entry of the audit log. `actor_id` is None for the command line, the name for who is no longer there."""

    audit_id: str
    actor_id: str | None
    actor_nickname: str | None
    action: str
    target_id: str
    reason: str | None
    detail: str | None
    request_id: str | None
    created_at: datetime


@dataclass(frozen=True)
class HeldRow:
    """A post that waits for a moderator."""

    post_id: str
    title: str
    created_at: datetime
    held_at: datetime
    held_for: str
    author_id: str
    author_nickname: str


@dataclass(frozen=True)
class Hold:
    """Since when and why a post is held, None for one that is not."""

    held_at: datetime | None
    held_for: str | None


@dataclass(frozen=True)
class CommentRow:
    """A comment that is not deleted, on a post that is not."""

    comment_id: str
    post_id: str
    parent_id: str | None
    content: str
    status: str
    created_at: datetime
    updated_at: datetime | None
    author_id: str
    author_nickname: str


@dataclass(frozen=True)
class Queue:
    """How much waits for administrators, and since when the oldest of it."""

    open_reports: dict[str, int]
    held_posts: int
    suspended_users: int
    oldest_report: datetime | None
    oldest_held: datetime | None


_NOW: Final = bindparam("now", type_=UtcDateTime())
_SUSPENDED: Final = and_(users.c.user_status == STATUS_ACTIVE, users.c.suspended_until > _NOW)
_STATE: Final[dict[UserState, ColumnElement[bool]]] = {
    UserState.ACTIVE: and_(
        users.c.user_status == STATUS_ACTIVE, or_(users.c.suspended_until.is_(None), users.c.suspended_until <= _NOW)
    ),
    UserState.SUSPENDED: _SUSPENDED,
    UserState.BLOCKED: users.c.user_status == STATUS_BLOCKED,
    UserState.DELETED: users.c.user_status == STATUS_DELETED,
}
_USERS: Final[Select[Any]] = (
    select(
        users.c.id,
        author_name,
        case((users.c.user_status == STATUS_DELETED, None), else_=user_auth.c.email),
        users.c.user_role,
        case((_SUSPENDED, UserState.SUSPENDED.value), else_=users.c.user_status),
        users.c.suspended_until,
        users.c.created_at,
    )
    .join_from(users, user_auth, user_auth.c.user_id == users.c.id)
    .order_by(users.c.created_at.desc(), users.c.id.desc())
)
_AUDIT: Final[Select[Any]] = (
    select(
        audit_log.c.id,
        audit_log.c.actor_id,
        author_name,
        audit_log.c.action,
        audit_log.c.target_id,
        audit_log.c.reason,
        audit_log.c.detail,
        audit_log.c.request_id,
        audit_log.c.created_at,
    )
    .join_from(audit_log, users, users.c.id == audit_log.c.actor_id, isouter=True)
    .order_by(audit_log.c.created_at.desc(), audit_log.c.id.desc())
)


_HELD: Final = newest_first(
    select(
        posts.c.id,
        posts.c.title,
        posts.c.created_at,
        posts.c.held_at,
        posts.c.held_for,
        posts.c.user_id,
        author_name,
    )
    .join_from(posts, users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status == STATUS_HELD)
    .order_by(posts.c.created_at.desc(), posts.c.id.desc()),
    posts.c.created_at,
    posts.c.id,
)
_COMMENT: Final[Select[Any]] = (
    select(
        comments.c.comment_id,
        comments.c.post_id,
        comments.c.parent_id,
        comments.c.content,
        comments.c.comment_status,
        comments.c.created_at,
        comments.c.updated_at,
        comments.c.user_id,
        author_name,
    )
    .join_from(comments, users, users.c.id == comments.c.user_id)
    .join(posts, posts.c.id == comments.c.post_id)
    .where(comments.c.comment_status != COMMENT_DELETED, posts.c.post_status != POST_DELETED)
)


def held(connection: Connection, before: Keyset | None, limit: int) -> list[HeldRow]:
    """Return up to `limit` posts that are held, older than `before`, newest first."""
    return [HeldRow(*row) for row in _HELD.rows(connection, before, limit)]


def hold_of(connection: Connection, post_id: str) -> Hold:
    columns = posts.c.held_at, posts.c.held_for
    return Hold(*connection.execute(select(*columns).where(posts.c.id == post_id)).one())


def comment(connection: Connection, comment_id: str) -> CommentRow | None:
    row = connection.execute(_COMMENT.where(comments.c.comment_id == comment_id)).one_or_none()
    return None if row is None else CommentRow(*row)


def user(connection: Connection, user_id: str, now: datetime) -> UserRow | None:
    row = connection.execute(_USERS.where(users.c.id == user_id), {"now": now}).one_or_none()
    return None if row is None else UserRow(*row)


def people(
    connection: Connection,
    *,
    nickname: str | None,
    state: UserState | None,
    before: Keyset | None,
    limit: int,
    now: datetime,
) -> list[UserRow]:
    """Return up to `limit` accounts whose nickname begins so, in that state, older than `before`, newest first."""
    statement = _USERS if state is None else _USERS.where(_STATE[state])
    if nickname is not None:
        # Who withdrew has no name that could be looked for.
        named = users.c.nickname.startswith(nickname, autoescape=True)
        statement = statement.where(named, users.c.user_status != STATUS_DELETED)
    rows = newest_first(statement, users.c.created_at, users.c.id).rows(connection, before, limit, now=now)
    return [UserRow(*row) for row in rows]


def counts_of(connection: Connection, user_ids: Sequence[str]) -> dict[str, Counts]:
    """Return the counts of each of these accounts."""
    written = _count(connection, posts.c.user_id, posts.c.user_id.in_(user_ids), posts.c.post_status != POST_DELETED)
    said = _count(
        connection, comments.c.user_id, comments.c.user_id.in_(user_ids), comments.c.comment_status != COMMENT_DELETED
    )
    reported = dict.fromkeys(user_ids, 0)
    for table, key, kind in (
        (posts, posts.c.id, TargetKind.POST),
        (comments, comments.c.comment_id, TargetKind.COMMENT),
    ):
        found = (
            select(table.c.user_id, func.count())
            .join_from(reports, table, key == reports.c.target_id)
            .where(reports.c.report_status == ReportStatus.OPEN, reports.c.target_kind == kind)
            .where(table.c.user_id.in_(user_ids))
            .group_by(table.c.user_id)
        )
        for user_id, count in connection.execute(found):
            reported[user_id] += count
    return {one: Counts(written.get(one, 0), said.get(one, 0), reported[one]) for one in user_ids}


def audit(
    connection: Connection, *, actor_id: str | None, target_id: str | None, before: Keyset | None, limit: int
) -> list[AuditRow]:
    """Return up to `limit` entries of that actor and on that target, older than `before`, newest first."""
    statement = _AUDIT
    if actor_id is not None:
        statement = statement.where(audit_log.c.actor_id == actor_id)
    if target_id is not None:
        statement = statement.where(audit_log.c.target_id == target_id)
    rows = newest_first(statement, audit_log.c.created_at, audit_log.c.id).rows(connection, before, limit)
    return [AuditRow(*row) for row in rows]


def queue(connection: Connection, now: datetime) -> Queue:
    is_open, held = reports.c.report_status == ReportStatus.OPEN, posts.c.post_status == STATUS_HELD
    suspended = select(func.count()).select_from(users).where(_SUSPENDED)
    held_posts, oldest_held = connection.execute(select(func.count(), func.min(posts.c.held_at)).where(held)).one()
    return Queue(
        _count(connection, reports.c.reason, is_open),
        held_posts,
        connection.scalar(suspended, {"now": now}) or 0,
        connection.scalar(select(func.min(reports.c.created_at)).where(is_open)),
        oldest_held,
    )


def _count(connection: Connection, by: ColumnElement[Any], *where: ColumnElement[bool]) -> dict[str, int]:
    return {
        str(key): int(count) for key, count in connection.execute(select(by, func.count()).where(*where).group_by(by))
    }
