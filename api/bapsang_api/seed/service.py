"""`bapsang-api seed`: plans on one thread while another sends, a block of posts with all that hangs on them at a time.

A run that is killed leaves whole blocks, whose counters are exact; it is not taken up again but started anew with
`--wipe`.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from sqlalchemy import Engine, Table, make_url

from bapsang_api.kit.db.connections import Limits, open_engine
from bapsang_api.kit.progress import Progress
from bapsang_api.seed import store
from bapsang_api.seed.plan import Block, Plan, Sizes, email

log = logging.getLogger(__name__)

# What everybody who is made up logs in with.
PASSWORD: Final = "Bapsang-2026!"  # noqa: S105
_STATEMENT_SECONDS: Final = 600
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class SeedError(Exception):
    """The database is left as it is; the text says why."""


def target_of(database_url: str) -> str:
    """Return what names a database without a secret: `host/name`, or the file."""
    url = make_url(database_url)
    return f"{url.host}/{url.database}" if url.host else str(url.database)


def require_meant(database_url: str, into: str | None) -> None:
    """Refuse a database on another machine unless it was named: raises SeedError.

    A command that was meant for the laptop does no harm in the shell of another cluster.
    """
    url, target = make_url(database_url), target_of(database_url)
    if into is not None and into != target:
        raise SeedError(f"--into {into}: BAPSANG_DATABASE_URL names {target}")
    if into is None and url.host is not None and url.host not in _LOCAL_HOSTS:
        raise SeedError(
            f"BAPSANG_DATABASE_URL names a database on another machine: give --into {target} if it is meant"
        )


class Seeder:
    """Fills one database."""

    def __init__(self, database_url: str, tables: Iterable[Table]) -> None:
        """`tables` are all there are, in the order of their foreign keys."""
        self._engine: Engine = open_engine(database_url, Limits(connections=2, statement_seconds=_STATEMENT_SECONDS))
        self._tables = list(tables)

    def close(self) -> None:
        self._engine.dispose()

    def require_empty(self) -> None:
        """Raise SeedError when there are users, or no tables."""
        with self._engine.connect() as connection:
            if not store.has_table(connection, "users"):
                raise SeedError("the database has no tables yet: run bapsang-api migrate first")
            count = store.count_users(connection)
        if count:
            raise SeedError(f"the database holds {count} users: give --append to add, or --wipe to lose them all")

    def wipe(self) -> None:
        """Empty every table."""
        with self._engine.connect() as connection:
            store.wipe(connection, self._tables)

    def fill(self, sizes: Sizes, password_hash: str) -> tuple[Progress, str]:
        """Insert everything; return how fast it went and somebody's e-mail. Raises DBAPIError when the database fails."""
        with self._engine.connect() as connection:
            offset = store.count_users(connection)
        progress = Progress(sizes.rows)
        self._send(Plan(sizes, password_hash, offset=offset), progress)
        progress.end()
        return progress, email(offset)

    def _send(self, plan: Plan, progress: Progress) -> None:
        with ExitStack() as stack:
            connection = stack.enter_context(self._engine.connect())
            connection.detach()  # what is prepared must not come back to a pool
            stack.callback(connection.close)
            store.prepare(connection)
            sender = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="seed"))
            sending: Future[None] | None = None
            last = Block()
            for block in plan.blocks():
                if sending is not None:
                    sending.result()
                    progress.add(last.size)
                sending, last = sender.submit(store.insert, connection, block.rows), block
            if sending is not None:
                sending.result()
                progress.add(last.size)
