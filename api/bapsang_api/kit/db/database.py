"""The database: the only way from an async endpoint to SQL, and the only place that knows how a connection fails."""

import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar, cast

from sqlalchemy import Connection, Engine, QueuePool, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bapsang_api.kit.context import current_user_id
from bapsang_api.kit.db.connections import DEFAULT_LIMITS, Limits, open_engine, take_mysql_lock
from bapsang_api.kit.db.errors import RETRY_WRITE, code_of, reraise
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.threads import BoundedPool

T = TypeVar("T")
log = logging.getLogger(__name__)

_NOTES: Final = "changes"
Publish = Callable[[Collection[str]], Awaitable[None]]


def note(connection: Connection, *names: str) -> None:
    """Note in a transaction what it changes: ids of rows that the read model shows, or the name of a list."""
    connection.info.setdefault(_NOTES, set()).update(names)


def take_notes(connection: Connection) -> Collection[str]:
    """Return what was noted on a connection since this was called last."""
    notes: set[str] = connection.info.pop(_NOTES, set())
    return notes


def written_by(user_id: str) -> str:
    """Return the name under which the writes of a user are reported."""
    return f"by:{user_id}"


@dataclass(frozen=True)
class PoolUsage:
    """How a process uses one server right now. `refused` counts from its start."""

    server: str
    size: int
    in_use: int
    idle: int
    waiting: int
    refused: int


class Database:
    """A connection pool and the thread pool of the same size that uses it."""

    lags = False  # whether `read_lagging` may answer as of a moment ago

    def __init__(self, url: str, limits: Limits = DEFAULT_LIMITS, *, server: str = "writer") -> None:
        self.engine = open_engine(url, limits)
        self.dialect = self.engine.dialect.name
        self._reading = self.engine.execution_options(reads=True)
        self._writing = self.engine.execution_options(sqlite_begin="IMMEDIATE")
        self._name = make_url(url).database or ""
        self._local_locks: dict[str, threading.Lock] = {}
        self._limits, self.server = limits, server
        self.publish: Publish | None = None  # receives what each write notes, after its commit
        self._pool = BoundedPool(
            f"db-{server}",
            threads=limits.connections,
            queue=limits.queue,
            queue_seconds=limits.queue_seconds,
            seconds=limits.request_seconds,
        )

    async def run(self, job: Callable[[], T]) -> T:
        """Run a blocking job on the database's threads, the one hop of a request. Raises Unavailable on overload."""
        return await self._pool.run(job)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads, as it stands in the writer.

        For whatever decides something: who may do what, what is free, what is revoked, what Redis is filled with. A
        connection that was lost while idle is replaced once, unseen by the caller. Raises Unavailable when the database does not answer.
        """
        return await self.run(partial(self.reading, work))

    async def read_lagging(self, work: Callable[[Connection], T]) -> T:
        """Like read, for what is only shown: a replica, where there is one, may answer as of a moment ago.

        Whoever has just written still sees it. Without a replica this is read.
        """
        return await self.read(work)

    async def find_lagging(self, work: Callable[[Connection], T | None]) -> T | None:
        """Like read_lagging, for one thing by its name: None only when the writer has none either."""
        return await self.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns after its transaction is committed; roll back on any error.

        `work` may run twice (deadlock), so it must have no effect outside of its transaction. A connection lost in a
        write is not retried: nobody knows whether the commit arrived. Raises Unavailable when the database does not
        answer.
        """
        return await self.write_on(self._writing, work, current_user_id())

    async def write_on(
        self, bind: Engine | Connection, work: Callable[[Connection], T], user_id: str | None = None
    ) -> T:
        """Like write, on a connection of the caller's; `user_id`: of whom the change is, None for that of a job."""
        notes: set[str] = set()

        def noting(connection: Connection) -> T:
            take_notes(connection)  # of a transaction before this one that failed
            written = work(connection)
            notes.clear()  # of an attempt before this one
            notes.update(take_notes(connection))
            return written

        written = await self.run(partial(self._in_transaction, bind, noting))
        if user_id is not None:
            notes.add(written_by(user_id))
        if notes and self.publish is not None:
            await self.publish(notes)
        return written

    @asynccontextmanager
    async def exclusive(self, name: str) -> AsyncIterator["Lane | None"]:
        """Yield a connection that alone holds the lock `name`, or None when another process holds it.

        The lock belongs to the connection that writes (MySQL GET_LOCK): whoever loses the lock has lost the connection
        with it and cannot write any more. On SQLite the lock is local to this object, because its Redis is too.
        """
        connection = await self.run(partial(self._lock, name))
        if connection is None:
            yield None
            return
        try:
            yield Lane(self, connection)
        finally:
            await self.run(partial(self._unlock, name, connection))

    def servers(self) -> "list[Database]":
        """Return each server by itself, first the writer."""
        return [self]

    def usage(self) -> list[PoolUsage]:
        """Return how the connections of each server are used."""
        pool = cast(QueuePool, self.engine.pool)
        return [
            PoolUsage(
                self.server,
                self._limits.connections,
                pool.checkedout(),
                pool.checkedin(),
                self._pool.waiting,
                self._pool.refused,
            )
        ]

    async def close(self) -> None:
        await self._pool.close()
        self.engine.dispose()

    def reading(self, work: Callable[[Connection], T]) -> T:
        """Like read, on a thread of the caller's."""
        try:
            with self._reading.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            if not error.connection_invalidated:
                reraise(error)
            log.info("db.read_retried", extra={"code": code_of(error)})
        return self._in_transaction(self._reading, work)

    def _in_transaction(self, bind: Engine | Connection, work: Callable[[Connection], T]) -> T:
        try:
            return self._once(bind, work)
        except DBAPIError as error:
            if code_of(error) not in RETRY_WRITE:
                reraise(error)
            log.info("db.write_retried", extra={"code": code_of(error)})
        except PoolTimeout as error:
            raise Unavailable from error
        try:
            return self._once(bind, work)
        except DBAPIError as error:
            reraise(error)

    @staticmethod
    def _once(bind: Engine | Connection, work: Callable[[Connection], T]) -> T:
        if isinstance(bind, Engine):
            with bind.begin() as connection:
                return work(connection)
        with bind.begin():
            return work(bind)

    def _lock(self, name: str) -> Connection | None:
        if self.dialect != "mysql":
            lock = self._local_locks.setdefault(name, threading.Lock())
            return self._writing.connect() if lock.acquire(blocking=False) else None
        try:
            return take_mysql_lock(self._writing, f"{self._name}:{name}", wait_seconds=0)
        except DBAPIError as error:
            reraise(error)

    def _unlock(self, name: str, connection: Connection) -> None:
        connection.close()  # detached from the pool on MySQL: closing ends the session, and the lock with it
        if lock := self._local_locks.get(name):
            lock.release()


class Lane:
    """Transactions on the one connection that holds a lock. It never reconnects: see `Database.exclusive`."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._connection = connection

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Like Database.write, on this connection. Raises Unavailable once it is lost, and the lock with it."""
        if self._connection.invalidated:
            raise Unavailable  # used again it would reconnect, and write without the lock
        return await self._database.write_on(self._connection, work)
