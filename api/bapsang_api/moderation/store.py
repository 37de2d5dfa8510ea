"""Every SQL statement on the audit log, and those that find what an act is about. The log only ever grows: nothing here changes or
deletes an entry."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, insert, select

from bapsang_api.comments.models import STATUS_ACTIVE as COMMENT_ACTIVE
from bapsang_api.comments.models import STATUS_HIDDEN as COMMENT_HIDDEN
from bapsang_api.comments.models import Comment
from bapsang_api.kit.db.columns import table_of
from bapsang_api.moderation.models import AuditEntry
from bapsang_api.posts.models import STATUS_ACTIVE as POST_ACTIVE
from bapsang_api.posts.models import STATUS_DELETED as POST_DELETED
from bapsang_api.posts.models import STATUS_HIDDEN as POST_HIDDEN
from bapsang_api.posts.models import Post

audit_log = table_of(AuditEntry)
comments = table_of(Comment)
posts = table_of(Post)

_POSTS: Final[Select[Any]] = select(posts.c.id).where(posts.c.user_id == bindparam("author_id"))
_COMMENTS: Final[Select[Any]] = (
    select(comments.c.post_id, comments.c.comment_id)
    .join_from(comments, posts, posts.c.id == comments.c.post_id)
    .where(comments.c.user_id == bindparam("author_id"), posts.c.post_status != POST_DELETED)
)
_VISIBLE_POSTS: Final = _POSTS.where(posts.c.post_status == POST_ACTIVE)
_HIDDEN_POSTS: Final = _POSTS.where(posts.c.post_status == POST_HIDDEN, posts.c.hidden_by.is_not(None))
_VISIBLE_COMMENTS: Final = _COMMENTS.where(comments.c.comment_status == COMMENT_ACTIVE)
_HIDDEN_COMMENTS: Final = _COMMENTS.where(
    comments.c.comment_status == COMMENT_HIDDEN, comments.c.hidden_by.is_not(None)
)


def append(connection: Connection, entry: AuditEntry) -> None:
    connection.execute(insert(audit_log), entry.model_dump())


def record(
    connection: Connection, entry_id: str, *, action: str, target_id: str, reason: str | None, now: datetime
) -> None:
    """Append an act of whoever runs the platform, which has no actor and no request."""
    append(connection, AuditEntry(id=entry_id, action=action, target_id=target_id, reason=reason, created_at=now))


def visible_posts(connection: Connection, author_id: str, limit: int) -> list[str]:
    """Return up to `limit` visible posts of an author."""
    return list(connection.scalars(_VISIBLE_POSTS.limit(limit), {"author_id": author_id}))


def posts_hidden_at_once(connection: Connection, author_id: str, limit: int) -> list[str]:
    """Return up to `limit` posts of an author that were hidden with all others."""
    return list(connection.scalars(_HIDDEN_POSTS.limit(limit), {"author_id": author_id}))


def visible_comments(connection: Connection, author_id: str, limit: int) -> list[tuple[str, str]]:
    """Return up to `limit` ACTIVE comments of an author on posts that are not deleted: ids of post and comment."""
    rows = connection.execute(_VISIBLE_COMMENTS.limit(limit), {"author_id": author_id})
    return [(post_id, comment_id) for post_id, comment_id in rows]


def comments_hidden_at_once(connection: Connection, author_id: str, limit: int) -> list[tuple[str, str]]:
    """Return up to `limit` such comments that were hidden with all others."""
    rows = connection.execute(_HIDDEN_COMMENTS.limit(limit), {"author_id": author_id})
    return [(post_id, comment_id) for post_id, comment_id in rows]
