"""Write-backs and loads that are broken on purpose, each in one place: what the harness must find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bapsang_api.likes.store import Claim, LikeStore


class TakesWithoutClaiming(LikeStore):
    """In the usual way: what is pending is read and deleted, then written."""

    async def claim(self, post_ids: Sequence[str], claim_id: str, **_: Any) -> list[Claim]:
        claims = []
        for post_id in post_ids:
            async with self._redis.pipeline(transaction=True) as pipeline:
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


class DoesNotWaitForTheDisk(LikeStore):
    """Writes to the database what Redis may still forget."""

    async def keeps_a_log(self) -> bool:
        return False


STORES: Final[Mapping[str, type[LikeStore]]] = {
    "sound": LikeStore,
    "leaves out": LeavesOut,
    "takes": TakesWithoutClaiming,
    "hasty": DoesNotWaitForTheDisk,
}
