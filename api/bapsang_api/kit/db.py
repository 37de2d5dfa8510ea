"""The database: the only way from an async endpoint to SQL, and the only place that knows how a connection fails."""

import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar, cast

from pymysql.constants import SERVER_STATUS
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from bapsang_api.kit.changes import Changes, noted
from bapsang_api.kit.dberrors import RETRY_WRITE, code_of, translated
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.threads import BoundedPool

T = TypeVar("T")
log = logging.getLogger(__name__)

# Below the 8 hours after which MySQL closes an idle connection, and often enough to find a writer that moved.
RECYCLE_SECONDS: Final = 1800


@dataclass(frozen=True)
class Limits:
    """How much of a server one process may take, and how long it waits.

    All processes together must fit the server's `max_connections`: docs/database.md has the formula.
    """

    connections: int = 8
    queue: int = 256  # requests that may wait for a connection; one more is answered 503
    connect_seconds: int = 3
    statement_seconds: int = 5
    queue_seconds: int = 5  # that a request may wait for a connection: longer means that the database does not keep up

    @property
    def lock_seconds(self) -> int:
        """Waiting for a row or a table ends before the statement does, so that it is reported as what it is and tried again."""
        return max(1, self.statement_seconds - 2)

    @property
    def request_seconds(self) -> float:
        """What a caller waits at most, queue included: a new connection and one repetition."""
        return self.connect_seconds + 2.0 * (self.statement_seconds + 1)

    def replace(self, **changes: int) -> "Limits":
        return replace(self, **changes)


@dataclass(frozen=True)
class PoolUsage:
    """How a process uses one server right now. `refused` counts from its start."""

    server: str
    size: int
    in_use: int
    idle: int
    waiting: int
    refused: int


DEFAULT_LIMITS: Final = Limits()


class Database:
    """A connection pool and the thread pool of the same size that uses it."""

    lags = False  # whether `read_lagging` may answer as of a moment ago

    def __init__(
        self, url: str, limits: Limits = DEFAULT_LIMITS, *, server: str = "writer", changes: Changes | None = None
    ) -> None:
        """`changes` is told what each write notes."""
        self.engine = open_engine(url, limits)
        self.dialect = self.engine.dialect.name
        self._reading = self.engine.execution_options(reads=True)
        self._writing = self.engine.execution_options(sqlite_begin="IMMEDIATE")
        self._name = make_url(url).database or ""
        self._local_locks: dict[str, threading.Lock] = {}
        self._limits, self._server, self._changes = limits, server, changes
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

    async def read(self, work: Callable[[Session], T]) -> T:
        """Return what `work` reads, as it stands in the writer.

        For whatever decides something: who may do what, what is free, what is revoked, what Redis is filled with. A
        connection that was lost while idle is replaced once, unseen by the caller. Raises Unavailable when the database does not answer.
        """
        return await self.run(partial(self.reading, work))

    async def read_lagging(self, work: Callable[[Session], T]) -> T:
        """Like read, for what is only shown: a replica, where there is one, may answer as of a moment ago.

        Whoever has just written still sees it. Without a replica this is read.
        """
        return await self.read(work)

    async def find_lagging(self, work: Callable[[Session], T | None]) -> T | None:
        """Like read_lagging, for one thing by its name: None only when the writer has none either."""
        return await self.read(work)

    async def write(self, work: Callable[[Session], T]) -> T:
        """Return what `work` returns after its transaction is committed; roll back on any error.

        `work` may run twice (deadlock), so it must have no effect outside of its transaction. A connection lost in a
        write is not retried: nobody knows whether the commit arrived. Raises Unavailable when the database does not
        answer.
        """
        notes: set[str] = set()

        def noting(session: Session) -> T:
            written = work(session)
            notes.clear()  # of an attempt before this one
            notes.update(noted(session))
            return written

        written = await self.run(partial(self._in_transaction, self._writing, noting))
        if notes and self._changes is not None:
            await self._changes.tell(notes)
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

    def usage(self) -> list[PoolUsage]:
        """Return how the connections of each server are used."""
        pool = cast(QueuePool, self.engine.pool)
        return [
            PoolUsage(
                self._server,
                self._limits.connections,
                pool.checkedout(),
                pool.checkedin(),
                self._pool.waiting,
                self._pool.refused,
            )
        ]

    def close(self) -> None:
        self._pool.close()
        self.engine.dispose()

    def reading(self, work: Callable[[Session], T]) -> T:
        """Like read, on a thread of the caller's."""
        try:
            return self._once(self._reading, work)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise translated(error) from error
            log.info("db.read_retried", extra={"code": code_of(error)})
        return self._in_transaction(self._reading, work)

    def _in_transaction(self, bind: Engine | Connection, work: Callable[[Session], T]) -> T:
        try:
            return self._once(bind, work)
        except DBAPIError as error:
            if code_of(error) not in RETRY_WRITE:
                raise translated(error) from error
            log.info("db.write_retried", extra={"code": code_of(error)})
        except PoolTimeout as error:
            raise Unavailable from error
        try:
            return self._once(bind, work)
        except DBAPIError as error:
            raise translated(error) from error

    @staticmethod
    def _once(bind: Engine | Connection, work: Callable[[Session], T]) -> T:
        with Session(bind, expire_on_commit=False) as session, session.begin():
            return work(session)

    def _lock(self, name: str) -> Connection | None:
        if self.dialect != "mysql":
            lock = self._local_locks.setdefault(name, threading.Lock())
            return self._writing.connect() if lock.acquire(blocking=False) else None
        try:
            return take_mysql_lock(self._writing, f"{self._name}:{name}", wait_seconds=0)
        except DBAPIError as error:
            raise translated(error) from error

    def _unlock(self, name: str, connection: Connection) -> None:
        connection.close()  # detached from the pool on MySQL: closing ends the session, and the lock with it
        if lock := self._local_locks.get(name):
            lock.release()


