"""`bapsang-api migrate`: bring the database's schema to the current revision, one run at a time."""

import logging
import re
import sqlite3
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from bapsang_api import endings
from bapsang_api.endings import Code, Ending, EndingError
from bapsang_api.kit import tls
from bapsang_api.kit.db.connections import Limits, open_engine, take_mysql_lock
from bapsang_api.kit.db.errors import code_of
from bapsang_api.kit.logs import describe

log = logging.getLogger(__name__)

LOCK: Final = "migrate"
_FILE: Final = re.compile(r"r([0-9]{4})_\w+\.py")
_FORM: Final = re.compile(r"[0-9]{4}")
_NO_SUCH_TABLE: Final = frozenset({1146, sqlite3.SQLITE_ERROR})
# A statement may rebuild a large table; waiting for the table's lock may not, because readers queue up behind it: they
# wait for 3 s (kit.db.Limits.lock_seconds), so a migration that meets a long transaction gives up before they do.
STATEMENT_SECONDS: Final = 3600
LOCK_WAIT_SECONDS: Final = 2
_PAUSE_SECONDS: Final = 0.5


class MigrationError(EndingError):
    """The schema could not be brought up to date; the text says why."""


def migrate(database_url: str, *, wait_seconds: float = 0.0, sleep: Callable[[float], None] = time.sleep) -> str:
    """Apply what is missing and return the schema's revision. A schema newer than this program is left as it is.

    Waits up to `wait_seconds` for the database to answer and for another run to finish. Raises MigrationError.
    """
    deadline = time.monotonic() + wait_seconds
    engine = open_engine(database_url, Limits(connections=1, statement_seconds=STATEMENT_SECONDS))
    try:
        connection = _connect(engine, deadline, sleep)
        with connection:
            return _upgrade(connection)
    except DBAPIError as error:
        raise MigrationError(endings.of(error), describe(error)) from error
    finally:
        engine.dispose()


def _connect(engine: Engine, deadline: float, sleep: Callable[[float], None]) -> Connection:
    """Return a connection that holds the migration lock: two Jobs never change the schema at once."""
    last, ending = "another migration is running", Ending(Code.DATABASE_BUSY)
    waited = False
    while True:
        try:
            if engine.dialect.name != "mysql":
                return engine.connect()  # SQLite serves one process; its own file lock is enough
            remaining = max(0, int(deadline - time.monotonic()))
            connection = take_mysql_lock(engine, f"{engine.url.database}:{LOCK}", wait_seconds=remaining)
            if connection is not None:
                return connection
        except DBAPIError as error:
            if tls.refusal_in(error) is not None:
                raise  # waiting gives no server another certificate
            last, ending = describe(error), endings.of(error)
        if time.monotonic() >= deadline:
            raise MigrationError(ending, f"gave up waiting: {last}")
        if not waited:
            log.info("migrate.waiting", extra={"reason": last})
        waited = True
        sleep(_PAUSE_SECONDS)


def _upgrade(connection: Connection) -> str:
    # Here and not above: who serves needs none of it, and it takes 11 MiB.
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "mysql":
        connection.execute(
            text(f"SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}, innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}")
        )
    before = _revision(connection)
    log.info("migrate.started", extra={"revision": before})
    config = Config()
    config.set_main_option("script_location", str(files("bapsang_api").joinpath("migrations")))
    if before is not None and before not in revisions():
        if not _is_newer(before):
            raise MigrationError(
                Ending(Code.SCHEMA_FOREIGN),
                f"the database is another program's: its revision {before!r} is none of ours; give a database of its own",
            )
        # This image is older than the schema: a rollback. Migrations only ever add what the older code does not mind.
        log.warning("migrate.schema_is_newer", extra={"revision": before})
        return before
    config.attributes["connection"] = connection
    config.attributes["on_version_apply"] = _report
    command.upgrade(config, "head")
    connection.commit()
    after = _revision(connection) or ""
    log.info("migrate.done", extra={"revision": after, "changed": before != after})
    return after


def revisions() -> frozenset[str]:
    """Return the revisions that this program knows, by the names of their files: a server has no use for Alembic."""
    folder = files("bapsang_api").joinpath("migrations", "versions")
    return frozenset(found[1] for file in folder.iterdir() if (found := _FILE.fullmatch(file.name)))


def is_behind(connection: Connection) -> bool:
    """Tell whether the database lacks a revision that this program needs. A newer schema does not: migrations only add.

    Another program's does. Alembic's table has the same name there, and with it every request was answered 500.
    """
    try:
        applied = set(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
    except DBAPIError as error:
        if code_of(error) not in _NO_SUCH_TABLE:
            raise
        return True
    newest = max(revisions())
    return not applied or not all(revision == newest or _is_newer(revision) for revision in applied)


def _is_newer(revision: str) -> bool:
    """Whether it can be of a later version of this program, by the form and the order of its revisions."""
    return _FORM.fullmatch(revision) is not None and revision > max(revisions())


def _revision(connection: Connection) -> str | None:
    """Return the schema's revision; where another program has applied several, their names in a row."""
    from alembic.runtime.migration import MigrationContext

    revision = " ".join(MigrationContext.configure(connection).get_current_heads())
    connection.commit()
    return revision or None


def _report(*, step: Any, **_: Any) -> None:
    log.info("migrate.applied", extra={"revision": step.up_revision_id, "purpose": step.up_revision.doc})
