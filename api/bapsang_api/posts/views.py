"""Views of posts in Redis: every one of its keys that concerns views.

A view counts once per viewer and minute. What is not in the rows yet is shown with them: views that wait (`view:pending`), those
that a run is writing (`view:claimed`), and, because a row may have been read before that, what the last run has written
(`view:written`).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from redis.asyncio import Redis

from bapsang_api.kit.redis.client import load_script
from bapsang_api.kit.redis.pipeline import Pipeline

VIEW_SECONDS: Final = 60
_PENDING: Final = "view:pending"
_CLAIMED: Final = "view:claimed"
_WRITTEN: Final = "view:written"
_WRITTEN_SECONDS: Final = 300  # longer than a process keeps a row without reading it again


class Views(NamedTuple):
    """Views of a post: those not known to be in its row, and what the row has at least, -1 where that is not known."""

    unwritten: int
    written: int


class View(NamedTuple):
    """A view to be counted: its Redis keys, and for how many seconds the viewer counts once, 0 to count none."""

    keys: tuple[str, str, str, str]
    seconds: int

    @classmethod
    def of(cls, post_id: str, viewer: str | None) -> "View":
        """Return the view of a post; None is nobody, such as a prefetching browser."""
        keys = f"view:seen:{post_id}:{viewer}", _PENDING, _CLAIMED, _WRITTEN
        return cls(keys, 0 if viewer is None else VIEW_SECONDS)


class ViewStore:
    """Views in Redis: who has seen a post within the last minute, and what is not yet in the database."""

    def __init__(self, redis: Redis, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._count = load_script(redis, __package__ or "", "count_view")
        self._claim = load_script(redis, __package__ or "", "claim_views")
        self._forget = load_script(redis, __package__ or "", "written_views")

    def count(self, post_id: str, viewer: str, shown: Callable[[Views], None]) -> None:
        """Have a view counted before long: nobody waits for it. `shown` receives the views then. Raises Redis errors."""
        keys, seconds = View.of(post_id, viewer)
        self._pipeline.post(self._count, *keys, post_id, seconds, keys=4, done=lambda answer: shown(Views(*answer)))

    async def unwritten(self, post_ids: list[str]) -> dict[str, Views]:
        """Return the views of posts, without counting one. Raises Redis errors."""
        if not post_ids:
            return {}
        command = self._pipeline.run
        answers = [command("HMGET", key, *post_ids) for key in (_PENDING, _CLAIMED, _WRITTEN)]
        pending, claimed, written = await asyncio.gather(*answers)
        found = zip(post_ids, pending, claimed, written, strict=True)
        return {
            post_id: Views(int(waiting or 0) + int(taken or 0), -1 if row is None else int(row))
            for post_id, waiting, taken, row in found
        }

    async def claim(self, limit: int, *, first: bool) -> dict[str, int]:
        """Claim the views of up to `limit` posts for writing; `first`: of a run. Raises Redis errors."""
        # The same way as the counting, so that a process claims what it has counted.
        keys = (_PENDING, _CLAIMED, _WRITTEN)
        claimed: list[str] = await self._pipeline.call(self._claim, *keys, limit, int(first), keys=3)
        return {post_id: int(views) for post_id, views in zip(claimed[::2], claimed[1::2], strict=True)}

    async def written(self, rows: Mapping[str, int]) -> None:
        """Note that the claim is written: the views that the rows have now, by post. Raises Redis errors."""
        pairs = (part for pair in rows.items() for part in pair)
        await self._pipeline.call(self._forget, _CLAIMED, _WRITTEN, _WRITTEN_SECONDS, *pairs, keys=2)
