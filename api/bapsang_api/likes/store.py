"""Every Redis key of likes, and what is done with it."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar, cast

from redis.asyncio import Redis

from bapsang_api.kit.redis.client import load_script
from bapsang_api.kit.redis.pipeline import Pipeline
from bapsang_api.likes.durability import NOT_DURABLE, Durability, durability_of
from bapsang_api.posts.views import View, Views

T = TypeVar("T")

DIRTY: Final = "like:dirty"
# Names one life of Redis's data: gone with everything else, and begun again under LOCK.
EPOCH: Final = "like:epoch"
# The database lock of whoever writes back.
LOCK: Final = "like-sync"
LOADER_SECONDS: Final = 3.0
# Likes that are written back and not touched for this long leave Redis; the next reader loads them again.
IDLE: Final = timedelta(days=7)
# From this many likes on, one bit per user is smaller than four bytes per like (docs/likes.md, memory).
COMPACT_FROM: Final = 50_000
CHUNK: Final = 1_000  # members a command, rows a statement


@dataclass(frozen=True, slots=True)
class PostKeys:
    """The Redis keys of one post's likes."""

    users: str  # SET of users' numbers; absent when the post has the bitmap instead
    bits: str  # bitmap by users' numbers, of posts with many likes
    size: str  # how many there are; also the mark that they are loaded, and what lists read
    delta: str  # HASH user id -> 1/0 of what is not yet claimed; the last write wins
    claim: str  # HASH like delta, being written back, with its own `id`
    loader: str  # token of the one who loads the likes from the database

    @classmethod
    @lru_cache(maxsize=2048)  # of some 800 bytes each; asked for ids only, of posts that need not exist
    def of(cls, post_id: str) -> "PostKeys":
        names = ("users", "bits", "size", "delta", "claim", "hydrate")
        return cls(*(f"like:{name}:{post_id}" for name in names))


@dataclass(frozen=True)
class Liked:
    """A user's like of a post after a change, and the post's count."""

    is_liked: bool
    count: int


class Read(NamedTuple):
    """What Redis knows of a post for a user: like and count, each None when the database has to be asked, and its views."""

    is_liked: bool | None
    likes: int | None
    views: Views


@dataclass(frozen=True)
class Claim:
    """Changes of a post taken for writing back: user id -> liked. `id` tells it from a later claim of the same post."""

    post_id: str
    id: str
    changes: Mapping[str, bool]


@dataclass(frozen=True)
class Backlog:
    """What waits to be written back."""

    posts: int
    oldest_age_seconds: float


class RedisEmptyError(Exception):
    """Redis is new, or has lost everything."""


