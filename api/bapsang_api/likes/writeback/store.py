"""The SQL of the write-back."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, exists, func, insert, select, tuple_, update

from bapsang_api.kit.db import counters
from bapsang_api.kit.db.columns import table_of
from bapsang_api.likes.rows.store import likes, posts, stored
from bapsang_api.likes.store import chunks
from bapsang_api.likes.writeback import telling
from bapsang_api.posts.models import STATUS_DELETED
from bapsang_api.users.models import User

users = table_of(User)

Pair = tuple[str, str]  # post, user

_ID: Final = tuple_(likes.c.post_id, likes.c.user_id)


def recount(connection: Connection, post_ids: Sequence[str]) -> None:
    """Set the posts' counts to the number of their likes. Only under LOCK: nobody else writes likes then."""
    rows = select(func.count()).select_from(likes).where(likes.c.post_id == posts.c.id).scalar_subquery()
    for post_id in sorted(post_ids):
        connection.execute(update(posts).where(posts.c.id == post_id).values(like_count=rows))


def apply(connection: Connection, claims: Mapping[str, Mapping[str, bool]], now: datetime) -> tuple[int, int]:
    """Write claims (post id -> user id -> liked) and return how many likes were (added, removed).

    Idempotent: a claim that is already written changes no row and so no count. Likes of a post or user that no longer
    exists are dropped. A handful of statements, however many posts there are.
    """
    authors = _locked_posts(connection, claims)
    post_ids = list(authors)
    known = _existing_users(connection, {user_id for changes in claims.values() for user_id in changes})
    pairs = [(post_id, user_id) for post_id in post_ids for user_id in sorted(claims[post_id])]
    there = _stored(connection, pairs)
    new = [pair for pair in pairs if _wanted(claims, pair) and pair not in there and pair[1] in known]
    gone = [pair for pair in pairs if not _wanted(claims, pair) and pair in there]
    added, removed = _insert(connection, new, now), _delete(connection, gone)
    if (added, removed) == (len(new), len(gone)):
        changes = Counter(post_id for post_id, _ in new)
        changes.subtract(post_id for post_id, _ in gone)
        counters.add(connection, posts.c.like_count, {post_id: change for post_id, change in changes.items() if change})
    else:
        # Nobody else writes likes while LOCK is held. Somebody has: by hand, or a tool that restores them.
        recount(connection, post_ids)
    telling.tell(connection, authors, new, now)
    telling.forget(connection, authors, _unliked(connection, {post_id for post_id, _ in gone}))
    return added, removed


def _locked_posts(connection: Connection, post_ids: Iterable[str]) -> dict[str, str]:
    """Return those of the posts that are not deleted, locked in the order of their ids, with their authors.

    The lock comes before the first like: inserting one locks its post for reading, and two writers that both hold that
    lock and then want to change the count would wait for each other.
    """
    found: dict[str, str] = {}
    for chunk in chunks(sorted(post_ids)):
        present = select(posts.c.id, posts.c.user_id).where(
            posts.c.id.in_(chunk), posts.c.post_status != STATUS_DELETED
        )
        rows = connection.execute(present.order_by(posts.c.id).with_for_update())
        found.update((post_id, author_id) for post_id, author_id in rows)
    return found


def _existing_users(connection: Connection, user_ids: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for chunk in chunks(sorted(user_ids)):
        found.update(connection.scalars(select(users.c.id).where(users.c.id.in_(chunk))))
    return found


def _stored(connection: Connection, pairs: Sequence[Pair]) -> set[Pair]:
    """Return those of these likes that are in the database. Their posts are locked, so it stays like that."""
    found: set[Pair] = set()
    for chunk in chunks(pairs):
        found.update(stored(connection, chunk))
    return found


def _unliked(connection: Connection, post_ids: Iterable[str]) -> list[str]:
    """Return those of these posts that nobody likes but their own author."""
    liked = exists().where(likes.c.post_id == posts.c.id, likes.c.user_id != posts.c.user_id)
    found: list[str] = []
    for chunk in chunks(sorted(post_ids)):
        found.extend(connection.scalars(select(posts.c.id).where(posts.c.id.in_(chunk), ~liked)))
    return found


def _insert(connection: Connection, pairs: Sequence[Pair], now: datetime) -> int:
    # A row that is there already is skipped and not counted among the affected ones.
    statement = insert(likes).prefix_with("IGNORE", dialect="mysql").prefix_with("OR IGNORE", dialect="sqlite")
    return sum(
        _row_count(
            connection, statement, [{"post_id": post, "user_id": user, "created_at": now} for post, user in chunk]
        )
        for chunk in chunks(pairs)
    )


def _delete(connection: Connection, pairs: Sequence[Pair]) -> int:
    return sum(_row_count(connection, delete(likes).where(_ID.in_(chunk))) for chunk in chunks(pairs))


def _wanted(claims: Mapping[str, Mapping[str, bool]], pair: Pair) -> bool:
    post_id, user_id = pair
    return claims[post_id][user_id]


def _row_count(connection: Connection, *statement: Any) -> int:
    return int(connection.execute(*statement).rowcount)
