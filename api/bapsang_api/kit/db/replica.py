"""Reading from a replica: what may lag goes there, unless the caller has just written or the replica does not answer.

That somebody has just written stands in Redis, under the user: it holds on every replica of this service and on every
device, also for clients that keep no cookies. It costs one command a read with a token, and only where there is a
replica; readers without a token cause none and are never sent to the writer. Without Redis nobody knows who has written,
so whoever has a token reads from the writer.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from redis.asyncio import Redis
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bapsang_api.kit.caller import current_user_id
from bapsang_api.kit.changes import Changes
from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database, PoolUsage
from bapsang_api.kit.db.errors import OUT_OF_TIME, code_of
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.client import OUTAGE

T = TypeVar("T")
log = logging.getLogger(__name__)

# Far above the lag of a replica that is well, so nobody misses their own post; alert on a lag near it.
PIN_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 1  # the writer is there, so there is no point in waiting


class _UnansweredError(Exception):
    """The replica did not answer, or not as the writer would."""


class Pins:
    """Who has written within the last seconds and so must not read from the replica."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def put(self, user_id: str) -> None:
        """Remember it. Never fails: what was written is written, and without Redis everybody reads from the writer."""
        with after_commit("db.pin_failed"):
            await self._redis.set(_key(user_id), "1", px=int(PIN_SECONDS * 1000))

    async def hold(self, user_id: str) -> bool:
        try:
            return bool(await self._redis.exists(_key(user_id)))
        except OUTAGE:
            return True


class Circuit:
    """Whether the replica is asked at all. After a failure it is left alone, then one caller tries."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._until: float | None = None
        self.failures = 0

    @property
    def closed(self) -> bool:
        return self._until is None

    def admit(self) -> bool:
        """Return whether to ask; while the replica is down True once every RETRY_SECONDS."""
        if self._until is None:
            return True
        if self._timer() < self._until:
            return False
        self._until = self._timer() + RETRY_SECONDS  # this caller tries, the others go on without
        return True

    def fail(self) -> None:
        self.failures += 1
        self._until = self._timer() + RETRY_SECONDS

    def succeed(self) -> None:
        self._until = None


class ReplicatedDatabase(Database):
    """A writer and a replica of it. What is not said to bear a lag is read from the writer."""

    lags = True

    def __init__(
        self,
        url: str,
        reader_url: str,
        pins: Pins,
        limits: Limits,
        circuit: Circuit | None = None,
        changes: Changes | None = None,
    ) -> None:
        super().__init__(url, limits, changes=changes)
        connect_seconds = min(CONNECT_SECONDS, limits.connect_seconds)
        self._replica = Database(reader_url, limits.replace(connect_seconds=connect_seconds), server="reader")
        self._pins = pins
        self._circuit = circuit or Circuit()
        self._fallbacks = 0

    async def read_lagging(self, work: Callable[[Connection], T]) -> T:
        if await self._must_be_current() or not self._circuit.admit():
            return await self.read(work)
        return await self._ask(work)

    async def find_lagging(self, work: Callable[[Connection], T | None]) -> T | None:
        found = await self.read_lagging(work)
        # A link may be faster than the replica: what is not there yet is looked for where it was written.
        return await self.read(work) if found is None else found

    async def write(self, work: Callable[[Connection], T]) -> T:
        written = await super().write(work)
        if user_id := current_user_id():
            await self._pins.put(user_id)
        return written

    def servers(self) -> list[Database]:
        return [*super().servers(), *self._replica.servers()]

    def usage(self) -> list[PoolUsage]:
        return [*super().usage(), *self._replica.usage()]

    @property
    def replica_up(self) -> bool:
        return self._circuit.closed

    @property
    def fallbacks(self) -> int:
        """How many reads the writer took over since the start because the replica could not answer them."""
        return self._fallbacks

    async def close(self) -> None:
        await self._replica.close()
        await super().close()

    async def _must_be_current(self) -> bool:
        user_id = current_user_id()
        return user_id is not None and await self._pins.hold(user_id)

    async def _ask(self, work: Callable[[Connection], T]) -> T:
        try:
            return await self._replica.run(partial(self._asking, work, self._circuit.failures))
        except _UnansweredError:
            self._fallbacks += 1
            return await self.read(work)

    def _asking(self, work: Callable[[Connection], T], failures: int) -> T:
        # Those who wait behind a caller that found the replica down must not find it out one after the other.
        if self._circuit.failures != failures:
            raise _UnansweredError
        try:
            found = self._replica.reading(work)
        except Unavailable as error:
            cause = error.__cause__
            if isinstance(cause, DBAPIError) and code_of(cause) == OUT_OF_TIME:
                raise  # too slow here is too slow there; the writer has better things to do
            self._circuit.fail()
            log.warning("db.replica_down", extra={"code": code_of(cause) if isinstance(cause, DBAPIError) else 0})
            raise _UnansweredError from error
        except DBAPIError as error:
            # The schema may lag as well: a column that a migration has just added. A bug fails at the writer, too.
            raise _UnansweredError from error
        self._circuit.succeed()
        return found


def _key(user_id: str) -> str:
    return f"db:wrote:{user_id}"
