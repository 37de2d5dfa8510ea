"""MySQL databases for tests: without tables, or with the current schema and no rows."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from bapsang_api.migrate import migrate

_KEPT = "alembic_version"
# Making ready for TLS takes longer than all else here.
_PLAIN: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "connect_args": {"ssl_disabled": True}}


@contextlib.contextmanager
def connected(url: str, **options: Any) -> Iterator[Connection]:
    """Connect for once, with SQLAlchemy's options for an engine; nothing stays open afterwards."""
    engine = create_engine(url, **options)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextlib.contextmanager
def standing_still(url: str, *tables: str) -> Iterator[None]:
    """Let every statement on these tables wait."""
    with connected(url, isolation_level="AUTOCOMMIT") as holder:
        holder.execute(text(f"LOCK TABLES {', '.join(f'{table} WRITE' for table in tables)}"))
        try:
            yield
        finally:
            holder.execute(text("UNLOCK TABLES"))


@contextlib.contextmanager
def mysql_database(server_url: str, name: str) -> Iterator[str]:
    """Create a database without tables and drop it afterwards; yields its URL."""
    with connected(server_url, **_PLAIN) as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        url = make_url(server_url).set(database=name, query={"charset": "utf8mb4"})
        yield url.render_as_string(hide_password=False)
    finally:
        with connected(server_url, **_PLAIN) as connection:
            connection.execute(text(f"DROP DATABASE {name}"))


class MigratedDatabases:
    """One database with the current schema, emptied between tests: all migrations take a second, emptying takes a tenth."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._kept = contextlib.ExitStack()
        self._url = ""
        self._schema: object = None

    @contextlib.contextmanager
    def lent(self) -> Iterator[str]:
        """Yield the URL of a database without rows."""
        if not self._url:
            self._url = self._kept.enter_context(
                mysql_database(self._server_url, f"bapsang_test_{secrets.token_hex(4)}")
            )
            migrate(self._url)
            with connected(self._url, **_PLAIN) as connection:
                self._schema = _schema(connection)
        try:
            yield self._url
        finally:
            with connected(self._url, **_PLAIN) as connection:
                _end_others(connection)
                changed = _schema(connection) != self._schema
                if not changed:
                    _empty(connection)
            if changed:  # the test took the schema apart
                self.close()

    def close(self) -> None:
        self._url = ""
        self._kept.close()


def _end_others(connection: Connection) -> None:
    """End the connections that processes killed by the test have left: they may hold locks."""
    mine = connection.execute(text("SELECT CONNECTION_ID()")).scalar()
    others = text("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> :mine")
    for number in connection.execute(others, {"mine": mine}).scalars().all():
        with contextlib.suppress(OperationalError):  # it ended by itself meanwhile
            connection.execute(text(f"KILL {number}"))


def _schema(connection: Connection) -> object:
    columns = (
        "SELECT table_name, column_name, column_type FROM information_schema.columns WHERE table_schema = DATABASE()"
    )
    return [tuple(row) for row in connection.execute(text(f"{columns} ORDER BY 1, 2")).all()]


def _empty(connection: Connection) -> None:
    tables = [name for name in connection.execute(text("SHOW TABLES")).scalars().all() if name != _KEPT]
    filled = " UNION ALL ".join(f"(SELECT '{name}' FROM {name} LIMIT 1)" for name in tables)  # noqa: S608 - MySQL's own names
    # A full-text index is made anew with its table, and takes this from the session, as in the migration.
    connection.execute(text("SET SESSION foreign_key_checks = 0, innodb_ft_enable_stopword = OFF"))
    for name in connection.execute(text(filled)).scalars().all():
        connection.execute(text(f"TRUNCATE TABLE {name}"))  # and numbers start from 1 again
