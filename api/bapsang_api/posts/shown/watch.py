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

from bapsang_api.kit.db import Database
from bapsang_api.kit.ids import made_since
from bapsang_api.kit.problem import Unavailable
from bapsang_api.posts.shown import store
from bapsang_api.posts.shown.cache import PostCache
from bapsang_api.posts.shown.recent import CURRENT_SECONDS
from bapsang_api.posts.store import TOP

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
# Longer than a transaction takes from its statement to its commit; those of larger ones are told, and looked for later.
OVERLAP: Final = timedelta(seconds=3)
# Ids made within this time before are of new posts: the first pages of lists have changed.
NEW: Final = timedelta(seconds=10)
# More changes than this at once, and every copy is looked at by itself.
MOST: Final = 10_000


class Watch:
    """Tells the copies what has changed. On SQLite nobody notes that, and each copy is looked at by itself."""

    def __init__(self, database: Database, copies: PostCache, timer: Callable[[], float] = time.monotonic) -> None:
        self._database, self._copies, self._timer = database, copies, timer
        self._until: datetime | None = None  # changes up to here are told, by the database's clock
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
                self._failing = True
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Tell what has changed since the last look. Raises Unavailable, and DBAPIError before the database is migrated."""
        asked = self._timer()
        since = None if self._until is None else self._until - OVERLAP
        found = await self._database.read(partial(store.changed, since=since, most=MOST))
        new = sorted(change.partition(" ")[0] for change in found.changes - self._told)
        # Of those that were told of already the lists know.
        youngest, told = made_since(found.now - NEW), self._copies.recent
        if any(name > youngest and not told.since(asked - CURRENT_SECONDS, name) for name in new):
            new.append(TOP)
        self._copies.watch(new, asked, since_last=since is not None and found.whole)
        self._told, self._until = found.changes, found.now
