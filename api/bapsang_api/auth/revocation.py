"""Which login sessions are revoked, as this process knows it.

Every process reads new entries of one Redis stream twice a second, so a revocation is effective on every replica within
a second while a request pays for it with one look-up in memory instead of a round trip. What is not in the stream is read
from the database, before a process is ready and twice a second from then on: what Redis has forgotten, what it refused to
take, and what a process that died had no time to announce. The two ways fail apart: with no Redis, or with a database
that is slow to give a connection, revocations are as quick as ever.
"""

import asyncio
import contextlib
import logging
from collections.abc import Container, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from redis.asyncio import Redis

from bapsang_api.auth import store
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.kit.security.tokens import LIFETIME

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
# Read again each time: a transaction may commit late, and the clocks of processes differ.
_OVERLAP: Final = timedelta(minutes=1)


class RevokedSessions:
    """The revoked sessions whose access tokens may still be unexpired."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis, self._clock = redis, clock
        self._until: dict[str, datetime] = {}
        self._announced: dict[str, datetime] = {}  # known to be in the stream
        self._unannounced: dict[str, datetime] = {}  # revoked here, not known to be in the stream
        self._last_id: str | None = None
        self._recalled_until: datetime | None = None  # the database has been read up to here

    @property
    def sessions(self) -> Container[str]:
        """The ids of the sessions, as they are at any time."""
        return self._until

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._until

    async def announce(self, *session_ids: str) -> None:
        """Revoke sessions here at once and everywhere within a second. Never fails: the database has revoked them."""
        until = self._clock.now() + LIFETIME
        # What is in the stream is not sent again, however often somebody sends the same log-out. What is merely known may have
        # been read from the database since the commit.
        new = [one for one in session_ids if one not in self._announced and one not in self._unannounced]
        for session_id in new:
            self._until.setdefault(session_id, until)
        self._unannounced.update(dict.fromkeys(new, until))
        # Nothing but its own: if each sent again what `follow` sends, log-outs during an outage would cost the square of them.
        with after_commit("auth.revocation_unannounced"):
            await self._send(new)

    async def recall(self, database: Database) -> None:
        """Read from the database which sessions are revoked whose access tokens may still be unexpired. Raises Unavailable."""
        now = self._clock.now()
        since = now - LIFETIME
        if self._recalled_until is not None:
            since = max(since, self._recalled_until - _OVERLAP)
        for session_id, revoked_at in await database.read(partial(store.revoked_since, moment=since)):
            self._until.setdefault(session_id, revoked_at + LIFETIME + timedelta(seconds=POLL_SECONDS))
        self._recalled_until = now

    async def refresh(self) -> None:
        """Forget what has expired by itself, and read what was announced since the last time. Raises Redis errors."""
        now = self._clock.now()
        # In order of insertion, so the first that lives on ends the search.
        for known in (self._until, self._announced, self._unannounced):
            for session_id, until in list(known.items()):
                if until > now:
                    break
                del known[session_id]
        for entry_id, session_id in await store.revoked_after(self._redis, self._last_id):
            self._last_id = entry_id
            self._until[session_id] = self._announced[session_id] = now + LIFETIME + timedelta(seconds=POLL_SECONDS)

    async def deliver(self) -> None:
        """Send what is not yet in the stream. Twice does no harm. Raises Redis errors."""
        await self._send(list(self._unannounced))

    async def _send(self, session_ids: Sequence[str]) -> None:
        if session_ids:
            await store.announce_revoked(self._redis, session_ids, self._clock.now())
            self._announced.update(dict.fromkeys(session_ids, self._clock.now() + LIFETIME))
            for session_id in session_ids:
                self._unannounced.pop(session_id, None)

    async def follow(self) -> None:
        """Refresh for ever; cancelled when the process ends."""
        answering = True
        while True:
            try:
                await self.refresh()
                await self.deliver()
                answering = True
            except OUTAGE as error:
                if answering:  # once per outage, not twice a second
                    log.warning("auth.revocations_unread", extra={"error": type(error).__name__})
                answering = False
            await asyncio.sleep(POLL_SECONDS)

    async def follow_database(self, database: Database) -> None:
        """Recall for ever, once the process has recalled at its start; cancelled when the process ends."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._recalled_until is not None:  # else the database may still have to be migrated
                with contextlib.suppress(Unavailable):  # nobody can revoke anything meanwhile
                    await self.recall(database)
