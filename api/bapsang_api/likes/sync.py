"""The write-back: pending likes from Redis to the database, run by a CronJob (or in the background on one machine)."""

import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database, Lane
from bapsang_api.kit.problem import Unavailable
from bapsang_api.likes import skips, store
from bapsang_api.likes.store import LOCK, Claim, LikeStore
from bapsang_api.likes.writeback import store as rows

log = logging.getLogger(__name__)

BATCH: Final = 500
DEADLINE_SECONDS: Final = 50.0
# Runs that have found the lock taken for longer than two of them last find no run there: the third in a row, at one a minute.
STUCK_SECONDS: Final = 2 * DEADLINE_SECONDS
# Batches that are claimed at once: waiting for Redis's log takes up to a second, however much is claimed.
_CLAIMED_AHEAD: Final = 10


#: Compares some posts and repairs them; returns by how many likes they differed.
Reconcile = Callable[[Lane], Awaitable[int]]


@dataclass(frozen=True)
class SyncReport:
    """What one run did. `ran` is False when another run held the lock, which is no error before STUCK_SECONDS of it."""

    ran: bool
    skipped_seconds: float = 0.0  # for which runs have found the lock taken
    posts: int = 0
    added: int = 0
    removed: int = 0
    batches: int = 0
    differences: int = 0
    remaining_posts: int = 0
    oldest_age_seconds: float = 0.0
    seconds: float = 0.0

    def fields(self) -> dict[str, Any]:
        return asdict(self)


class LikeSync:
    """Writes claimed changes back, the oldest first, in batches of one transaction each."""

    def __init__(
        self,
        database: Database,
        likes: LikeStore,
        clock: Clock,
        reconcile: Reconcile | None = None,
        *,
        batch_size: int = BATCH,
        deadline_seconds: float = DEADLINE_SECONDS,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """`batch_size` posts go in one transaction; after `deadline_seconds` no new batch is begun."""
        self._database, self._likes, self._clock = database, likes, clock
        self._reconcile = reconcile
        self._batch_size, self._deadline, self._timer = batch_size, deadline_seconds, timer

    async def run(self) -> SyncReport:
        """Write back what was dirty at the start. Raises Unavailable and Redis errors; a further run is always safe."""
        async with self._database.exclusive(LOCK) as lane:
            if lane is None:
                return SyncReport(ran=False, skipped_seconds=await skips.record(self._likes.redis, self._clock.now()))
            await skips.clear(self._likes.redis)
            return await self._drain(lane)

    async def _drain(self, lane: Lane) -> SyncReport:
        started, until = self._timer(), self._clock.now()
        done = added = removed = batches = 0
        durable = await self._likes.durability()
        epoch = await self._likes.epoch(begin=uuid.uuid4().hex)
        in_time = True
        while in_time and (post_ids := await self._likes.dirty(self._batch_size * _CLAIMED_AHEAD, until)):
            claims = await self._likes.claim(post_ids, uuid.uuid4().hex, durable=durable)
            for batch in store.chunks(claims, self._batch_size):
                if await self._likes.epoch() != epoch:
                    # The claims in hand are gone from Redis, and loaders wait for the lock: what they load must not
                    # change behind their backs.
                    log.error("like_sync.redis_was_emptied")
                    raise Unavailable
                plus, minus = await self._write_batch(lane, batch)
                done, added, removed, batches = done + len(batch), added + plus, removed + minus, batches + 1
                log.debug("like_sync.batch", extra={"posts": len(batch), "added": plus, "removed": minus})
                if not (in_time := self._timer() - started < self._deadline):
                    break  # what is claimed waits for the next run
        differences = await self._reconcile(lane) if in_time and self._reconcile else 0
        backlog = await self._likes.backlog(self._clock.now())
        return SyncReport(
            ran=True,
            posts=done,
            added=added,
            removed=removed,
            batches=batches,
            differences=differences,
            remaining_posts=backlog.posts,
            oldest_age_seconds=round(backlog.oldest_age_seconds, 3),
            seconds=round(self._timer() - started, 3),
        )

    async def _write_batch(self, lane: Lane, claims: Sequence[Claim]) -> tuple[int, int]:
        changes = {claim.post_id: claim.changes for claim in claims}
        counted = await lane.write(partial(rows.apply, claims=changes, now=self._clock.now()))
        await self._likes.acknowledge(claims, self._clock.now())
        return counted
