"""`bapsang-api recount`: the counters of posts and comments against the rows they count, and likes in Redis against both."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis

from bapsang_api.kit.db.database import Database, Lane
from bapsang_api.kit.problem import NotFound, Unavailable
from bapsang_api.likes.store import LOCK, LikeStore
from bapsang_api.likes.writeback.store import post_ids_after
from bapsang_api.upkeep import store

log = logging.getLogger(__name__)

BATCH: Final = 200
_TURNS: Final = 120
_TURN_SECONDS: Final = 0.5


@dataclass(frozen=True)
class RecountReport:
    """What one run found. The differences must be 0; what was found is corrected unless it was a dry run."""

    posts: int = 0
    like_differences: int = 0
    comment_differences: int = 0
    reply_differences: int = 0
    redis_differences: int = 0
    dry_run: bool = False

    @property
    def differences(self) -> int:
        return self.like_differences + self.comment_differences + self.reply_differences + self.redis_differences

    def fields(self) -> dict[str, Any]:
        return asdict(self)


class Recount:
    """Counts a bounded number of posts at a time, each batch while no write-back of likes runs: then the rows of likes
    stand still, and Redis holds exactly what they lack."""

    def __init__(self, database: Database, redis: Redis | None, *, batch_size: int = BATCH) -> None:
        """`redis` is None where it cannot be reached from outside of the server, on one machine."""
        self._database, self._redis, self._batch_size = database, redis, batch_size

    async def run(self, post_ids: Sequence[str] | None, *, dry_run: bool) -> RecountReport:
        """Count these posts, or all when None. Raises NotFound for an unknown one, Unavailable, and Redis errors."""
        if post_ids is not None and set(await self._database.read(partial(store.existing, post_ids=post_ids))) != set(
            post_ids
        ):
            raise NotFound
        report = RecountReport(dry_run=dry_run)
        async for batch in self._batches(post_ids):
            differences, unlike = await self._batch(batch, dry_run)
            found = Counter(difference.counter for difference in differences)
            report = RecountReport(
                posts=report.posts + len(batch),
                like_differences=report.like_differences + found[store.LIKES],
                comment_differences=report.comment_differences + found[store.COMMENTS],
                reply_differences=report.reply_differences + found[store.REPLIES],
                redis_differences=report.redis_differences + unlike,
                dry_run=dry_run,
            )
        return report

    async def _batches(self, post_ids: Sequence[str] | None) -> AsyncIterator[list[str]]:
        if post_ids is not None:
            ordered = sorted(set(post_ids))
            for start in range(0, len(ordered), self._batch_size):
                yield ordered[start : start + self._batch_size]
            return
        last = ""
        while batch := await self._database.read(partial(post_ids_after, after=last, limit=self._batch_size)):
            yield batch
            last = batch[-1]

    async def _batch(self, post_ids: list[str], dry_run: bool) -> tuple[list[store.Difference], int]:
        for _ in range(_TURNS):
            async with self._database.exclusive(LOCK) as lane:
                if lane is not None:
                    return await self._count(lane, post_ids, dry_run)
            await asyncio.sleep(_TURN_SECONDS)
        raise Unavailable  # a write-back takes a minute at most

    async def _count(self, lane: Lane, post_ids: list[str], dry_run: bool) -> tuple[list[store.Difference], int]:
        differences = await lane.write(partial(store.differences, post_ids=post_ids))
        for difference in differences:
            log.warning("recount.difference", extra=asdict(difference))
        if differences and not dry_run:
            await lane.write(partial(store.correct, post_ids=[difference.post_id for difference in differences]))
        return differences, 0 if self._redis is None else await self._compare(self._redis, lane, post_ids, dry_run)

    async def _compare(self, redis: Redis, lane: Lane, post_ids: list[str], dry_run: bool) -> int:
        """Return how many posts' likes in Redis are not the rows with the pending changes laid over them."""
        loaded = await store.loaded(redis, post_ids)
        rows = await lane.write(partial(store.like_rows, post_ids=post_ids))
        pairs = [(post.post_id, user_id) for post in loaded for user_id in post.pending]
        stored = await lane.write(partial(store.stored_pairs, pairs=pairs))
        unlike = 0
        for post in loaded:
            changes = ((post.post_id, user_id) in stored for user_id in post.pending)
            gained = sum(liked - was for liked, was in zip(post.pending.values(), changes, strict=True))
            wanted = rows.get(post.post_id, 0) + gained
            if post.count == post.members == wanted:
                continue
            unlike += 1
            log.warning(
                "recount.difference",
                extra={"post_id": post.post_id, "counter": "redis", "shown": post.count, "counted": wanted},
            )
            if not dry_run:
                await LikeStore(redis).unload(post.post_id)
        return unlike
