"""Use cases of likes for users: set, toggle, show."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Collection
from contextvars import Context
from functools import partial
from itertools import chain
from typing import Final

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.concurrency import Coalescer, SingleFlight, ended
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following, Keyset, cut
from bapsang_api.kit.ids import is_ulid
from bapsang_api.kit.problem import NotFound, Unavailable
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.kit.security.tokens import Principal
from bapsang_api.likes.rows import store as rows
from bapsang_api.likes.store import CHUNK, LOCK, Liked, LikeStore, RedisEmptyError
from bapsang_api.posts.service import Page
from bapsang_api.posts.view import PostItemView
from bapsang_api.posts.views import View, Views
from bapsang_api.users.numbers import UserNumbers

log = logging.getLogger(__name__)

_ATTEMPTS: Final = 100
_FIRST: Final = 5_000  # users that are read for many posts at once
_MOST_WANTED: Final = 8  # posts that are loaded because somebody reads them, at once: nobody waits for that
_RIVAL_SECONDS: Final = 0.03  # between looks whether another process has loaded the post


class LikeService:
    """Likes as users see them. Redis decides; the database is read only to load what Redis does not hold."""

    def __init__(self, database: Database, likes: LikeStore, numbers: UserNumbers, clock: Clock) -> None:
        self._database, self._likes, self._numbers, self._clock = database, likes, numbers, clock
        self._loading = SingleFlight()
        self._stored: Coalescer[tuple[str, str], bool] = Coalescer(self._look_for)
        self._first: Coalescer[str, rows.Stored] = Coalescer(self._read_first)
        self._wanted: dict[str, asyncio.Task[None]] = {}
        self._listeners: list[Callable[[str, int], None]] = []

    async def close(self) -> None:
        """End the loads under way, before what they read from is closed."""
        await ended(self._wanted.values())
        await self._loading.close()

    def listen(self, listener: Callable[[str, int], None]) -> None:
        """Have `listener` told of each post whose likes are changed here, and how many it has then."""
        self._listeners.append(listener)

    async def set(self, post_id: str, principal: Principal, *, wanted: bool) -> Liked:
        """Make the user like the post or not; doing it again changes nothing. Raises NotFound."""
        return await self._change(post_id, principal, wanted)

    async def toggle(self, post_id: str, principal: Principal) -> Liked:
        """Turn the user's like of the post over. Raises NotFound."""
        return await self._change(post_id, principal, None)

    async def counts(self, post_ids: list[str]) -> dict[str, int]:
        """Return the live counts of the posts that Redis holds; none while Redis is down: the rows are good enough."""
        try:
            return await self._likes.counts(post_ids)
        except OUTAGE as error:
            log.warning("likes.counts_from_rows", extra={"error": type(error).__name__})
            return {}

    async def read(
        self, post_id: str, principal: Principal, written: int, view: View, *, again: bool
    ) -> tuple[bool, int, Views | None]:
        """Return whether the user likes the post, how many do, and its views, None while Redis is down; count the view.

        `written` is how many likes there were at the last write-back. Posts that are read again get their likes loaded;
        most are read once in a long while, and loading costs more than a look at the rows.
        """
        liked, likes, views = None, None, None
        try:
            liked, likes, views = await self._likes.read(post_id, principal.user_id, principal.number, view)
            if likes is None and again:
                self._load_before_long(post_id)
        except OUTAGE as error:
            log.warning("likes.liked_from_rows", extra={"error": type(error).__name__})
        if liked is None:
            # Nobody likes what has no rows and nothing pending.
            liked = written > 0 and bool(await self._stored.get((post_id, principal.user_id)))
        return liked, written if likes is None else likes, views

    async def page(self, user_id: str, before: Keyset | None, size: int) -> Page[PostItemView]:
        """Return up to `size` posts that the user likes, the last liked first, as their rows count likes and views.

        From the database: a like appears, and one taken back goes, with the next write-back.
        """
        liked = await self._database.read_lagging(partial(rows.page, user_id=user_id, before=before, limit=size + 1))
        shown, following = cut(liked, size, lambda row: Following(row.liked_at, row.post.post_id))
        return Page([row.post for row in shown], following)

    async def forget(self, post_id: str) -> None:
        """Forget the likes of a post that has been deleted for good. Raises Redis errors."""
        await self._likes.forget(post_id)

    async def withhold(self, post_id: str) -> None:
        """Let nobody like a post that has been hidden; what is pending is still written back. Raises Redis errors."""
        await self._likes.unload(post_id)

    async def restore(self, post_id: str) -> None:
        """Load the likes of a post that is shown again, so that its count is exact at once.

        Raises NotFound when it was hidden once more meanwhile, Unavailable when loading goes on and on, and Redis errors.
        """
        for _ in range(_ATTEMPTS):
            if await self._likes.counts([post_id]):
                return
            # Not together with others: a load that began before the post was shown again finds no post.
            await self._load(post_id)
        raise Unavailable

    async def _change(self, post_id: str, principal: Principal, wanted: bool | None) -> Liked:
        if not is_ulid(post_id):
            raise NotFound
        user_id, number = principal.user_id, principal.number
        for _ in range(_ATTEMPTS):
            liked = await self._likes.set(post_id, user_id, number, wanted, self._clock.now())
            if liked is not None:
                for tell in self._listeners:
                    tell(post_id, liked.count)
                return liked
            await self._loading.run(post_id, partial(self._load, post_id))
        raise Unavailable

    def _load_before_long(self, post_id: str) -> None:
        """Have the likes loaded, so that the next reader finds them. Whoever changes one finds out what fails."""
        if post_id not in self._wanted and len(self._wanted) < _MOST_WANTED:
            task = asyncio.get_running_loop().create_task(self._load_quietly(post_id), context=Context())
            self._wanted[post_id] = task

    async def _load_quietly(self, post_id: str) -> None:
        try:
            await self._loading.run(post_id, partial(self._load, post_id))
        except (NotFound, Unavailable, *OUTAGE) as error:
            log.debug("likes.not_loaded", extra={"error": type(error).__name__})
        finally:
            del self._wanted[post_id]

    async def _look_for(self, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], bool]:
        return await self._database.read_lagging(partial(rows.stored, pairs=pairs))

    async def _load(self, post_id: str) -> None:
        """Bring a post's likes from the database into Redis, or wait a moment for the process that is doing it.

        May end without having done so, when a write-back came in between: the caller looks again.
        """
        token = uuid.uuid4().hex
        try:
            if not await self._likes.begin_load(post_id, token):
                await asyncio.sleep(_RIVAL_SECONDS)
                return
        except RedisEmptyError:
            await self._loading.run("", self._begin_epoch)
            return
        try:
            await self._load_with(token, post_id)
        except (NotFound, Unavailable):
            await self._likes.release(post_id)
            raise

    async def _load_with(self, token: str, post_id: str) -> None:
        # Read with the right to load: a post's going away takes that right along, so one that went before this answer is
        # noticed here, and one that goes later makes the end of the load fail.
        stored = await self._first.get(post_id)
        if stored is None:
            raise NotFound
        compact, users, staged = stored.count >= self._likes.compact_from, stored.users, 0
        while True:
            numbers = await self._numbers.complete(users)
            if not await self._likes.stage(post_id, token, numbers.values(), compact=compact):
                return
            staged += len(numbers)
            if stored.whole:
                break
            after = users[-1][0] if users else ""
            users = await self._database.read(partial(rows.stored_users, post_id=post_id, after=after, limit=CHUNK))
            stored.whole = len(users) < CHUNK
        pending = await self._likes.pending_users(post_id)
        known = await self._numbers.of_all(pending)
        of_pending = {user_id: known.get(user_id, 0) for user_id in pending}
        await self._likes.finish_load(post_id, token, of_pending, staged=staged, compact=compact)

    async def _read_first(self, post_ids: Collection[str]) -> dict[str, rows.Stored]:
        found = await self._database.read(partial(rows.first_stored, post_ids=post_ids, limit=_FIRST))
        # For all of them at once: giving a number is a transaction.
        numbers = await self._numbers.complete(chain.from_iterable(stored.users for stored in found.values()))
        for stored in found.values():
            stored.users = [(user_id, numbers.get(user_id)) for user_id, _ in stored.users]
        return found

    async def _begin_epoch(self) -> None:
        """Begin the life of an empty Redis, or wait a moment for the write-back that still has claims of the last one."""
        async with self._database.exclusive(LOCK) as lane:
            if lane is not None:
                log.warning("likes.redis_was_empty")
                await self._likes.epoch(begin=uuid.uuid4().hex)
                return
        await asyncio.sleep(_RIVAL_SECONDS)
