"""Pages in SQL: where one goes on, in a form that an index on (…, created_at, id) serves.

Spelled out, with a redundant first term: MySQL does not use an index range for row comparisons. Statements are made once and
given parameters: making one costs several times what it takes to run it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import BindParameter, ColumnElement, Connection, Integer, Row, Select, Subquery, and_, bindparam, or_

T = TypeVar("T")
_MOST: Final = bindparam("page_most", type_=Integer())
_AT: Final[BindParameter[Any]] = bindparam("page_at")
_ID: Final[BindParameter[Any]] = bindparam("page_id")


@dataclass(frozen=True)
class Keyset:
    """The last item seen: items strictly beyond it come next. `item_id` is None when only a time was given."""

    created_at: datetime
    item_id: str | None


@dataclass(frozen=True)
class Following(Keyset):
    """Where the next page of our own goes on: always the time and the id."""

    item_id: str


def cut(rows: list[T], size: int, last_seen: Callable[[T], Following]) -> tuple[list[T], Following | None]:
    """Return the page out of up to `size` + 1 rows, and where the next one goes on, None when this is the last.

    Reading one more row than the page shows tells whether another page follows, without a COUNT.
    """
    shown = rows[:size]
    return shown, last_seen(shown[-1]) if len(rows) > size else None


class Pages:
    """A statement with the rows of a page, in its two forms: from the start, and from a place on."""

    def __init__(self, statement: Select[*tuple[Any, ...]], beyond: ColumnElement[bool], no_id: str) -> None:
        """`no_id` stands for the id of a place that is a time only."""
        self._first = statement.limit(_MOST)
        self._later = self._first.where(beyond)
        self._no_id = no_id

    def rows(
        self, connection: Connection, after: Keyset | None, most: int, **values: object
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return up to `most` rows, those strictly beyond `after` if there is one. `values` are the statement's own parameters."""
        statement, where = self._form(after, most)
        return connection.execute(statement, {**values, **where}).all()

    def subquery(self, name: str, after: Keyset | None, most: int) -> Subquery:
        """Return such rows as a part of another statement."""
        statement, where = self._form(after, most)
        return statement.params(where).subquery(name)

    def _form(self, after: Keyset | None, most: int) -> tuple[Select[*tuple[Any, ...]], dict[str, object]]:
        if after is None:
            return self._first, {_MOST.key: most}
        return self._later, {
            _MOST.key: most,
            _AT.key: after.created_at,
            _ID.key: after.item_id or self._no_id,
        }


def newest_first(
    statement: Select[*tuple[Any, ...]], created_at: ColumnElement[datetime], item_id: ColumnElement[str]
) -> Pages:
    """Return the pages of a statement that orders by these two, descending."""
    beyond = and_(created_at <= _AT, or_(created_at < _AT, and_(created_at == _AT, item_id < _ID)))
    return Pages(statement, beyond, no_id="")


def oldest_first(
    statement: Select[*tuple[Any, ...]], created_at: ColumnElement[datetime], item_id: ColumnElement[str]
) -> Pages:
    """Return the pages of a statement that orders by these two, ascending."""
    beyond = and_(created_at >= _AT, or_(created_at > _AT, and_(created_at == _AT, item_id > _ID)))
    return Pages(statement, beyond, no_id="~")
