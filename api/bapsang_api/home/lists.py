"""Use cases of lists of posts: a person's home feed, what they keep, and what somebody has written.

Where the posts of a page are is read from MySQL; the posts are those of the read model.
"""

from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.home import queries, store
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following, Keyset
from bapsang_api.kit.ids import is_ulid
from bapsang_api.kit.problem import Conflict, NotFound
from bapsang_api.people import store as relations
from bapsang_api.people.hidden import HiddenPeople
from bapsang_api.posts.service import PostService

MOST_BOOKMARKS: Final = 10_000  # of one person
_TOO_MANY: Final = f"{MOST_BOOKMARKS:,}개까지만 저장할 수 있습니다."


class HomeLists:
    """Reads lists of posts for one person, and writes bookmarks."""

    def __init__(self, database: Database, posts: PostService, hidden: HiddenPeople, clock: Clock) -> None:
        self._database, self._posts, self._hidden, self._clock = database, posts, hidden, clock

    async def home_feed(self, user_id: str, before: Keyset | None, size: int) -> bytes:
        """Return the answer to a list of up to `size` posts, older than `before`, of the user and of whom they follow."""
        read = partial(queries.home_feed, reader_id=user_id, before=before, limit=size + 1)
        return await self._posts.page_at(await self._database.read_lagging(read), size, user_id)

    async def bookmarked(self, user_id: str, before: Keyset | None, size: int) -> bytes:
        """Return the answer to a list of up to `size` posts that the user keeps and sees, kept before `before`, the last first."""
        read = partial(queries.bookmarked, reader_id=user_id, before=before, limit=size + 1)
        return await self._posts.page_at(await self._database.read_lagging(read), size, user_id)

    async def written_by(self, person_id: str, viewer_id: str | None, before: Keyset | None, size: int) -> bytes:
        """Return the answer to a list of up to `size` posts of somebody, older than `before`. Who has muted them sees it all the
        same: they have asked for it. Raises NotFound.
        """
        if not is_ulid(person_id) or person_id in (await self._hidden.of(viewer_id)).blocked:
            raise NotFound

        def read(connection: Connection) -> list[Following] | None:
            if not store.is_seen(connection, person_id, viewer_id):
                return None
            return queries.written_by(connection, person_id, before, size + 1)

        places = await self._database.find_lagging(read)
        if places is None:
            raise NotFound
        return await self._posts.page_at(places, size, None)

    async def keep(self, user_id: str, post_id: str) -> None:
        """Bookmark a post; doing it again changes nothing. Raises NotFound, and Conflict for who keeps too many."""
        if not is_ulid(post_id):
            raise NotFound
        now = self._clock.now()

        def add(connection: Connection) -> None:
            relations.lock_people(connection, user_id)
            if not queries.is_seen(connection, post_id, user_id):
                raise NotFound
            if relations.keep(connection, user_id, post_id, now) and (
                relations.count_bookmarks(connection, user_id) > MOST_BOOKMARKS
            ):
                raise Conflict(_TOO_MANY)

        await self._database.write(add)

    async def drop(self, user_id: str, post_id: str) -> None:
        """Delete a bookmark, also of a post that is not seen any more; doing it again changes nothing. Raises NotFound for a post
        that is not seen and was not kept.
        """
        if not is_ulid(post_id):
            raise NotFound

        def remove(connection: Connection) -> None:
            if not relations.drop(connection, user_id, post_id) and not queries.is_seen(connection, post_id, user_id):
                raise NotFound

        await self._database.write(remove)
