"""Which login sessions are revoked, as this process knows it.

Every process reads new entries of one Redis stream twice a second, so a revocation is effective on every replica within
a second while a request pays for it with one look-up in memory instead of a round trip. While Redis does not answer,
what is known stays in force and no new revocation can be promised: logout itself answers 503 then.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Final

from redis.asyncio import Redis

from bapsang_api.auth import store
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.redis import OUTAGE
from bapsang_api.kit.tokens import LIFETIME

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5


class RevokedSessions:
    """The revoked sessions whose access tokens may still be unexpired."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis, self._clock = redis, clock
        self._until: dict[str, datetime] = {}
        self._last_id: str | None = None

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._until

    async def announce(self, *session_ids: str) -> None:
        """Revoke sessions here at once and everywhere within a second. Raises Redis errors."""
        if not session_ids:
            return
        now = self._clock.now()
        await store.announce_revoked(self._redis, session_ids, now)
        self._until.update(dict.fromkeys(session_ids, now + LIFETIME))

    async def refresh(self) -> None:
        """Read what was announced since the last time, and forget what has expired by itself."""
        now = self._clock.now()
        for entry_id, session_id in await store.revoked_after(self._redis, self._last_id):
            self._last_id = entry_id
            self._until[session_id] = now + LIFETIME + timedelta(seconds=POLL_SECONDS)
        # In order of insertion, so the first that lives on ends the search.
        for session_id, until in list(self._until.items()):
            if until > now:
                break
            del self._until[session_id]

    async def follow(self) -> None:
        """Refresh for ever; cancelled when the process ends."""
        answering = True
        while True:
            try:
                await self.refresh()
                answering = True
            except OUTAGE as error:
                if answering:  # once per outage, not twice a second
                    log.warning("auth.revocations_unread", extra={"error": type(error).__name__})
                answering = False
            await asyncio.sleep(POLL_SECONDS)
