"""Every SQL statement and Redis key of likes."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from redis.asyncio import Redis
from sqlalchemy import Insert, delete, exists, insert, select, update
from sqlalchemy.orm import Session

from bapsang_api.kit.columns import table_of
from bapsang_api.kit.cursor import Keyset
from bapsang_api.kit.keyset import older
from bapsang_api.kit.redis import load_script
from bapsang_api.likes.models import UserPostLike
from bapsang_api.posts.models import STATUS_ACTIVE, STATUS_DELETED, Post
from bapsang_api.posts.store import LIST_COLUMNS, PostRow
from bapsang_api.users.models import User

likes = table_of(UserPostLike)
posts = table_of(Post)
users = table_of(User)

DIRTY: Final = "like:dirty"
LOADER_SECONDS: Final = 3
# Sets that are written back and not touched for this long leave Redis; the next reader loads them again.
IDLE: Final = timedelta(days=7)
_CHUNK: Final = 1_000  # members a command, rows a statement


@dataclass(frozen=True)
class PostKeys:
    """The Redis keys of one post's likes."""

    users: str  # SET of user ids
    count: str  # its size; also the mark that the set is loaded, and what lists read
    delta: str  # HASH user id -> 1/0 of what is not yet claimed; the last write wins
    claim: str  # HASH like delta, being written back
    loader: str  # token of the one who loads the set from the database

    @classmethod
    def of(cls, post_id: str) -> "PostKeys":
        return cls(*(f"like:{name}:{post_id}" for name in ("users", "count", "delta", "claim", "hydrate")))


@dataclass(frozen=True)
class Liked:
    """A user's like of a post after a change, and the post's count."""

    is_liked: bool
    count: int


@dataclass(frozen=True)
class Backlog:
    """What waits to be written back."""

    posts: int
    oldest_age_seconds: float


@dataclass(frozen=True)
class LikedPost:
    """A post, and when the user's like of it was written back."""

    liked_at: datetime
    post: PostRow


_LIKED_POSTS = (
    select(likes.c.created_at, *LIST_COLUMNS)
    .join_from(likes, posts, posts.c.id == likes.c.post_id)
    .join(users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status == STATUS_ACTIVE)
    .order_by(likes.c.created_at.desc(), likes.c.post_id.desc())
)


class LikeStore:
    """The Redis side of likes. Every change is one script, so it happens as a whole or not at all."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        package = __package__ or ""
        self._set = load_script(redis, package, "set")
        self._liked = load_script(redis, package, "liked")
        self._load = load_script(redis, package, "load")
        self._claim = load_script(redis, package, "claim")
        self._ack = load_script(redis, package, "ack")

    async def set(self, post_id: str, user_id: str, wanted: bool | None, now: datetime) -> Liked | None:
        """Set the like, or toggle it when `wanted` is None. Returns None when the post's likes are not loaded."""
        keys = PostKeys.of(post_id)
        state = -1 if wanted is None else int(wanted)
        liked, count = await self._set(
            keys=[keys.users, keys.count, keys.delta, DIRTY], args=[user_id, state, post_id, _milliseconds(now)]
        )
        return None if liked == -1 else Liked(bool(liked), int(count))

    async def counts(self, post_ids: Sequence[str]) -> dict[str, int]:
        """Return the counts of those posts that are loaded, in one round trip."""
        if not post_ids:
            return {}
        counts = await self._redis.mget([PostKeys.of(post_id).count for post_id in post_ids])
        return {post_id: int(count) for post_id, count in zip(post_ids, counts, strict=True) if count is not None}

    async def liked(self, post_id: str, user_id: str) -> bool | None:
        """Return whether the user likes the post, None when the database has to be asked."""
        keys = PostKeys.of(post_id)
        answer = await self._liked(keys=[keys.users, keys.count, keys.delta, keys.claim], args=[user_id])
        return None if answer == -1 else bool(answer)

    async def become_loader(self, post_id: str, token: str) -> bool:
        """Return whether `token` now has the right to load the post's likes, for a few seconds."""
        return bool(await self._redis.set(PostKeys.of(post_id).loader, token, nx=True, px=LOADER_SECONDS * 1000))

    async def release(self, post_id: str) -> None:
        """Give the right to load back. Somebody who has taken over meanwhile loads once more, which is harmless."""
        await self._redis.unlink(PostKeys.of(post_id).loader)

    async def pending(self, post_id: str) -> dict[str, bool]:
        """Return the changes not yet known to be in the database: the claim, overlaid by the newer delta.

        Both are read in one transaction. Apart, a write-back could move the one to the other between the two reads, and
        both would look empty.
        """
        keys = PostKeys.of(post_id)
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(keys.claim)
            pipeline.hgetall(keys.delta)
            claim, delta = await pipeline.execute()
        return {user_id: state == "1" for user_id, state in {**claim, **delta}.items()}

    async def load(self, post_id: str, token: str, user_ids: Iterable[str]) -> bool:
        """Put the set in place. Returns False when another loader has taken over."""
        keys = PostKeys.of(post_id)
        staged = f"like:staged:{post_id}:{token}"
        for chunk in _chunks(user_ids):
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.sadd(staged, *chunk)
                pipeline.pexpire(staged, 2 * LOADER_SECONDS * 1000)
                await pipeline.execute()
        count = await self._load(
            keys=[keys.users, keys.count, keys.delta, keys.claim, keys.loader, staged],
            args=[token, _milliseconds(IDLE)],
        )
        return int(count) != -1

    async def dirty(self, limit: int, until: datetime) -> list[str]:
        """Return up to `limit` posts with unwritten changes made before `until`, the oldest first."""
        found = await self._redis.zrange(DIRTY, 0, _milliseconds(until), byscore=True, offset=0, num=limit)
        return cast(list[str], found)

    async def claim(self, post_id: str) -> dict[str, bool]:
        """Claim the post's changes for writing back, or take up the claim that a dead run has left."""
        keys = PostKeys.of(post_id)
        flat: list[str] = await self._claim(keys=[keys.delta, keys.claim])
        return {user_id: state == "1" for user_id, state in zip(flat[::2], flat[1::2], strict=True)}

    async def acknowledge(self, post_id: str, now: datetime) -> None:
        """Forget the claim. Only after the commit: a crash between the two replays the claim, which is harmless."""
        keys = PostKeys.of(post_id)
        await self._ack(
            keys=[keys.delta, keys.claim, DIRTY, keys.users, keys.count],
            args=[post_id, _milliseconds(now), _milliseconds(IDLE)],
        )

    async def unload(self, post_id: str) -> None:
        """Drop the set; what is not written back stays. Nobody can like the post again before it is loaded again.

        The loader's token goes with it: whoever is loading right now must not put in place what is dropped here.
        """
        keys = PostKeys.of(post_id)
        await self._redis.unlink(keys.users, keys.count, keys.loader)

    async def forget(self, post_id: str) -> None:
        """Drop everything, also what is not written back."""
        keys = PostKeys.of(post_id)
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.unlink(keys.users, keys.count, keys.loader, keys.delta, keys.claim)
            pipeline.zrem(DIRTY, post_id)
            await pipeline.execute()

    async def backlog(self, now: datetime) -> Backlog:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.zcard(DIRTY)
            pipeline.zrange(DIRTY, 0, 0, withscores=True)
            size, oldest = await pipeline.execute()
        age = max(0.0, now.timestamp() - float(oldest[0][1]) / 1000) if oldest else 0.0
        return Backlog(int(size), age)


