"""The write-back: pending likes from Redis to the database, run by a CronJob (or in the background on one machine)."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db import Database, Lane
from bapsang_api.likes import store
from bapsang_api.likes.store import LikeStore

log = logging.getLogger(__name__)

LOCK: Final = "like-sync"
BATCH: Final = 500


@dataclass(frozen=True)
class SyncReport:
    """What one run did. `ran` is False when another run held the lock, which is no error."""

    ran: bool
    posts: int = 0
    added: int = 0
    removed: int = 0
    batches: int = 0
    remaining_posts: int = 0
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
        *,
        batch_size: int = BATCH,
        deadline_seconds: float = 50.0,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """`batch_size` posts go in one transaction; after `deadline_seconds` no new batch is begun."""
        self._database, self._likes, self._clock = database, likes, clock
        self._batch_size, self._deadline, self._timer = batch_size, deadline_seconds, timer

    async def run(self) -> SyncReport:
        """Write back what was dirty at the start. Raises Unavailable and Redis errors; a further run is always safe."""
        async with self._database.exclusive(LOCK) as lane:
            if lane is None:
                return SyncReport(ran=False)
            return await self._drain(lane)

    async def _drain(self, lane: Lane) -> SyncReport:
        started, until = self._timer(), self._clock.now()
        done = added = removed = batches = 0
        while self._timer() - started < self._deadline:
            post_ids = await self._likes.dirty(self._batch_size, until)
            if not post_ids:
                break
            plus, minus = await self._write_batch(lane, post_ids)
            done, added, removed, batches = done + len(post_ids), added + plus, removed + minus, batches + 1
            log.debug("like_sync.batch", extra={"posts": len(post_ids), "added": plus, "removed": minus})
        backlog = await self._likes.backlog(self._clock.now())
        return SyncReport(True, done, added, removed, batches, backlog.posts, round(self._timer() - started, 3))

    async def _write_batch(self, lane: Lane, post_ids: list[str]) -> tuple[int, int]:
        claims = {post_id: await self._likes.claim(post_id) for post_id in post_ids}
        counted = await lane.write(partial(store.apply, claims=claims, now=self._clock.now()))
        for post_id in post_ids:
            await self._likes.acknowledge(post_id, self._clock.now())
        return counted
