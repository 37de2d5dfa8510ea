"""Views: a dataclass whose annotations name the columns that its fields show, `title: Annotated[str, posts.c.title]`.

SQL, the wire form and test data follow from the names of the fields.
"""

from dataclasses import fields
from typing import Any, get_args, get_type_hints

from sqlalchemy import ColumnElement, Table, select


def columns_of(view: type) -> list[ColumnElement[Any]]:
    """Return the columns that a view shows, labelled by its fields and in their order: `View(*row)` takes such a row."""
    hints = get_type_hints(view, include_extras=True)
    named = ((one.name, get_args(hints[one.name])) for one in fields(view))
    return [found[1].label(name) for name, found in named if len(found) > 1 and isinstance(found[1], ColumnElement)]


def looked_up(column: ColumnElement[Any], where: ColumnElement[bool], of: Table) -> ColumnElement[Any]:
    """Return a column of another table's row, for each row of the table `of`; who selects it joins nothing for it."""
    return select(column).where(where).correlate(of).scalar_subquery()
