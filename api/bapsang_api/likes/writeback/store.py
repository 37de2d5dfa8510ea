"""The SQL of the write-back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Insert, delete, insert, select, update
from sqlalchemy.orm import Session

from bapsang_api.kit.columns import table_of
from bapsang_api.likes.store import chunks, likes, posts
from bapsang_api.users.models import User

users = table_of(User)


def apply(session: Session, claims: Mapping[str, Mapping[str, bool]], now: datetime) -> tuple[int, int]:
    """Write claims (post id -> user id -> liked) and return how many likes were (added, removed).

    Idempotent: a claim that is already written changes no row and so no count. Posts are taken in the order of their
    ids, so that two writers never wait for each other in a circle. Likes of a post or user that no longer exists are
    dropped.
    """
    added = removed = 0
    known_posts = _existing(session, posts.c.id, claims)
    known_users = _existing(session, users.c.id, {user_id for changes in claims.values() for user_id in changes})
    for post_id in sorted(known_posts):
        changes = claims[post_id]
        on = [user_id for user_id in sorted(changes) if changes[user_id] and user_id in known_users]
        off = [user_id for user_id in sorted(changes) if not changes[user_id]]
        inserted = _insert(session, post_id, on, now)
        deleted = _delete(session, post_id, off)
        if inserted != deleted:
            session.execute(
                update(posts).where(posts.c.id == post_id).values(like_count=posts.c.like_count + inserted - deleted)
            )
        added, removed = added + inserted, removed + deleted
    return added, removed


def _existing(session: Session, column: Any, ids: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for chunk in chunks(sorted(ids)):
        found.update(session.scalars(select(column).where(column.in_(chunk))))
    return found


def _insert(session: Session, post_id: str, user_ids: Sequence[str], now: datetime) -> int:
    inserted = 0
    for chunk in chunks(user_ids):
        rows = [{"post_id": post_id, "user_id": user_id, "created_at": now} for user_id in chunk]
        inserted += _row_count(session, _insert_ignore().values(rows))
    return inserted


def _delete(session: Session, post_id: str, user_ids: Sequence[str]) -> int:
    return sum(
        _row_count(session, delete(likes).where(likes.c.post_id == post_id, likes.c.user_id.in_(chunk)))
        for chunk in chunks(user_ids)
    )


def _insert_ignore() -> Insert:
    # A row that is there already is skipped and not counted among the affected ones.
    return insert(likes).prefix_with("IGNORE", dialect="mysql").prefix_with("OR IGNORE", dialect="sqlite")


def _row_count(session: Session, statement: Any) -> int:
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]
