"""Views of posts in Redis: every one of its keys that concerns posts."""

from typing import Final

from redis.asyncio import Redis

from bapsang_api.kit.redis.client import load_script
from bapsang_api.kit.redis.pipeline import Pipeline

VIEW_SECONDS: Final = 60
_PENDING_VIEWS: Final = "view:pending"


class ViewStore:
    """Views in Redis: who has seen a post within the last minute, and what is not yet in the database."""

    def __init__(self, redis: Redis, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._count = load_script(redis, __package__ or "", "count_view")
        self._take = load_script(redis, __package__ or "", "take_views")

    def count(self, post_id: str, viewer: str) -> None:
        """Have a view counted before long: nobody waits for it. Raises Redis errors."""
        seen = f"view:seen:{post_id}:{viewer}"
        self._pipeline.post(self._count, seen, _PENDING_VIEWS, post_id, VIEW_SECONDS, keys=2)

    async def take(self, limit: int) -> dict[str, int]:
        """Remove and return the pending views of up to `limit` posts."""
        # The same way as the counting, so that a process takes what it has counted.
        taken: list[str] = await self._pipeline.call(self._take, _PENDING_VIEWS, limit, keys=1)
        return {post_id: int(views) for post_id, views in zip(taken[::2], taken[1::2], strict=True)}
