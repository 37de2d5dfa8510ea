"""Counters against the rows they count, and likes in Redis against both: all at once for `bapsang-api recount`, and a slice
at each write-back. Nothing that is found should ever be there; the rows are the truth."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from bapsang_api.kit.db.database import Database, Lane
from bapsang_api.kit.problem import NotFound, Unavailable
from bapsang_api.likes.store import LOCK, chunks
from bapsang_api.upkeep import store
from bapsang_api.upkeep.store import Difference, RecountStore

log = logging.getLogger(__name__)

BATCH: Final = 200
SLICE: Final = 1_000
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
    """Compares a bounded number of posts at a time, each batch while no write-back of likes runs: then the rows of likes
    stand still, and Redis holds exactly what they lack."""

    def __init__(self, database: Database, redis: RecountStore | None, *, batch_size: int = BATCH) -> None:
        """`redis` is None where it cannot be reached from outside of the server, on one machine."""
        self._database, self._redis, self._batch_size = database, redis, batch_size

    async def run(self, post_ids: Sequence[str] | None, *, dry_run: bool) -> RecountReport:
        """Compare these posts, or all when None. Raises NotFound for an unknown one, Unavailable, and Redis errors."""
        if post_ids is not None and set(await self._database.read(partial(store.existing, post_ids=post_ids))) != set(
            post_ids
        ):
            raise NotFound
        posts, found = 0, Counter[str]()
        async for batch in self._batches(post_ids):
            posts += len(batch)
            found.update(difference.counter for difference in await self._batch(batch, dry_run))
        return RecountReport(
            posts=posts,
            like_differences=found[store.LIKES],
            comment_differences=found[store.COMMENTS],
            reply_differences=found[store.REPLIES],
            redis_differences=found[store.REDIS] + found[store.TORN],
            dry_run=dry_run,
        )

    async def _batches(self, post_ids: Sequence[str] | None) -> AsyncIterator[list[str]]:
        if post_ids is not None:
            for batch in chunks(sorted(set(post_ids)), self._batch_size):
                yield batch
            return
        last = ""
        while batch := await self._database.read(partial(store.post_ids_after, after=last, limit=self._batch_size)):
            yield batch
            last = batch[-1]

    async def _batch(self, post_ids: list[str], dry_run: bool) -> list[Difference]:
        for _ in range(_TURNS):
            async with self._database.exclusive(LOCK) as lane:
                if lane is not None:
                    return await compare(lane, self._redis, post_ids, dry_run=dry_run)
            await asyncio.sleep(_TURN_SECONDS)
        raise Unavailable  # a write-back takes a minute at most


class Reconciliation:
    """Compares the next posts at each write-back, so that all get their turn."""

    def __init__(self, redis: RecountStore) -> None:
        self._redis = redis

    async def run(self, lane: Lane, *, slice_size: int = SLICE) -> int:
        """Compare and repair the next posts; return by how many likes they differed. `lane` holds LOCK."""
        after = (await self._redis.progress()).after
        post_ids = await lane.write(partial(store.post_ids_after, after=after, limit=slice_size))
        found: list[Difference] = []
        for batch in chunks(post_ids, BATCH):
            found += await compare(lane, self._redis, batch, dry_run=False)
        likes = sum(abs(one.shown - one.counted) for one in found if one.counter in (store.LIKES, store.REDIS))
        ended = len(post_ids) < slice_size
        await self._redis.advance(
            "" if ended else post_ids[-1], posts=len(post_ids), differences=likes, turns=int(ended)
        )
        return likes


async def compare(
    lane: Lane, redis: RecountStore | None, post_ids: Sequence[str], *, dry_run: bool
) -> list[Difference]:
    """Return how these posts differ, logged, and corrected unless it is a dry run. `lane` holds LOCK."""
    found = await lane.write(partial(store.differences, post_ids=post_ids))
    if found and not dry_run:
        await lane.write(partial(store.correct, post_ids=[difference.post_id for difference in found]))
    unlike = [] if redis is None else await _unlike(lane, redis, post_ids)
    for difference in (*found, *unlike):
        log.error("recount.difference", extra=asdict(difference))
    if redis is not None and not dry_run:
        for difference in unlike:
            await redis.unload(difference.post_id)
    return found + unlike


async def _unlike(lane: Lane, redis: RecountStore, post_ids: Sequence[str]) -> list[Difference]:
    """Return those of the posts whose likes in Redis are not the rows with the pending changes laid over them."""
    loaded = await redis.loaded(post_ids)
    rows = await lane.write(partial(store.like_rows, post_ids=[post.post_id for post in loaded]))
    pairs = [(post.post_id, user_id) for post in loaded for user_id in post.pending]
    stored = await lane.write(partial(store.stored_pairs, pairs=pairs))
    found = []
    for post in loaded:
        changes = ((post.post_id, user_id) in stored for user_id in post.pending)
        gained = sum(liked - was for liked, was in zip(post.pending.values(), changes, strict=True))
        wanted = rows.get(post.post_id, 0) + gained
        if post.count != post.members:
            found.append(Difference(post.post_id, store.TORN, post.members, post.count))
        elif post.count != wanted:
            found.append(Difference(post.post_id, store.REDIS, post.count, wanted))
    return found
