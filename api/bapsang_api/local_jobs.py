"""What a process on one machine does itself, because no CronJob can reach its Redis."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.likes.sync import LikeSync
from bapsang_api.privacy.retention import purge

log = logging.getLogger(__name__)

SYNC_SECONDS: Final = 5.0


async def sync_for_ever(
    like_sync: LikeSync, write_back: Callable[[], Awaitable[int]], database: Database, clock: Clock
) -> None:
    """Write likes and views back and destroy what is due, for ever; cancelled when the process ends."""
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        try:
            await like_sync.run()
            await write_back()
            await purge(database, clock)
        except (Unavailable, *OUTAGE) as error:
            log.warning("like_sync.failed", extra={"error": type(error).__name__})
