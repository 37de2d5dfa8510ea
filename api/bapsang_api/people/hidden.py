"""Whom somebody does not see, in the read model: answers that are shared by all are filtered by it.

Nearly nobody hides anybody, so a process knows who does: of all others it need not ask. That index may name somebody who hides
nobody any more, and lacks nobody: while it may, everybody is looked up.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy.exc import DBAPIError

from bapsang_api.kit.db.database import Database
from bapsang_api.kit.problem import Unavailable
from bapsang_api.people import store
from bapsang_api.people.models import Reason
from bapsang_api.readmodel.cache import Cache, Read
from bapsang_api.readmodel.entry import EXPIRED, Bounds, Loaded, Usage
from bapsang_api.readmodel.feed import ChangeFeed, Polled

VIEWERS: Final = Bounds(entries=5_000, bytes=2 * 1024 * 1024)  # whose lists are kept; viewers decide how long they are
MOST_KNOWN: Final = 50_000  # of those who hide somebody; where there are more, everybody is looked up
REREAD_SECONDS: Final = 300.0
_PAUSE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.05  # while everybody is looked up, which needs MySQL
_ID_BYTES: Final = 120


@dataclass(frozen=True, slots=True)
class Unseen:
    """Whom a viewer does not see: in lists (`people`), and not even by a link (`blocked`, which are some of them)."""

    people: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()


NOBODY: Final = Unseen()


class HiddenPeople:
    """Answers whom a viewer does not see, by the rule of the read model."""

    def __init__(self, database: Database, feed: ChangeFeed) -> None:
        self._database, self._feed = database, feed
        self._known: set[str] = set()  # who hides somebody
        self._reported: set[str] = set()  # some of them, since a read of all began
        self._read_at = EXPIRED  # from when on `_known` lacks nobody
        self._due = EXPIRED  # when it is read next
        self.is_ready = False  # it has been read once
        self._unseen: Cache[str, Unseen] = Cache(database, feed, _load, VIEWERS)
        feed.subscribe(self)

    def usage(self) -> dict[str, Usage]:
        """Return how much is kept, by cache."""
        known = len(self._known) + len(self._reported)
        return {"hidden_people": self._unseen.usage(), "viewers": Usage(known, _ID_BYTES * known)}

    def may_hide(self, user_id: str) -> bool:
        """Return whether a viewer may not see somebody: False for nearly everybody, at no cost."""
        return self._read_at == EXPIRED or user_id in self._known

    async def of(self, user_id: str | None) -> Unseen:
        """Return whom the viewer does not see, nobody for who has no token. Raises Unavailable."""
        if user_id is None or not self.may_hide(user_id):
            return NOBODY
        entry = self._unseen.peek(user_id) or await self._unseen.get(user_id)
        return NOBODY if entry is None else entry.value

    async def follow(self) -> None:
        """Read who hides somebody, and read it again now and then; cancelled when the process ends. On SQLite nobody reports
        changes, so everybody is looked up.
        """
        if self._database.dialect != "mysql":
            return
        while True:
            pause = _PAUSE_SECONDS
            if self._feed.now() >= self._due:
                with contextlib.suppress(Unavailable, DBAPIError):  # of a database that is not migrated yet, too
                    await self.learn()
                    pause = _RETRY_SECONDS
            await asyncio.sleep(pause)

    async def learn(self) -> None:
        """Read who hides somebody. Raises Unavailable, and DBAPIError before the database is migrated."""
        asked = self._feed.now()
        if asked < self._feed.since:
            return  # nobody reports changes yet
        self._reported = set()
        found = await self._database.read(partial(store.viewers, most=MOST_KNOWN + 1))
        self._known, self._reported, self.is_ready = found | self._reported, set(), True
        if asked >= self._feed.since:  # no position has been lost meanwhile
            self._read_at, self._due = asked, asked + REREAD_SECONDS
        self._limit()

    def invalidate(self, names: Collection[str]) -> None:
        self._add(filter(None, map(store.viewer_of, names)))

    def poll(self, polled: Polled, before: float) -> None:  # noqa: ARG002 - who hides nobody any more may stay known
        self._add(polled.viewers)

    def lose_position(self, before: float) -> None:  # noqa: ARG002 - all is read again
        self._read_at = self._due = EXPIRED

    def recover(self) -> None:
        """Nothing here is read from a replica."""

    def _add(self, viewers: Iterable[str]) -> None:
        for viewer_id in viewers:
            self._known.add(viewer_id)
            self._reported.add(viewer_id)
        self._limit()

    def _limit(self) -> None:
        if len(self._known) > MOST_KNOWN:
            self._known, self._reported, self._read_at = set(), set(), EXPIRED
            self._due = self._feed.now() + REREAD_SECONDS


async def _load(user_ids: Collection[str], _: Mapping[str, Unseen], read: Read[Any]) -> dict[str, Loaded[Unseen]]:
    found: dict[str, list[tuple[str, Reason]]] = await read(partial(store.hidden_of, user_ids=user_ids))
    loaded = {}
    for viewer_id, hidden in found.items():
        people = frozenset(hidden_id for hidden_id, _ in hidden)
        blocked = frozenset(hidden_id for hidden_id, reason in hidden if reason is not Reason.MUTES)
        loaded[viewer_id] = Loaded(Unseen(people, blocked), (), _ID_BYTES * (1 + len(hidden)))
    return loaded
