"""Every SQL statement on tags. Their names are equal whatever the case of their letters."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects import mysql, sqlite

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.text import folded
from bapsang_api.tags.models import PostTag, Tag

tags = table_of(Tag)
post_tags = table_of(PostTag)


@dataclass(frozen=True)
class TagRow:
    """A tag and how many visible posts have it."""

    name: str
    post_count: int


def put(connection: Connection, post_id: str, created_at: datetime, names: Sequence[str]) -> None:
    """Give a visible post these tags in place of those it has. The caller holds the lock on the post."""
    wanted = {folded(name): name for name in names}
    current = {folded(name): name for name in _names_of(connection, [post_id])}
    gone = [name for key, name in current.items() if key not in wanted]
    new = [name for key, name in wanted.items() if key not in current]
    if gone:
        connection.execute(delete(post_tags).where(post_tags.c.post_id == post_id, post_tags.c.tag.in_(gone)))
    if new:
        rows = [{"tag": name, "created_at": created_at, "post_id": post_id} for name in new]
        connection.execute(insert(post_tags), rows)
    _add_to_counts(connection, dict.fromkeys(gone, -1) | dict.fromkeys(new, 1))


def remove(connection: Connection, post_ids: Sequence[str]) -> None:
    """Take posts out of the lists of their tags."""
    names = Counter(folded(name) for name in _names_of(connection, post_ids))
    connection.execute(delete(post_tags).where(post_tags.c.post_id.in_(post_ids)))
    _add_to_counts(connection, {name: -count for name, count in names.items()})


def popular(connection: Connection, prefix: str, limit: int) -> list[TagRow]:
    """Return up to `limit` tags that begin so, those with the most posts first."""
    statement = (
        select(tags.c.name, tags.c.post_count)
        .where(tags.c.post_count > 0)
        .order_by(tags.c.post_count.desc(), tags.c.name.desc())
        .limit(limit)
    )
    if prefix:
        statement = statement.where(tags.c.name.startswith(prefix, autoescape=True))
    return [TagRow(*row) for row in connection.execute(statement)]


def _names_of(connection: Connection, post_ids: Sequence[str]) -> list[str]:
    return list(connection.scalars(select(post_tags.c.tag).where(post_tags.c.post_id.in_(post_ids))))


def _add_to_counts(connection: Connection, changes: Mapping[str, int]) -> None:
    """Change the counts, in one order: two writers wait in a row, never in a circle."""
    if not changes:
        return
    rows = [{"name": name, "post_count": changes[name]} for name in sorted(changes, key=folded)]
    if connection.dialect.name == "mysql":
        on_mysql = mysql.insert(tags).values(rows)
        connection.execute(
            on_mysql.on_duplicate_key_update(post_count=tags.c.post_count + on_mysql.inserted.post_count)
        )
    else:
        on_sqlite = sqlite.insert(tags).values(rows)
        connection.execute(
            on_sqlite.on_conflict_do_update(
                index_elements=["name"], set_={"post_count": tags.c.post_count + on_sqlite.excluded.post_count}
            )
        )
