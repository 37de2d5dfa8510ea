"""The SQL of the write-back, and what the reconciliation asks of Redis and MySQL."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from redis.asyncio import Redis
from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from bapsang_api.kit.db import counters
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.redis.client import load_script
from bapsang_api.likes.rows.store import likes, posts, stored
from bapsang_api.likes.store import DIRTY, PostKeys, chunks
from bapsang_api.posts.models import STATUS_DELETED
from bapsang_api.users.models import User

users = table_of(User)

Pair = tuple[str, str]  # post, user

_RECONCILED: Final = "like:reconciled"
_ID: Final = tuple_(likes.c.post_id, likes.c.user_id)


@dataclass(frozen=True)
class Counted:
    """A post's count in its row, and how many likes there are of it."""

    post_id: str
    count: int
    rows: int


@dataclass(frozen=True)
class Reconciled:
    """How far the reconciliation has come since Redis began. `differences` must be 0."""

    after: str = ""
    posts: int = 0
    differences: int = 0
    turns: int = 0


class ReconcileStore:
    """The Redis side of the reconciliation."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._look = load_script(redis, "bapsang_api.likes", "look")

    async def progress(self) -> Reconciled:
        fields = await self._redis.hgetall(_RECONCILED)
        numbers = {name: int(fields.get(name, 0)) for name in ("posts", "differences", "turns")}
        return Reconciled(str(fields.get("after", "")), **numbers)

    async def advance(self, after: str, *, posts: int, differences: int, turns: int) -> None:
        """Go on after this post the next time; the rest is added to what is there."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(_RECONCILED, "after", after)
            for name, more in (("posts", posts), ("differences", differences), ("turns", turns)):
                pipeline.hincrby(_RECONCILED, name, more)
            await pipeline.execute()

    async def sizes(self, post_ids: Sequence[str], now: datetime) -> dict[str, int]:
        """Return how many likes Redis holds of those posts that are loaded and have no pending changes."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for post_id in post_ids:
                keys = PostKeys.of(post_id)
                await self._look(
                    keys=[keys.users, keys.bits, keys.size, keys.delta, keys.claim, DIRTY],
                    args=[post_id, int(now.timestamp() * 1000)],
                    client=pipeline,
                )
            sizes = await pipeline.execute()
        return {post_id: int(size) for post_id, size in zip(post_ids, sizes, strict=True) if int(size) >= 0}

    async def forget(self, post_ids: Sequence[str]) -> None:
        """Make the posts load again from the database; what is pending stays."""
        if post_ids:
            await self._redis.delete(*(PostKeys.of(post_id).size for post_id in post_ids))


def post_ids_after(connection: Connection, after: str, limit: int) -> list[str]:
    """Return the next `limit` posts in the order of their ids, deleted ones too."""
    return list(connection.scalars(select(posts.c.id).where(posts.c.id > after).order_by(posts.c.id).limit(limit)))


def counted(connection: Connection, post_ids: Sequence[str]) -> list[Counted]:
    """Return counts and rows of the posts as of one moment: a single statement."""
    rows = select(func.count()).select_from(likes).where(likes.c.post_id == posts.c.id).scalar_subquery()
    statement = select(posts.c.id, posts.c.like_count, rows).where(posts.c.id.in_(post_ids))
    return [Counted(*row) for row in connection.execute(statement)]


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
    post_ids = _locked_posts(connection, claims)
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
    return added, removed


def _locked_posts(connection: Connection, post_ids: Iterable[str]) -> list[str]:
    """Return those of the posts that are not deleted, locked in the order of their ids.

    The lock comes before the first like: inserting one locks its post for reading, and two writers that both hold that
    lock and then want to change the count would wait for each other.
    """
    found: list[str] = []
    for chunk in chunks(sorted(post_ids)):
        present = select(posts.c.id).where(posts.c.id.in_(chunk), posts.c.post_status != STATUS_DELETED)
        found.extend(connection.scalars(present.order_by(posts.c.id).with_for_update()))
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
