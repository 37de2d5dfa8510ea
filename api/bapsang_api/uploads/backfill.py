"""Has variants made of images that were published before there were any, a few at a time, so that new uploads wait little."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.uploads import queries

log = logging.getLogger(__name__)

AT_ONCE: Final = 10
_ASK_SECONDS: Final = 0.5


class BackFill:
    """Runs once. Doing it again goes on with what is left."""

    def __init__(self, database: Database, clock: Clock, progress: Callable[[int, int], None]) -> None:
        """`progress` is called with how many were done, and how many are left."""
        self._database, self._clock, self._progress = database, clock, progress

    async def run(self) -> None:
        """Go through all images once. Raises Unavailable."""
        done, last = 0, ""
        while batch := await self._database.read(partial(queries.without_variants, after=last, limit=AT_ONCE)):
            await self._database.write(partial(queries.enqueue, image_ids=batch, now=self._clock.now()))
            while await self._database.read(partial(queries.waiting, image_ids=batch)):  # noqa: ASYNC110 - of others
                await asyncio.sleep(_ASK_SECONDS)
            done, last = done + len(batch), batch[-1]
            self._progress(done, await self._database.read(partial(queries.count_without_variants, after=last)))
        log.info("variants.done", extra={"images": done})
