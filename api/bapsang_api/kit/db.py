"""The database: the only way from an async endpoint to SQL, and the only place that knows how a connection fails."""

import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import pymysql
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.threads import BoundedPool

T = TypeVar("T")
log = logging.getLogger(__name__)

POOL_SIZE = 8
QUEUE = 64
QUEUE_SECONDS = 2  # a free thread takes milliseconds; longer means that the database does not keep up
CONNECT_SECONDS = 3
# Rolled back as a whole by the server, so the transaction may be tried again: deadlock, lock wait timeout.
_RETRY_WRITE: Final = frozenset({1205, 1213})
# What passes without a change of the program: cannot connect, gone away, lost, too many connections, shutting down,
# access denied or unknown database (a rotated password, a server still being set up), read-only (a failover), query out
# of time. fmt: off
_OUTAGE: Final = _RETRY_WRITE | frozenset(
    {
        1040,
        1042,
        1044,
        1045,
        1049,
        1053,
        1158,
        1159,
        1160,
        1161,
        1203,
        1290,
        1317,
        1836,
        2002,
        2003,
        2006,
        2013,
        2055,
        3024,
        3169,
        4031,
    }
)
# fmt: on
_SQLITE_OUTAGE: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN})


class Database:
    """A connection pool and the thread pool of the same size that uses it."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE, statement_seconds: int = 5) -> None:
        self.engine = open_engine(url, pool_size=pool_size, statement_seconds=statement_seconds)
        self.dialect = self.engine.dialect.name
        self._writing = self.engine.execution_options(sqlite_begin="IMMEDIATE")
        self._name = make_url(url).database or ""
        self._local_locks: dict[str, threading.Lock] = {}
        self._pool = BoundedPool(
            "db",
            threads=pool_size,
            queue=QUEUE,
            queue_seconds=QUEUE_SECONDS,
            seconds=CONNECT_SECONDS + 2 * float(statement_seconds),
        )

    async def run(self, job: Callable[[], T]) -> T:
        """Run a blocking job on the database's threads, the one hop of a request. Raises Unavailable on overload."""
        return await self._pool.run(job)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Return what `work` reads. A connection that was lost while idle is replaced once, unseen by the caller.

        Raises Unavailable when the database does not answer.
        """
        return await self.run(partial(self._reading, work))

    async def write(self, work: Callable[[Session], T]) -> T:
        """Return what `work` returns after its transaction is committed; roll back on any error.

        `work` may run twice (deadlock), so it must have no effect outside of its transaction. A connection lost in a
        write is not retried: nobody knows whether the commit arrived. Raises Unavailable when the database does not
        answer.
        """
        return await self.run(partial(self._in_transaction, self._writing, work))

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

    def close(self) -> None:
        self._pool.close()
        self.engine.dispose()

    def _reading(self, work: Callable[[Session], T]) -> T:
        try:
            return self._once(self.engine, work)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise _translated(error) from error
            log.info("db.read_retried", extra={"code": _code(error)})
        return self._in_transaction(self.engine, work)

    def _in_transaction(self, bind: Engine | Connection, work: Callable[[Session], T]) -> T:
        try:
            return self._once(bind, work)
        except DBAPIError as error:
            if _code(error) not in _RETRY_WRITE:
                raise _translated(error) from error
            log.info("db.write_retried", extra={"code": _code(error)})
        except PoolTimeout as error:
            raise Unavailable from error
        try:
            return self._once(bind, work)
        except DBAPIError as error:
            raise _translated(error) from error

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
            raise _translated(error) from error

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


def open_engine(url: str, *, pool_size: int, statement_seconds: int) -> Engine:
    """Return an engine with time-outs on everything. `url` is `mysql+pymysql://…` or `sqlite:///file`."""
    # hide_parameters: errors must not carry e-mails or hashes into a log.
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "timeout": statement_seconds, "isolation_level": None},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=statement_seconds,
        pool_recycle=1800,
        isolation_level="READ COMMITTED",  # no gap locks: fewer deadlocks, and a locked row is always the latest
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": statement_seconds,
            "write_timeout": statement_seconds,
            "init_command": "SET SESSION time_zone = '+00:00', "
            f"innodb_lock_wait_timeout = {max(1, statement_seconds - 2)}, lock_wait_timeout = {statement_seconds}, "
            f"max_execution_time = {statement_seconds * 1000}",
        },
    )


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


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE for writers: a transaction that reads first and then writes would otherwise fail instead of wait.
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _code(error: DBAPIError) -> int:
    """Return MySQL's error number or SQLite's primary result code, 0 when there is none."""
    original: Any = error.orig
    if isinstance(original, sqlite3.Error):
        return int(getattr(original, "sqlite_errorcode", 0)) & 0xFF
    if isinstance(original, pymysql.err.Error) and original.args and isinstance(original.args[0], int):
        return original.args[0]
    return 0


def _translated(error: DBAPIError) -> Exception:
    """Return Unavailable for an outage, the error itself for what is a bug or a constraint."""
    if isinstance(error.orig, sqlite3.Error):
        return Unavailable() if _code(error) in _SQLITE_OUTAGE else error
    known = isinstance(error, OperationalError) and _code(error) in _OUTAGE
    return Unavailable() if known or error.connection_invalidated else error
