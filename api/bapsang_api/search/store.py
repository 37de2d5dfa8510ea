"""Every SQL statement on the texts that are searched."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update
from sqlalchemy.dialects.mysql import match

from bapsang_api.kit.db.columns import table_of
from bapsang_api.search.models import PostText
from bapsang_api.search.query import Query

post_texts = table_of(PostText)

# Of words that stand in a great many posts the index lists all, newest or not.
TIME_LIMIT: Final = "/*+ MAX_EXECUTION_TIME(250) */"


_INSERT: Final = insert(post_texts)


def add(connection: Connection, post_id: str, title: str, content: str) -> None:
    """Make a new post found by these words."""
    connection.execute(_INSERT, {"post_id": post_id, "words": _words(title, content)})


def put(connection: Connection, post_id: str, title: str, content: str) -> None:
    """Make a post found by these words. The caller holds the lock on the post."""
    words = _words(title, content)
    changed = connection.execute(update(post_texts).where(post_texts.c.post_id == post_id).values(words=words))
    if not changed.rowcount:
        add(connection, post_id, title, content)


def remove(connection: Connection, post_ids: Sequence[str]) -> None:
    connection.execute(delete(post_texts).where(post_texts.c.post_id.in_(post_ids)))


def known(connection: Connection, post_ids: Sequence[str]) -> set[str]:
    """Return which of the posts can be found."""
    return set(connection.scalars(select(post_texts.c.post_id).where(post_texts.c.post_id.in_(post_ids))))


def holds(connection: Connection, query: Query) -> ColumnElement[bool]:
    """Return the condition on a text that has all the words.

    The pairs of letters, looked up in the index, only narrow it down to a few texts: what decides is the same everywhere.
    """
    condition = has_words(query)
    if connection.dialect.name != "mysql":
        return condition
    grams = " ".join(f"+{gram}" for gram in query.grams)
    return and_(match(post_texts.c.words, against=grams, in_boolean_mode=True), condition)


def has_words(query: Query) -> ColumnElement[bool]:
    """Return the condition on a text that has all the words, by nothing but the text."""
    return and_(*(post_texts.c.words.contains(word, autoescape=True) for word in query.words))


def _words(title: str, content: str) -> str:
    return f"{title}\n{content}"
