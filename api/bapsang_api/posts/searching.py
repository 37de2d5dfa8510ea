"""Search for posts by their words, newest first, within a bounded time however many posts hold them.

The newest posts are compared one by one: of a common word they fill the page at once. What they do not fill is looked up in the
index of words, which must list every post with the words before it can say which are the newest; where that are too many, the
next older posts are compared until time is up, and the page goes on from there.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.errors import OUT_OF_TIME, code_of
from bapsang_api.kit.db.keyset import Following, Keyset, cut
from bapsang_api.kit.problem import Unavailable
from bapsang_api.posts import queries
from bapsang_api.posts.view import PostItemView
from bapsang_api.search.query import Query

Found = tuple[list[PostItemView], Following | None]

# Each search holds one of the connections (eight a process) that all else needs, too.
AT_ONCE: Final = 2
WAITING: Final = 20
NEWEST: Final = 2_000  # posts that are compared before the index is asked
STRIDE: Final = 10_000  # posts that are compared by one statement after it
SCAN_SECONDS: Final = 0.2  # after which no further statement is begun


class PostSearch:
    """Searches, of which a process does AT_ONCE at a time; one more than WAITING is Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database, self._turns, self._waiting = database, asyncio.Semaphore(AT_ONCE), 0

    async def find(self, query: Query, before: Keyset | None, size: int, viewer_id: str | None) -> Found:
        """Return up to `size` visible posts with all the words that are older than `before`, newest first, and where to go on.

        There may be fewer although there are more to come. `viewer_id`: of somebody who does not see some people. Raises Unavailable.
        """
        if self._waiting >= WAITING:
            raise Unavailable
        self._waiting += 1
        try:
            async with self._turns:
                return await self._database.read_lagging(
                    partial(search, query=query, before=before, size=size, viewer_id=viewer_id)
                )
        finally:
            self._waiting -= 1


def search(
    connection: Connection,
    query: Query,
    before: Keyset | None,
    size: int,
    viewer_id: str | None,
    timer: Callable[[], float] = time.monotonic,
) -> Found:
    rows = queries.found_among(connection, query, before, NEWEST, size + 1, viewer_id)
    if len(rows) > size:
        return cut(rows, size, _place)
    try:
        return cut(queries.found(connection, query, before, size + 1, viewer_id), size, _place)
    except DBAPIError as error:
        if code_of(error) != OUT_OF_TIME:
            raise
    until, place = timer() + SCAN_SECONDS, queries.place_after(connection, before, NEWEST)
    while place is not None and timer() < until:
        rows += queries.found_among(connection, query, place, STRIDE, size + 1 - len(rows), viewer_id)
        if len(rows) > size:
            return cut(rows, size, _place)
        place = queries.place_after(connection, place, STRIDE)
    return rows, place


def _place(row: PostItemView) -> Following:
    return Following(row.created_at, row.post_id)
