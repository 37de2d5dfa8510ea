"""Every SQL statement on what is kept for a time, on exports and on the journal of erasures."""

from collections.abc import Sequence

from sqlalchemy import Connection, Table, delete, select, update

from bapsang_api.auth.models import AccessEntry
from bapsang_api.kit.db.columns import table_of
from bapsang_api.likes.models import UserPostLike
from bapsang_api.moderation.models import AuditEntry
from bapsang_api.posts.models import Post
from bapsang_api.privacy.models import Erasure, Export
from bapsang_api.reports.models import Report

access_log = table_of(AccessEntry)
audit_log = table_of(AuditEntry)
erasures = table_of(Erasure)
exports = table_of(Export)
likes = table_of(UserPostLike)
posts = table_of(Post)
reports = table_of(Report)


def purge(connection: Connection, table: Table, before_id: str, limit: int) -> int:
    """Delete up to `limit` rows of a table with ids lower than that one, the oldest first; return how many."""
    found = list(connection.scalars(select(table.c.id).where(table.c.id < before_id).order_by(table.c.id).limit(limit)))
    if found:
        connection.execute(delete(table).where(table.c.id.in_(found)))
    return len(found)


def take_likes(connection: Connection, post_id: str, limit: int) -> int:
    """Delete up to `limit` likes of a deleted post, and count them out; return how many."""
    connection.execute(select(posts.c.id).where(posts.c.id == post_id).with_for_update()).all()
    of_post = select(likes.c.user_id).where(likes.c.post_id == post_id).order_by(likes.c.user_id).limit(limit)
    users: Sequence[str] = connection.scalars(of_post).all()
    if users:
        connection.execute(delete(likes).where(likes.c.post_id == post_id, likes.c.user_id.in_(users)))
        left = posts.c.like_count - len(users)
        connection.execute(update(posts).where(posts.c.id == post_id).values(like_count=left))
    return len(users)
