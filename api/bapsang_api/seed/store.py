"""Every SQL statement of the seeder. Plain driver calls with many rows each: nothing else is fast enough."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from sqlalchemy import Connection, MetaData, Table, delete, func, inspect, select, text

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "users": ("id", "nickname", "user_role", "user_status", "created_at"),
    "user_auth": ("id", "user_id", "password_hash", "provider", "email"),
    "posts": (
        *("id", "user_id", "title", "created_at", "view_count", "like_count", "comment_count", "post_status"),
    ),
    "post_contents": ("id", "content"),
    "user_post_likes": ("post_id", "user_id", "created_at"),
    "comments": (
        *("comment_id", "user_id", "post_id", "parent_id", "depth", "comment_group", "content", "created_at"),
        *("comment_status", "listed", "reply_count"),
    ),
}  # fmt: skip


def has_table(connection: Connection, name: str) -> bool:
    return inspect(connection).has_table(name)


def count_users(connection: Connection) -> int:
    users = Table("users", MetaData(), autoload_with=connection)
    return int(connection.scalar(select(func.count()).select_from(users)) or 0)


def wipe(connection: Connection, tables: Sequence[Table]) -> None:
    """Empty all tables, the audit log too. `tables` in the order of their foreign keys."""
    if connection.dialect.name == "mysql":
        connection.execute(text("SET SESSION foreign_key_checks = 0"))
        for table in tables:
            connection.execute(text(f"TRUNCATE TABLE {table.name}"))
        connection.execute(text("SET SESSION foreign_key_checks = 1"))
    else:
        for table in reversed(tables):
            connection.execute(delete(table))
    connection.commit()


async def forget(redis: Redis) -> None:
    """Empty Redis: likes and views that it holds of the posts that were there would be written to the new ones."""
    await redis.flushdb()


def prepare(connection: Connection) -> None:
    """Spare the server looking up what is right by construction. For this connection only."""
    if connection.dialect.name == "mysql":
        connection.execute(text("SET SESSION foreign_key_checks = 0, unique_checks = 0"))
        connection.commit()


def insert(connection: Connection, rows: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
    """Insert rows by table, in one transaction."""
    sign = "%s" if connection.dialect.name == "mysql" else "?"
    for table, values in rows.items():
        columns = COLUMNS[table]
        signs = ", ".join([sign] * len(columns))
        # Names from the table above alone; the driver makes statements of up to 1 MB out of the rows.
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({signs})"  # noqa: S608
        connection.exec_driver_sql(statement, list(values))
    connection.commit()
