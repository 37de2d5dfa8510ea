"""Copies of the newest posts, taken when a process starts: one that comes up at the peak must not have them read one by one."""

import asyncio
from functools import partial
from typing import Final

from sqlalchemy.exc import DBAPIError

from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.posts.shown import store
from bapsang_api.posts.shown.cache import PostCache

_AT_ONCE: Final = 50  # posts: a few milliseconds, for which requests wait
_PAUSE: Final = 0.05  # seconds, which are theirs
_RETRY_SECONDS: Final = 5.0


async def fill(copies: PostCache, database: Database) -> None:
    """Take as many as there is room for, newest first. On SQLite nobody watches copies, so they would soon be old."""
    before: Following | None = None
    more = database.dialect == "mysql"
    while more:
        try:
            places = await database.read_lagging(partial(store.places, tag=None, before=before, limit=_AT_ONCE))
            more = await copies.take([place.item_id for place in places]) and len(places) == _AT_ONCE
        except (Unavailable, DBAPIError, *OUTAGE):  # of a database that is not migrated yet, too
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        before = places[-1] if places else None
        await asyncio.sleep(_PAUSE)
