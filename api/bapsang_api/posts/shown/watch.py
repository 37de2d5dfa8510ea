"""What has changed in the database, whoever changed it: asked twice a second, in one statement for all copies.

MySQL notes with each row when it was last changed, for a change made by hand as well. A row is found only once its transaction
has committed, but carries the time of its statement: so each look goes back a few seconds before the one before it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Set
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy.exc import DBAPIError

from bapsang_api.kit.db.database import Database
from bapsang_api.kit.problem import Unavailable
from bapsang_api.posts.shown import store
from bapsang_api.posts.shown.cache import PostCache
from bapsang_api.posts.shown.lists import PostLists

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
# Longer than a transaction takes from its statement to its commit; those of larger ones are told, and looked for later.
OVERLAP: Final = timedelta(seconds=3)
# Less than what OVERLAP leaves beside a transaction.
SET_BACK_SECONDS: Final = 0.5
# More changes than this at once, and every copy and page is looked at by itself.
MOST: Final = 10_000


class Watch:
    """Tells copies and pages what has changed. On SQLite nobody notes that, and each is looked at by itself."""

    def __init__(
        self, database: Database, copies: PostCache, lists: PostLists, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._database, self._copies, self._lists, self._timer = database, copies, lists, timer
        self._until: datetime | None = None  # changes up to here are told, by the database's clock
        self._asked = 0.0  # when, for `_until`
        self._told: Set[str] = frozenset()
        self._failing = False

    async def follow(self) -> None:
        """Look for ever; cancelled when the process ends."""
        if self._database.dialect != "mysql":
            return
        while True:
            try:
                await self.look()
                self._failing = False
            except (Unavailable, DBAPIError) as error:
                if not self._failing:  # once per outage
                    log.warning("posts.not_watched", extra={"error": type(error).__name__})
                self._failing, self._copies.answering = True, False
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Tell what has changed since the last look. Raises Unavailable, and DBAPIError before the database is migrated."""
        asked = self._timer()
        since = None if self._until is None else self._until - OVERLAP
        found = await self._database.read(partial(store.changed, since=since, most=MOST))
        new = found.changes - self._told
        since_last = self._until is not None and not self._set_back(self._until, found.now, asked) and found.whole
        self._lists.watch(new)
        self._copies.watch({change.rpartition(" ")[2] for change in new}, asked, since_last=since_last)
        self._told, self._until, self._asked = found.changes, found.now, asked

    def _set_back(self, until: datetime, now: datetime, asked: float) -> bool:
        """Return whether the database's clock shows less than has passed since the last look: another server has taken over,
        and changes may lie behind those that were told. A look that took long looks the same, which costs only speed.
        """
        return (now - until).total_seconds() < asked - self._asked - SET_BACK_SECONDS
