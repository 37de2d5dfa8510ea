"""The purge of login sessions that nobody can refresh any more, a bounded number at a time."""

from functools import partial
from typing import Final

from bapsang_api.auth import secrets, store
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database

BATCH: Final = 1_000


async def purge_sessions(database: Database, clock: Clock) -> int:
    """Delete up to a batch of dead sessions and return how many. A minute's worth of logins fits in several times."""
    now = clock.now()
    return await database.write(partial(store.purge, unused_since=now - secrets.REFRESH_LIFETIME, now=now, limit=BATCH))
