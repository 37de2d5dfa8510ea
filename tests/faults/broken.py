"""Write-backs and loads that are broken on purpose, each in one place: what the harness must find."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import redis.exceptions

from bapsang_api.kit.redis.client import RefusedError
from bapsang_api.likes.durability import NOT_DURABLE, Durability
from bapsang_api.likes.store import Claim, Liked, LikeStore


class TakesWithoutClaiming(LikeStore):
    """In the usual way: what is pending is read and deleted, then written."""

    async def claim(self, post_ids: Sequence[str], claim_id: str, **_: Any) -> list[Claim]:
        claims = []
        for post_id in post_ids:
            async with self.redis.pipeline(transaction=True) as pipeline:
                pipeline.hgetall(f"like:delta:{post_id}")
                pipeline.delete(f"like:delta:{post_id}")
                fields, _ = await pipeline.execute()
            claims.append(Claim(post_id, claim_id, {user: state == "1" for user, state in fields.items()}))
        return claims


class LeavesOut(LikeStore):
    """Loses without any death: of each post that is written back, one like is left out."""

    async def claim(self, post_ids: Sequence[str], claim_id: str, **limits: Any) -> list[Claim]:
        claims = await super().claim(post_ids, claim_id, **limits)
        return [replace(claim, changes=dict(list(claim.changes.items())[1:])) for claim in claims]


class WaitsForNothing(LikeStore):
    """Writes to the database what Redis may still forget, in a loss of power or a promotion."""

    async def durability(self) -> Durability:
        return NOT_DURABLE


class Repeats(LikeStore):
    """Sends a like again that was not answered, as clients of Redis do unless told otherwise."""

    async def set(self, *arguments: Any) -> Liked | None:
        while True:
            try:
                return await super().set(*arguments)
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
                await asyncio.sleep(0.2)


class TakesARefusalForAnAnswer(LikeStore):
    """Answers a like that Redis has refused."""

    async def set(self, post_id: str, user_id: str, number: int, wanted: bool | None, now: datetime) -> Liked | None:
        try:
            return await super().set(post_id, user_id, number, wanted, now)
        except (redis.exceptions.OutOfMemoryError, redis.exceptions.ReadOnlyError, RefusedError):
            return Liked(bool(wanted), 1)


STORES: Final[Mapping[str, type[LikeStore]]] = {
    "sound": LikeStore,
    "leaves out": LeavesOut,
    "takes": TakesWithoutClaiming,
    "hasty": WaitsForNothing,
    "repeats": Repeats,
    "deaf": TakesARefusalForAnAnswer,
}
