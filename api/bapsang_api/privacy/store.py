"""Every SQL statement on what is kept for a time, on exports and on the journal of erasures."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Table, delete, insert, or_, select, update

from bapsang_api.auth.models import AccessEntry
from bapsang_api.kit.db.columns import table_of
from bapsang_api.likes.models import UserPostLike
from bapsang_api.moderation.models import AuditEntry
from bapsang_api.posts.models import Post
from bapsang_api.privacy.models import Export
from bapsang_api.reports.models import Report
from bapsang_api.users.models import STATUS_DELETED, Erasure, User
from bapsang_api.users.store import add_erasure

access_log = table_of(AccessEntry)
audit_log = table_of(AuditEntry)
erasures = table_of(Erasure)
exports = table_of(Export)
likes = table_of(UserPostLike)
posts = table_of(Post)
reports = table_of(Report)
users = table_of(User)


def purge(connection: Connection, table: Table, before_id: str, limit: int) -> int:
    """Delete up to `limit` rows of a table with ids lower than that one, the oldest first; return how many."""
    found = list(connection.scalars(select(table.c.id).where(table.c.id < before_id).order_by(table.c.id).limit(limit)))
    if found:
        connection.execute(delete(table).where(table.c.id.in_(found)))
    return len(found)


def export_of(connection: Connection, user_id: str) -> Export | None:
    """Return the export of a user."""
    row = connection.execute(select(exports).where(exports.c.user_id == user_id)).mappings().one_or_none()
    return None if row is None else Export(**row)


def add_export(connection: Connection, export: Export) -> None:
    """Insert an export. Raises IntegrityError when the user has one."""
    connection.execute(insert(exports), export.model_dump())


def next_export(connection: Connection) -> Export | None:
    """Return the export that has waited longest, None when none does."""
    row = connection.execute(
        select(exports).where(exports.c.ready_at.is_(None)).order_by(exports.c.id).limit(1)
    ).mappings()
    found = row.one_or_none()
    return None if found is None else Export(**found)


def export_ready(connection: Connection, export_id: str, size: int, now: datetime) -> bool:
    """Note that the file of an export is there; False when the export is gone."""
    done = connection.execute(update(exports).where(exports.c.id == export_id).values(size=size, ready_at=now))
    return bool(done.rowcount)


def outdated_exports(connection: Connection, before: datetime, limit: int) -> list[str]:
    """Return exports that were ready before a moment, or whose user has left."""
    left = users.c.user_status == STATUS_DELETED
    found = select(exports.c.id).join(users, users.c.id == exports.c.user_id)
    return list(connection.scalars(found.where(or_(exports.c.ready_at < before, left)).limit(limit)))


def remove_exports(connection: Connection, export_ids: Sequence[str]) -> None:
    connection.execute(delete(exports).where(exports.c.id.in_(export_ids)))


def unjournaled(connection: Connection, limit: int) -> list[Erasure]:
    """Return erasures that are not in the bucket yet, the first one first."""
    found = select(erasures).where(erasures.c.journaled_at.is_(None)).order_by(erasures.c.id).limit(limit)
    return [Erasure(**row) for row in connection.execute(found).mappings()]


def journaled(connection: Connection, ids: Sequence[str], now: datetime) -> None:
    """Note that these erasures are in the bucket."""
    connection.execute(update(erasures).where(erasures.c.id.in_(ids)).values(journaled_at=now))


def known_erasures(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Return which of these erasures this database has."""
    return set(connection.scalars(select(erasures.c.id).where(erasures.c.id.in_(ids))))


def replayed(connection: Connection, entry: Erasure, now: datetime) -> None:
    """Note that an erasure of the bucket was carried out here."""
    add_erasure(connection, entry)
    journaled(connection, [entry.id], now)


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