def visible(session: Session, post_id: str) -> bool:
    return bool(session.scalar(select(exists().where(posts.c.id == post_id, posts.c.post_status == STATUS_ACTIVE))))


def stored(session: Session, post_id: str, user_id: str) -> bool:
    """Return whether the like is in the database."""
    return bool(session.scalar(select(exists().where(likes.c.post_id == post_id, likes.c.user_id == user_id))))


def visible_likers(session: Session, post_id: str) -> set[str] | None:
    """Return the users whose like of the post is in the database, None when the post is not visible.

    For the loader, who asks after it has the right to load. Going away takes that right along, so a post that went
    before this answer gives None, and one that goes after it finds the right to load, or what was loaded, and drops it.
    """
    if not visible(session, post_id):
        return None
    return set(session.scalars(select(likes.c.user_id).where(likes.c.post_id == post_id)))


def page(session: Session, user_id: str, before: Keyset | None, limit: int) -> list[LikedPost]:
    """Return up to `limit` visible posts that the user likes, liked before `before`, the last liked first."""
    statement = _LIKED_POSTS.where(likes.c.user_id == user_id).limit(limit)
    if before is not None:
        statement = statement.where(older(before, likes.c.created_at, likes.c.post_id))
    return [LikedPost(liked_at, PostRow(*row)) for liked_at, *row in session.execute(statement)]


def apply(session: Session, claims: Mapping[str, Mapping[str, bool]], now: datetime) -> tuple[int, int]:
    """Write claims (post id -> user id -> liked) and return how many likes were (added, removed).

    Idempotent: a claim that is already written changes no row and so no count. Likes of a post or user that no longer
    exists are dropped.
    """
    added = removed = 0
    known_users = _existing_users(session, {user_id for changes in claims.values() for user_id in changes})
    for post_id in _locked_posts(session, claims):
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


def _locked_posts(session: Session, post_ids: Iterable[str]) -> list[str]:
    """Return those of the posts that are not deleted, locked in the order of their ids.

    The lock comes before the first like: inserting one locks its post for reading, and two writers that both hold that
    lock and then want to change the count would wait for each other.
    """
    found: list[str] = []
    for chunk in _chunks(sorted(post_ids)):
        present = select(posts.c.id).where(posts.c.id.in_(chunk), posts.c.post_status != STATUS_DELETED)
        found.extend(session.scalars(present.order_by(posts.c.id).with_for_update()))
    return found


def _existing_users(session: Session, user_ids: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for chunk in _chunks(sorted(user_ids)):
        found.update(session.scalars(select(users.c.id).where(users.c.id.in_(chunk))))
    return found


def _insert(session: Session, post_id: str, user_ids: Sequence[str], now: datetime) -> int:
    inserted = 0
    for chunk in _chunks(user_ids):
        rows = [{"post_id": post_id, "user_id": user_id, "created_at": now} for user_id in chunk]
        inserted += _row_count(session, _insert_ignore().values(rows))
    return inserted


def _delete(session: Session, post_id: str, user_ids: Sequence[str]) -> int:
    return sum(
        _row_count(session, delete(likes).where(likes.c.post_id == post_id, likes.c.user_id.in_(chunk)))
        for chunk in _chunks(user_ids)
    )


def _insert_ignore() -> Insert:
    # A row that is there already is skipped and not counted among the affected ones.
    return insert(likes).prefix_with("IGNORE", dialect="mysql").prefix_with("OR IGNORE", dialect="sqlite")


def _row_count(session: Session, statement: Any) -> int:
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def _chunks(items: Iterable[str]) -> Iterable[list[str]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        yield chunk


def _milliseconds(value: datetime | timedelta) -> int:
    seconds = value.timestamp() if isinstance(value, datetime) else value.total_seconds()
    return int(seconds * 1000)
