"""Every SQL statement on reports."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, case, exists, func, insert, select, update

from bapsang_api.comments.models import Comment
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.keyset import Keyset, newest_first
from bapsang_api.posts.models import Post
from bapsang_api.reports.models import Report
from bapsang_api.reports.vocabulary import ReportStatus, TargetKind
from bapsang_api.users.models import User
from bapsang_api.users.store import author_name

reports = table_of(Report)
comments = table_of(Comment)
posts = table_of(Post)
users = table_of(User)


@dataclass(frozen=True)
class ReportRow:
    """A report as administrators see it. `text` is the title of the post, or the comment."""

    report_id: str
    target_kind: str
    target_id: str
    post_id: str
    reason: str
    detail: str | None
    status: str
    created_at: datetime
    closed_at: datetime | None
    reporter_id: str
    reporter_nickname: str
    author_id: str
    text: str


_ROWS: Final[Select[Any]] = (
    select(
        reports.c.id,
        reports.c.target_kind,
        reports.c.target_id,
        reports.c.post_id,
        reports.c.reason,
        reports.c.detail,
        reports.c.report_status,
        reports.c.created_at,
        reports.c.closed_at,
        reports.c.reporter_id,
        author_name,
        func.coalesce(comments.c.user_id, posts.c.user_id),
        case((comments.c.comment_id.is_(None), posts.c.title), else_=comments.c.content),
    )
    .join_from(reports, users, users.c.id == reports.c.reporter_id)
    .join(posts, posts.c.id == reports.c.post_id)
    .outerjoin(
        comments, and_(reports.c.target_kind == TargetKind.COMMENT, comments.c.comment_id == reports.c.target_id)
    )
    .order_by(reports.c.created_at.desc(), reports.c.id.desc())
    .with_hint(reports, "FORCE INDEX (ix_reports_queue)", "mysql")
)
_IN_STATE: Final = newest_first(
    _ROWS.where(reports.c.report_status == bindparam("status")), reports.c.created_at, reports.c.id
)


def add(connection: Connection, report: Report) -> None:
    connection.execute(insert(reports), report.model_dump())


def reported(connection: Connection, reporter_id: str, target_id: str) -> bool:
    """Return whether the user has reported it before."""
    found = exists().where(reports.c.reporter_id == reporter_id, reports.c.target_id == target_id)
    return bool(connection.scalar(select(found)))


def page(connection: Connection, status: ReportStatus, before: Keyset | None, limit: int) -> list[ReportRow]:
    """Return up to `limit` reports in that state that are older than `before`, newest first."""
    return [ReportRow(*row) for row in _IN_STATE.rows(connection, before, limit, status=status)]


def forget_details(connection: Connection, reporter_id: str) -> None:
    """Remove what somebody wrote in reports; that there were any stays, for whoever works on them."""
    connection.execute(update(reports).where(reports.c.reporter_id == reporter_id).values(detail=None))


def close(connection: Connection, report_id: str, status: ReportStatus, now: datetime) -> bool:
    """Give a report another state, or again the one it has. Returns False when there is none."""
    current = connection.scalar(select(reports.c.report_status).where(reports.c.id == report_id).with_for_update())
    if current is not None and current != status:
        connection.execute(update(reports).where(reports.c.id == report_id).values(report_status=status, closed_at=now))
    return current is not None
