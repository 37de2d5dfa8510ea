"""Connections to MySQL and SQLite: opened with time-outs on everything, and how transactions begin and end on them."""

import sqlite3
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Final

import pymysql.connections
from pymysql.constants import SERVER_STATUS
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

from bapsang_api.kit import tls

# Below the 8 hours after which MySQL closes an idle connection, and often enough to find a writer that moved.
RECYCLE_SECONDS: Final = 1800
# A session with a lock ends when it has asked nothing for so long. MySQL keeps that of a lost node for eight hours (wait_timeout),
# and with it the lock. Longer than whoever holds one waits for Redis between two statements.
LOCK_IDLE_SECONDS: Final = 110


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


DEFAULT_LIMITS: Final = Limits()
#: The setting that says what a database is verified by.
DATABASE_CA: Final = "BAPSANG_DATABASE_TLS_CA"


def open_engine(url: str, limits: Limits = DEFAULT_LIMITS) -> Engine:
    """Return an engine with time-outs on everything. `url` is `mysql+pymysql://…` or `sqlite:///file`.

    With `tls.OPTION` in it the server is verified, before it is told a user or a password.
    """
    given = make_url(url)
    # hide_parameters: errors must not carry e-mails or hashes into a log.
    if given.get_backend_name() == "sqlite":
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
        given.difference_update_query([tls.OPTION]),
        pool_size=limits.connections,
        max_overflow=0,
        pool_timeout=limits.statement_seconds,
        pool_recycle=RECYCLE_SECONDS,
        hide_parameters=True,
        connect_args={
            **_verified(given.query.get(tls.OPTION)),
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
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "begin", _begin_mysql)
    for name in ("do_commit", "do_rollback"):
        setattr(engine.dialect, name, partial(_end_mysql, getattr(engine.dialect, name)))
    return engine


def take_mysql_lock(engine: Engine, name: str, *, wait_seconds: int) -> Connection | None:
    """Return a connection, no longer the pool's, that holds the server-wide lock; None when it is taken."""
    connection = engine.connect()
    connection.detach()
    connection.execute(text(f"SET SESSION wait_timeout = {LOCK_IDLE_SECONDS}"))
    locked = connection.execute(
        text("SELECT GET_LOCK(:name, :wait)"), {"name": name[-64:], "wait": wait_seconds}
    ).scalar()
    connection.commit()
    if locked == 1:
        return connection
    connection.close()
    return None


def _verified(ca: str | tuple[str, ...] | None) -> dict[str, ssl.SSLContext]:
    # With a context of its own the driver ends a connection to a server that offers no TLS before it has sent anything.
    return {} if ca is None else {"ssl": tls.verifying(str(ca))}


class _Connection(pymysql.connections.Connection):
    """A connection that shares what TLS needs with all others.

    Where no certificate authority is given none is asked, but PyMySQL reads all that the machine trusts, for each connection
    anew: 70 ms of the processor and a megabyte.
    """

    def _create_ssl_ctx(self, sslp: object) -> ssl.SSLContext:
        made: ssl.SSLContext = super()._create_ssl_ctx(sslp) if sslp else _unverified()  # type: ignore[misc]
        return made


@lru_cache(maxsize=1)
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _connect(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> _Connection:
    try:
        return _Connection(**options)
    except pymysql.err.OperationalError as error:
        raise error from tls.refused(error, DATABASE_CA)


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
