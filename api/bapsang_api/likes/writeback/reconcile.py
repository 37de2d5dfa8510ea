"""The rolling reconciliation: likes, counts in rows and what Redis holds, compared a slice of posts at a time.

Nothing it finds should ever be there. What it finds is counted in a metric, logged and repaired; the rows are the truth.
"""

import logging
from functools import partial
from typing import Final

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Lane
from bapsang_api.likes.writeback import store
from bapsang_api.likes.writeback.store import ReconcileStore

log = logging.getLogger(__name__)

SLICE: Final = 1_000


class Reconciliation:
    """Compares on the connection that holds the write-back's lock, so that nobody writes likes meanwhile."""

    def __init__(self, progress: ReconcileStore, clock: Clock) -> None:
        self._progress, self._clock = progress, clock

    async def run(self, lane: Lane, *, slice_size: int = SLICE) -> int:
        """Compare the next posts and repair what differs; return the sum of the differences."""
        after = (await self._progress.progress()).after
        post_ids = await lane.write(partial(store.post_ids_after, after=after, limit=slice_size))
        differences = await self._compare(lane, post_ids) if post_ids else 0
        ended = len(post_ids) < slice_size
        await self._progress.advance(
            "" if ended else post_ids[-1], posts=len(post_ids), differences=differences, turns=int(ended)
        )
        return differences

    async def _compare(self, lane: Lane, post_ids: list[str]) -> int:
        before = await self._progress.sizes(post_ids, self._clock.now())
        found = await lane.write(partial(store.counted, post_ids=post_ids))
        after = await self._progress.sizes(post_ids, self._clock.now())
        miscounted = [post for post in found if post.count != post.rows]
        # Only what stood still while the rows were counted can be compared with them.
        misheld = [
            post for post in found if before.get(post.post_id) == after.get(post.post_id, -1) not in (-1, post.rows)
        ]
        for post in {*miscounted, *misheld}:
            log.error(
                "likes.difference",
                extra={
                    "post_id": post.post_id,
                    "count": post.count,
                    "rows": post.rows,
                    "redis": after.get(post.post_id),
                },
            )
        if miscounted:
            await lane.write(partial(store.recount, post_ids=[post.post_id for post in miscounted]))
        await self._progress.forget([post.post_id for post in misheld])
        return sum(abs(post.count - post.rows) for post in miscounted) + sum(
            abs(after[post.post_id] - post.rows) for post in misheld
        )