class Lane:
    """Transactions on the one connection that holds a lock. It never reconnects: see `Database.exclusive`."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._connection = connection

    async def write(self, work: Callable[[Session], T]) -> T:
        """Like Database.write, on this connection. Raises Unavailable once it is lost, and the lock with it."""
        if self._connection.invalidated:
            raise Unavailable  # used again it would reconnect, and write without the lock
        return await self._database.run(partial(self._database._in_transaction, self._connection, work))


def open_engine(url: str, limits: Limits = DEFAULT_LIMITS) -> Engine:
    """Return an engine with time-outs on everything. `url` is `mysql+pymysql://…` or `sqlite:///file`."""
    # hide_parameters: errors must not carry e-mails or hashes into a log.
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            pool_size=limits.connections,
            max_overflow=0,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "timeout": limits.statement_seconds, "isolation_level": None},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        url,
        pool_size=limits.connections,
        max_overflow=0,
        pool_timeout=limits.statement_seconds,
        pool_recycle=RECYCLE_SECONDS,
        hide_parameters=True,
        connect_args={
            "autocommit": True,  # between transactions; see _begin_mysql
            "connect_timeout": limits.connect_seconds,
            # One more than the server's own limit: its answer that time is up costs the statement, not the connection.
            "read_timeout": limits.statement_seconds + 1,
            "write_timeout": limits.statement_seconds + 1,
            # READ COMMITTED has no gap locks: fewer deadlocks, and a locked row is always the latest.
            "init_command": "SET SESSION time_zone = '+00:00', transaction_isolation = 'READ-COMMITTED', "
            f"innodb_lock_wait_timeout = {limits.lock_seconds}, lock_wait_timeout = {limits.lock_seconds}, "
            f"max_execution_time = {limits.statement_seconds * 1000}",
        },
    )
    event.listen(engine, "begin", _begin_mysql)
    for name in ("do_commit", "do_rollback"):
        setattr(engine.dialect, name, partial(_end_mysql, getattr(engine.dialect, name)))
    return engine


def take_mysql_lock(engine: Engine, name: str, *, wait_seconds: int) -> Connection | None:
    """Return a connection, no longer the pool's, that holds the server-wide lock; None when it is taken."""
    connection = engine.connect()
    connection.detach()
    locked = connection.execute(
        text("SELECT GET_LOCK(:name, :wait)"), {"name": name[-64:], "wait": wait_seconds}
    ).scalar()
    connection.commit()
    if locked == 1:
        return connection
    connection.close()
    return None


def _begin_mysql(connection: Connection) -> None:
    # What only reads needs no transaction: at READ COMMITTED each statement sees what is committed anyway. A commit, and the
    # roll-back with which a connection goes back to the pool, would be two more trips for each look-up.
    if not connection.get_execution_options().get("reads"):
        connection.exec_driver_sql("BEGIN")


def _end_mysql(end: Callable[[Any], None], connection: Any) -> None:
    """Commit or roll back if there is something to; `connection` is PyMySQL's. The server says so with every answer."""
    if connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
        end(connection)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE for writers: a transaction that reads first and then writes would otherwise fail instead of wait.
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
