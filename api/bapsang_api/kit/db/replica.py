"""Reading from a replica: what may lag goes there, unless the caller has just written or the replica does not answer.

Who has just written is known from the change feed, by the user: it holds on every replica of this service and on every device,
also for clients that keep no cookies. A process that does not know all writes of the last seconds reads from the writer for
whoever has a token.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bapsang_api.kit.context import current_user_id
from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database, PoolUsage
from bapsang_api.kit.db.errors import OUT_OF_TIME, code_of
from bapsang_api.kit.problem import Unavailable

T = TypeVar("T")
log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 1  # the writer is there, so there is no point in waiting


class _UnansweredError(Exception):
    """The replica did not answer, or not as the writer would."""


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
        limits: Limits,
        circuit: Circuit | None = None,
    ) -> None:
        super().__init__(url, limits)
        connect_seconds = min(CONNECT_SECONDS, limits.connect_seconds)
        self._replica = Database(reader_url, limits.replace(connect_seconds=connect_seconds), server="reader")
        self.wrote_recently: Callable[[str], bool] = lambda _: True  # of a user, as the change feed knows
        self._circuit = circuit or Circuit()
        self._fallbacks = 0

    async def read_lagging(self, work: Callable[[Connection], T]) -> T:
        if self._must_be_current() or not self._circuit.admit():
            return await self.read(work)
        return await self._ask(work)

    async def find_lagging(self, work: Callable[[Connection], T | None]) -> T | None:
        found = await self.read_lagging(work)
        # A link may be faster than the replica: what is not there yet is looked for where it was written.
        return await self.read(work) if found is None else found

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

    def _must_be_current(self) -> bool:
        user_id = current_user_id()
        return user_id is not None and self.wrote_recently(user_id)

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
