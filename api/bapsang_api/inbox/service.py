"""Use cases of inboxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bapsang_api.inbox import store
from bapsang_api.inbox.store import NotificationRow
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following, cut
from bapsang_api.notifications.vocabulary import Kind

#: Higher than any number of a notification.
_END: Final = 2**31 - 1


@dataclass(frozen=True)
class Page:
    """A page of notifications and where the next one goes on, None on the last."""

    rows: list[NotificationRow]
    following: Following | None


class InboxService:
    """Reads inboxes, and notes what their owners have read and want to be told of."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def page(self, user_id: str, before: int | None, size: int) -> Page:
        """Return up to `size` notifications with numbers below `before`, newest first."""
        read = partial(store.page, user_id=user_id, before=_END if before is None else before, limit=size + 1)
        rows = await self._database.read_lagging(read)
        return Page(*cut(rows, size, lambda row: Following(row.created_at, str(row.number))))

    async def unread(self, user_id: str) -> int:
        """Return how many are unread, 100 for 100 and more."""
        return await self._database.read_lagging(partial(store.unread, user_id=user_id))

    async def read_up_to(self, user_id: str, number: int) -> None:
        """Note that everything up to a number has been read."""
        now = self._clock.now()
        await self._database.write(partial(store.read_up_to, user_id=user_id, number=number, now=now))

    async def read_these(self, user_id: str, numbers: Sequence[int]) -> None:
        """Note that these have been read; what is not there is left out."""
        now = self._clock.now()
        await self._database.write(partial(store.read_these, user_id=user_id, numbers=numbers, now=now))

    async def muted_kinds(self, user_id: str) -> frozenset[Kind]:
        """Return the kinds that somebody has turned off."""
        return await self._database.read_lagging(partial(store.muted_kinds, user_id=user_id))

    async def turn(self, user_id: str, kinds: Mapping[Kind, bool]) -> None:
        """Turn kinds on (True) or off, and leave the others as they are."""
        await self._database.write(partial(store.turn, user_id=user_id, kinds=kinds))
