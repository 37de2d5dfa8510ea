"""Column types with the same meaning on MySQL and SQLite, and the way from a model class to its table."""

from datetime import UTC, datetime
from typing import cast

from sqlalchemy import CHAR, Column, DateTime, Dialect, FetchedValue, LargeBinary, String, Table, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import SQLModel

# Case-insensitive comparison for what must be unique whatever its case.
CASELESS = "utf8mb4_0900_ai_ci"
TABLE_OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": CASELESS}


class UtcDateTime(TypeDecorator[datetime]):
    """Aware times, stored in UTC without a zone and with microseconds: a cursor must find exactly the row it names."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        if dialect.name == "mysql":
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Listed(TypeDecorator[tuple[str, ...]]):
    """A few words that hold no comma, in one column: what a list shows is then read with the row. None of them is NULL."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, _dialect: Dialect) -> str | None:
        return ",".join(value) if value else None

    def process_result_value(self, value: str | None, _dialect: Dialect) -> tuple[str, ...]:
        return tuple(value.split(",")) if value else ()


def ulid() -> TypeEngine[str]:
    """An id: compared byte by byte, so that its order is the order of time."""
    return CHAR(26).with_variant(mysql.CHAR(26, charset="ascii", collation="ascii_bin"), "mysql")


def ascii_text(length: int) -> TypeEngine[str]:
    """A word from the program's own vocabulary, or a hash."""
    return String(length).with_variant(mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql")


def caseless(length: int) -> TypeEngine[str]:
    """Text that is compared and unique without regard to case."""
    return (
        String(length)
        .with_variant(mysql.VARCHAR(length, collation=CASELESS), "mysql")
        .with_variant(String(length, collation="NOCASE"), "sqlite")
    )


def long_text() -> TypeEngine[str]:
    return Text().with_variant(mysql.LONGTEXT(), "mysql")


def short_bytes(length: int) -> TypeEngine[bytes]:
    return LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql")


def changed_at() -> Column[datetime]:
    """When the row was last changed, whoever did it: MySQL sets it by itself (revision 0007), on SQLite it stays empty."""
    return Column(UtcDateTime(), server_default=FetchedValue(), server_onupdate=FetchedValue())


def table_of(model: type[SQLModel]) -> Table:
    """Return the Core table of a model, for statements that select only the columns they need."""
    return cast(Table, model.__table__)  # type: ignore[attr-defined]
