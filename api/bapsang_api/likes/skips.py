"""Runs of the write-back that have found its lock taken: since when, until one gets it."""

from datetime import datetime
from typing import Final

from redis.asyncio import Redis

SKIPPED: Final = "like:skipped"  # milliseconds
_SECONDS: Final = 86_400


async def record(redis: Redis, now: datetime) -> float:
    """Record that a run has found the lock taken; return for how many seconds runs have done so. Raises Redis errors."""
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.set(SKIPPED, int(now.timestamp() * 1000), nx=True, ex=_SECONDS)
        pipeline.get(SKIPPED)
        _, since = await pipeline.execute()
    return max(0.0, now.timestamp() - int(since) / 1000)


async def clear(redis: Redis) -> None:
    """Record that a run has acquired the lock. Raises Redis errors."""
    await redis.delete(SKIPPED)
