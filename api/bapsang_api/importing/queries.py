"""Every SQL statement on the older server: read only, and only after its schema was found to be the one that is expected."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    TIMESTAMP,
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    and_,
    event,
    func,
    inspect,
    make_url,
    or_,
    select,
)
from sqlalchemy.exc import ArgumentError

from bapsang_api.importing.old import COLUMNS, KEYS, USERS, Key, OldSchemaError, Row, id_text
from bapsang_api.kit.db.connections import Limits, open_engine

_STATEMENT_SECONDS: Final = 600
_CHUNK: Final = 1_000


@dataclass(frozen=True)
class OldTable:
    """A table of the older server. `key`: its primary key's columns, in their order."""

    table: Table
    key: tuple[Column[Any], ...]
    columns: tuple[Column[Any], ...]
    # Columns that the server itself stores in UTC, whatever wrote them.
    utc: frozenset[str]


class OldDatabase:
    """The older server. Blocks; raises DBAPIError when it does not answer."""

    def __init__(self, url: str) -> None:
        """`url` is `mysql+pymysql://…`. Raises OldSchemaError for any other."""
        try:
            given = make_url(url)
        except ArgumentError as error:
            raise OldSchemaError("--from is no URL of a database") from error
        if given.get_backend_name() != "mysql" or not given.database:
            raise OldSchemaError("--from is no URL such as mysql+pymysql://user:password@host/name")
        given = given.set(drivername="mysql+pymysql").update_query_dict({"charset": "utf8mb4"})
        limits = Limits(connections=2, statement_seconds=_STATEMENT_SECONDS, connect_seconds=10)
        engine = open_engine(given.render_as_string(hide_password=False), limits)
        event.listen(engine, "connect", _read_only)
        self._engine: Engine = engine.execution_options(reads=True)
        self._tables: dict[str, OldTable] = {}

    def close(self) -> None:
        self._engine.dispose()

    def check(self) -> None:
        """Look at the schema. Raises OldSchemaError with all that is missing; what there is besides does not matter."""
        missing: list[str] = []
        with self._engine.connect() as connection:
            there = set(inspect(connection).get_table_names())
            for name in COLUMNS:
                if name not in there:
                    missing.append(f"table {name}")
                    continue
                missing += self._check_table(connection, name)
        if missing:
            raise OldSchemaError(f"the database of --from lacks: {', '.join(missing)}")

    def _check_table(self, connection: Connection, name: str) -> list[str]:
        inspector = inspect(connection)
        found = {column["name"]: column["type"] for column in inspector.get_columns(name)}
        lacks = [f"column {name}.{column}" for column in COLUMNS[name] if column not in found]
        key = inspector.get_pk_constraint(name)["constrained_columns"]
        if frozenset(key) != KEYS[name]:
            lacks.append(f"primary key ({', '.join(sorted(KEYS[name]))}) of {name}")
        if not lacks:
            table = Table(name, MetaData(), *(Column(column, found[column]) for column in COLUMNS[name]))
            utc = frozenset(column for column, kind in found.items() if isinstance(kind, TIMESTAMP))
            self._tables[name] = OldTable(table, tuple(table.c[column] for column in key), tuple(table.c), utc)
        return lacks

    def utc_columns(self, name: str) -> frozenset[str]:
        """Return the columns whose times are UTC whatever the server wrote (TIMESTAMP)."""
        return self._tables[name].utc

    def source(self) -> str:
        """Return what tells this older server from any other: its first user. Empty when there is none."""
        users = self._tables[USERS].table
        with self._engine.connect() as connection:
            first = connection.execute(select(users.c.id, users.c.created_at).order_by(users.c.id).limit(1)).first()
        return "" if first is None else hashlib.sha256(f"{id_text(first[0])} {first[1]}".encode()).hexdigest()[:32]

    def count(self, name: str) -> int:
        with self._engine.connect() as connection:
            return int(connection.scalar(select(func.count()).select_from(self._tables[name].table)) or 0)

    def batch(
        self, name: str, after: Key | None, most: int, *, only: Sequence[str] = ()
    ) -> tuple[list[Row], Key | None]:
        """Return up to `most` rows after a key, in the order of the primary key, and the key of the last; None at the end.

        `only`: the columns that are read, if not all.
        """
        old = self._tables[name]
        columns = [old.table.c[column] for column in only] if only else old.columns
        statement = select(*columns).order_by(*old.key).limit(most)
        if after is not None:
            statement = statement.where(_beyond(old.key, after))
        with self._engine.connect() as connection:
            rows: list[Row] = [dict(row) for row in connection.execute(statement).mappings()]
        return rows, tuple(rows[-1][column.name] for column in old.key) if rows else None

    def where(self, name: str, column: str, values: Iterable[Any]) -> list[Row]:
        """Return the rows whose column has one of these values, in the order of the primary key."""
        old, wanted = self._tables[name], list(dict.fromkeys(values))
        found: list[Row] = []
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _CHUNK):
                these = old.table.c[column].in_(wanted[start : start + _CHUNK])
                statement = select(*old.columns).where(these).order_by(*old.key)
                found += [dict(row) for row in connection.execute(statement).mappings()]
        return found


def _read_only(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")


def _beyond(key: Sequence[Column[Any]], after: Key) -> Any:
    # Spelled out: MySQL does not use an index range for row comparisons.
    if len(key) == 1:
        return key[0] > after[0]
    return or_(key[0] > after[0], and_(key[0] == after[0], key[1] > after[1]))