class LikeStore:
    """The Redis side of likes. Every change is one script, so it happens as a whole or not at all."""

    def __init__(
        self,
        redis: Redis,
        pipeline: Pipeline | None = None,
        *,
        compact_from: int = COMPACT_FROM,
        loader_seconds: float = LOADER_SECONDS,
    ) -> None:
        """What every request needs goes through `pipeline`, together with what others need at the moment.

        `loader_seconds` is how long the right to load a post outlives a loader that died.
        """
        self.redis, self.compact_from = redis, compact_from
        self._loader_ms = int(loader_seconds * 1000)
        self._pipeline = pipeline or Pipeline(redis)
        package = __package__ or ""
        self._set = load_script(redis, package, "set")
        self._read = load_script(redis, package, "read")
        self._begin = load_script(redis, package, "begin")
        self._stage = load_script(redis, package, "stage")
        self._pending = load_script(redis, package, "pending")
        self._load = load_script(redis, package, "load")
        self._claim = load_script(redis, package, "claim")
        self._ack = load_script(redis, package, "ack")

    async def set(self, post_id: str, user_id: str, number: int, wanted: bool | None, now: datetime) -> Liked | None:
        """Set the like, or toggle it when `wanted` is None. Returns None when the post's likes are not loaded."""
        keys = PostKeys.of(post_id)
        state = -1 if wanted is None else int(wanted)
        liked, size = await self._pipeline.call(
            self._set,
            *(keys.users, keys.bits, keys.size, keys.delta, DIRTY),
            *(number, user_id, state, post_id, _milliseconds(now), self.compact_from),
            keys=5,
            replicated=True,
        )
        return None if liked == -1 else Liked(bool(liked), int(size))

    async def counts(self, post_ids: Sequence[str]) -> dict[str, int]:
        """Return the counts of those posts that are loaded, in one round trip."""
        if not post_ids:
            return {}
        sizes = await self._pipeline.run("MGET", *(f"like:size:{post_id}" for post_id in post_ids))
        return {post_id: int(size) for post_id, size in zip(post_ids, sizes, strict=True) if size is not None}

    async def read(self, post_id: str, user_id: str, number: int, view: View) -> Read:
        """Return what Redis knows of a post for a user, and count the view, in one exchange."""
        keys = PostKeys.of(post_id)
        liked, size, views, written = await self._pipeline.call(
            self._read,
            *(keys.users, keys.bits, keys.size, keys.delta, keys.claim, *view.keys),
            *(number, user_id, post_id, view.seconds),
            keys=9,
        )
        known = None if liked == -1 else bool(liked), None if size == -1 else int(size)
        return Read(*known, Views(views, written))

    async def begin_load(self, post_id: str, token: str) -> bool:
        """Return whether `token` now has the right to load the post's likes, for a few seconds from each `stage`.

        Raises RedisEmptyError when an epoch has to be begun first.
        """
        keys = PostKeys.of(post_id)
        begun = await self._pipeline.call(
            *(self._begin, keys.loader, keys.size, EPOCH), *(token, self._loader_ms), keys=3
        )
        if begun == -1:
            raise RedisEmptyError
        return bool(begun)

    async def release(self, post_id: str) -> None:
        """Give the right to load back. Somebody who has taken over meanwhile loads once more, which is harmless."""
        await self._pipeline.run("UNLINK", PostKeys.of(post_id).loader)

    async def epoch(self, *, begin: str | None = None) -> str | None:
        """Return the epoch. Where there is none, begin the one given: only under LOCK, so that no write-back is at work."""
        found = await self.redis.get(EPOCH)
        if found is None and begin is not None:  # a full Redis would refuse a SET that changes nothing
            await self.redis.set(EPOCH, begin, nx=True)
            found = await self.redis.get(EPOCH)
        return None if found is None else str(found)

    async def stage(self, post_id: str, token: str, numbers: Iterable[int], *, compact: bool) -> bool:
        """Put likes aside until `finish_load`, in any order. Returns False when the right to load has ended."""
        keys, staged = PostKeys.of(post_id), _staged(post_id, token)
        for chunk in chunks(numbers):
            arguments = (token, self._loader_ms, int(compact), *chunk)
            if not await self._pipeline.call(self._stage, keys.loader, staged, *arguments, keys=2):
                return False
        return True

    async def pending_users(self, post_id: str) -> list[str]:
        """Return the ids of users with changes that are not known to be in the database."""
        keys = PostKeys.of(post_id)
        found = await self._pipeline.call(self._pending, keys.claim, keys.delta, keys=2)
        return [user_id for user_id in dict.fromkeys(found) if user_id != "id"]

    async def finish_load(
        self, post_id: str, token: str, pending: Mapping[str, int], *, staged: int, compact: bool
    ) -> bool:
        """Put the `staged` likes in place. `pending` gives the numbers of users with pending changes, 0 of one who is gone.

        Returns False when something came in between and the load has to be done again.
        """
        keys = PostKeys.of(post_id)
        finished = await self._pipeline.call(
            *(self._load, keys.users, keys.bits, keys.size),
            *(keys.delta, keys.claim, keys.loader, _staged(post_id, token)),
            *(token, _milliseconds(IDLE), int(compact), staged),
            *(part for pair in pending.items() for part in pair),
            keys=7,
        )
        return bool(finished)

    async def dirty(self, limit: int, until: datetime) -> list[str]:
        """Return up to `limit` posts with unwritten changes made before `until`, the oldest first."""
        found = await self.redis.zrange(DIRTY, 0, _milliseconds(until), byscore=True, offset=0, num=limit)
        return cast(list[str], found)

    async def claim(self, post_ids: Sequence[str], claim_id: str, *, durable: Durability = NOT_DURABLE) -> list[Claim]:
        """Claim the posts' changes for writing back, or take up the claims that a dead run has left.

        On return the claims, and so every change before them, are where `durable` says. Raises a Redis TimeoutError when
        that takes too long.
        """
        async with self.redis.pipeline(transaction=False) as pipeline:
            for keys in map(PostKeys.of, post_ids):
                await self._claim(keys=[keys.delta, keys.claim], args=[claim_id], client=pipeline)
            durable.wait(pipeline)
            answers = await pipeline.execute()
        durable.check(answers)
        return [_claim_of(post_id, flat) for post_id, flat in zip(post_ids, answers, strict=False)]

    async def acknowledge(self, claims: Sequence[Claim], now: datetime) -> None:
        """Forget claims. Only after the commit: a crash between the two replays them, which is harmless."""
        async with self.redis.pipeline(transaction=False) as pipeline:
            for claim in claims:
                keys = PostKeys.of(claim.post_id)
                await self._ack(
                    keys=[keys.delta, keys.claim, DIRTY, keys.users, keys.bits, keys.size, keys.loader],
                    args=[claim.post_id, claim.id, _milliseconds(now), _milliseconds(IDLE)],
                    client=pipeline,
                )
            await pipeline.execute()

    async def durability(self) -> Durability:
        """Return what a write-back can wait for before it commits."""
        return await durability_of(self.redis)

    async def unload(self, post_id: str) -> None:
        """Drop the set; what is not written back stays. Nobody can like the post again before it is loaded again.

        The loader's token goes with it: whoever is loading right now must not put in place what is dropped here.
        """
        keys = PostKeys.of(post_id)
        await self.redis.unlink(keys.users, keys.bits, keys.size, keys.loader)

    async def forget(self, post_id: str) -> None:
        """Drop everything, also what is not written back."""
        keys = PostKeys.of(post_id)
        async with self.redis.pipeline(transaction=True) as pipeline:
            pipeline.unlink(keys.users, keys.bits, keys.size, keys.loader, keys.delta, keys.claim)
            pipeline.zrem(DIRTY, post_id)
            await pipeline.execute()

    async def backlog(self, now: datetime) -> Backlog:
        async with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.zcard(DIRTY)
            pipeline.zrange(DIRTY, 0, 0, withscores=True)
            size, oldest = await pipeline.execute()
        age = max(0.0, now.timestamp() - float(oldest[0][1]) / 1000) if oldest else 0.0
        return Backlog(int(size), age)


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterable[list[T]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _staged(post_id: str, token: str) -> str:
    return f"like:staged:{post_id}:{token}"


def _claim_of(post_id: str, flat: Sequence[str]) -> Claim:
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    claim_id = fields.pop("id", "")
    return Claim(post_id, claim_id, {user_id: state == "1" for user_id, state in fields.items()})


def _milliseconds(value: datetime | timedelta) -> int:
    seconds = value.timestamp() if isinstance(value, datetime) else value.total_seconds()
    return int(seconds * 1000)
