"""Every SQL statement on people among each other."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.database import note
from bapsang_api.people.models import Follow, HiddenPerson, Reason
from bapsang_api.users.models import User

follows = table_of(Follow)
hidden_people = table_of(HiddenPerson)
users = table_of(User)

# Before the id of a viewer, in what is published: whom they do not see has changed.
_HIDES: Final = "hides:"
_THESE: Final[BindParameter[str]] = bindparam("user_ids", expanding=True)
_HIDDEN: Final = select(hidden_people.c.viewer_id, hidden_people.c.hidden_id, hidden_people.c.reason).where(
    hidden_people.c.viewer_id.in_(_THESE)
)
_VIEWERS: Final = select(hidden_people.c.viewer_id).distinct().limit(bindparam("most", type_=Integer()))


def not_hidden(viewer_id: str | BindParameter[str] | None, author_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that the viewer sees somebody, for reads that no other viewer shares. None sees everybody."""
    return ~exists().where(hidden_people.c.viewer_id == viewer_id, hidden_people.c.hidden_id == author_id)


def not_blocked(viewer_id: str | BindParameter[str] | None, author_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that neither of two has blocked the other."""
    hidden = hidden_people.c
    return ~exists().where(hidden.viewer_id == viewer_id, hidden.hidden_id == author_id, hidden.reason != Reason.MUTES)


def is_blocked(connection: Connection, one: str, other: str) -> bool:
    """Return whether one of two people has blocked the other."""
    hidden = hidden_people.c
    statement = select(
        exists().where(hidden.viewer_id == one, hidden.hidden_id == other, hidden.reason != Reason.MUTES)
    )
    return bool(connection.scalar(statement))


def hidden_of(connection: Connection, user_ids: Collection[str]) -> dict[str, list[tuple[str, Reason]]]:
    """Return whom each of these viewers does not see, and why."""
    found: dict[str, list[tuple[str, Reason]]] = {user_id: [] for user_id in user_ids}
    for viewer_id, hidden_id, reason in connection.execute(_HIDDEN, {"user_ids": list(user_ids)}):
        found[viewer_id].append((hidden_id, Reason(reason)))
    return found


def viewers(connection: Connection, most: int) -> set[str]:
    """Return up to `most` of those who do not see somebody."""
    return set(connection.scalars(_VIEWERS, {"most": most}))


def lock_people(connection: Connection, *user_ids: str) -> Mapping[str, str]:
    """Lock the rows of people in the order of their ids; return the status of each that there is."""
    statement = select(users.c.id, users.c.user_status).where(users.c.id.in_(user_ids)).order_by(users.c.id)
    return {row.id: row.user_status for row in connection.execute(statement.with_for_update())}


def hide(connection: Connection, viewer_id: str, hidden_id: str, reason: Reason, now: datetime) -> bool:
    """Take somebody from a viewer's sight; return False where that was so already. The rows of both are locked."""
    row = {"viewer_id": viewer_id, "hidden_id": hidden_id, "reason": reason}
    if connection.scalar(select(exists().where(*_same(row)))):
        return False
    connection.execute(insert(hidden_people), {**row, "created_at": now})
    _count_change(connection, viewer_id)
    return True


def unhide(connection: Connection, viewer_id: str, hidden_id: str, reason: Reason) -> None:
    """Take the reason away. Doing it again changes nothing."""
    row = {"viewer_id": viewer_id, "hidden_id": hidden_id, "reason": reason}
    if connection.execute(delete(hidden_people).where(*_same(row))).rowcount:
        _count_change(connection, viewer_id)


def count_hidden(connection: Connection, viewer_id: str) -> int:
    """Return how many people somebody has blocked and muted themselves."""
    hidden = hidden_people.c
    own = select(func.count()).where(hidden.viewer_id == viewer_id, hidden.reason != Reason.BLOCKED_BY)
    return int(connection.scalar(own) or 0)


def end_follows(connection: Connection, one: str, other: str) -> None:
    """Have neither of two people follow the other."""
    for follower_id, followed_id in sorted(((one, other), (other, one))):
        connection.execute(
            delete(follows).where(follows.c.follower_id == follower_id, follows.c.followed_id == followed_id)
        )


def _same(row: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    return [hidden_people.c[name] == value for name, value in row.items()]


def _count_change(connection: Connection, viewer_id: str) -> None:
    connection.execute(update(users).where(users.c.id == viewer_id).values(people_version=users.c.people_version + 1))
    note(connection, viewer_id, f"{_HIDES}{viewer_id}")


def viewer_of(name: str) -> str | None:
    """Return whose sight has changed by a published name, None for the name of something else."""
    return name.removeprefix(_HIDES) if name.startswith(_HIDES) else None
