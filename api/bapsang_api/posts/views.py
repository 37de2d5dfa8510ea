"""Views of posts in Redis: every one of its keys that concerns posts."""

from typing import Final

from redis.asyncio import Redis

from bapsang_api.kit.redis import load_script

VIEW_SECONDS: Final = 60
_PENDING_VIEWS: Final = "view:pending"


class ViewStore:
    """Views in Redis: who has seen a post within the last minute, and what is not yet in the database."""

    def __init__(self, redis: Redis) -> None:
        self._count = load_script(redis, __package__ or "", "count_view")
        self._take = load_script(redis, __package__ or "", "take_views")

    async def count(self, post_id: str, viewer: str) -> None:
        await self._count(keys=[f"view:seen:{post_id}:{viewer}", _PENDING_VIEWS], args=[post_id, VIEW_SECONDS])

    async def take(self, limit: int) -> dict[str, int]:
        """Remove and return the pending views of up to `limit` posts."""
        taken: list[str] = await self._take(keys=[_PENDING_VIEWS], args=[limit])
        return {post_id: int(views) for post_id, views in zip(taken[::2], taken[1::2], strict=True)}
