"""Counters of many rows, changed by few statements."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Column, Connection, case, update

# Of a statement. Each of its rows is looked for among all its changes, so a few hundred would be slower, not faster.
_ROWS: Final = 100


def add(connection: Connection, counter: Column[Any], changes: Mapping[str, int], **unchanged: Column[Any]) -> None:
    """Add to a column of the rows with these ids, in the order of the ids: two writers never wait for each other in a circle.

    The columns `unchanged` keep what they hold, even if the database sets them by itself at a change.
    """
    row_id, ordered = counter.table.c.id, sorted(changes)
    for start in range(0, len(ordered), _ROWS):
        row_ids = ordered[start : start + _ROWS]
        change = case({name: changes[name] for name in row_ids}, value=row_id)
        connection.execute(
            update(counter.table).where(row_id.in_(row_ids)).values({counter: counter + change, **unchanged})
        )
