"""Every SQL statement on people among each other."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    Table,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from bapsang_api.kit.db import counters
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.database import note
from bapsang_api.people.models import Bookmark, Follow, HiddenPerson, Reason
from bapsang_api.users.models import User

bookmarks = table_of(Bookmark)
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


def not_hidden(viewer_id: str | ColumnElement[str] | None, author_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that the viewer sees somebody, for reads that no other viewer shares. None sees everybody."""
    return _no_row(viewer_id, author_id)


def not_blocked(viewer_id: str | ColumnElement[str] | None, author_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that neither of two has blocked the other."""
    return _no_row(viewer_id, author_id, hidden_people.c.reason != Reason.MUTES)


def _no_row(
    viewer_id: str | ColumnElement[str] | None, author_id: ColumnElement[str], *where: ColumnElement[bool]
) -> ColumnElement[bool]:
    hidden = exists().where(hidden_people.c.viewer_id == viewer_id, hidden_people.c.hidden_id == author_id, *where)
    # Else, within another look-up, it would read the outer tables anew: somebody hidden by anybody would be hidden from all.
    return ~hidden.correlate_except(hidden_people)


def is_blocked(connection: Connection, one: str, other: str) -> bool:
    """Return whether one of two people has blocked the other."""
    hidden = hidden_people.c
    statement = select(
        exists().where(hidden.viewer_id == one, hidden.hidden_id == other, hidden.reason != Reason.MUTES)
    )
    return bool(connection.scalar(statement))


def reasons_of(connection: Connection, viewer_id: str, hidden_id: str) -> set[Reason]:
    """Return why a viewer does not see somebody."""
    row = {"viewer_id": viewer_id, "hidden_id": hidden_id}
    return {Reason(one) for one in connection.scalars(select(hidden_people.c.reason).where(*_same(hidden_people, row)))}


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
    if connection.scalar(select(exists().where(*_same(hidden_people, row)))):
        return False
    connection.execute(insert(hidden_people), {**row, "created_at": now})
    _count_change(connection, viewer_id)
    return True


def unhide(connection: Connection, viewer_id: str, hidden_id: str, reason: Reason) -> None:
    """Take the reason away. Doing it again changes nothing."""
    row = {"viewer_id": viewer_id, "hidden_id": hidden_id, "reason": reason}
    if connection.execute(delete(hidden_people).where(*_same(hidden_people, row))).rowcount:
        _count_change(connection, viewer_id)


def count_hidden(connection: Connection, viewer_id: str) -> int:
    """Return how many people somebody has blocked and muted themselves."""
    hidden = hidden_people.c
    own = select(func.count()).where(hidden.viewer_id == viewer_id, hidden.reason != Reason.BLOCKED_BY)
    return int(connection.scalar(own) or 0)


def follow(connection: Connection, follower_id: str, followed_id: str, now: datetime) -> bool:
    """Have one follow the other; return False where that is so already. The rows of both are locked."""
    row = {"follower_id": follower_id, "followed_id": followed_id}
    if connection.scalar(select(exists().where(*_same(follows, row)))):
        return False
    connection.execute(insert(follows), {**row, "created_at": now})
    _count_followers(connection, {followed_id: 1})
    return True


def unfollow(connection: Connection, follower_id: str, followed_id: str) -> bool:
    """End that; return False where one does not follow the other. The rows of both are locked."""
    row = {"follower_id": follower_id, "followed_id": followed_id}
    if not connection.execute(delete(follows).where(*_same(follows, row))).rowcount:
        return False
    _count_followers(connection, {followed_id: -1})
    return True


def end_follows(connection: Connection, one: str, other: str) -> None:
    """Have neither of two people follow the other. The rows of both are locked."""
    for follower_id, followed_id in sorted(((one, other), (other, one))):
        unfollow(connection, follower_id, followed_id)


def count_followed(connection: Connection, follower_id: str) -> int:
    """Return how many people somebody follows."""
    return int(connection.scalar(select(func.count()).where(follows.c.follower_id == follower_id)) or 0)


def keep(connection: Connection, user_id: str, post_id: str, now: datetime) -> bool:
    """Bookmark a post; return False where that is so already. The user's row is locked."""
    row = {"user_id": user_id, "post_id": post_id}
    if connection.scalar(select(exists().where(*_same(bookmarks, row)))):
        return False
    connection.execute(insert(bookmarks), {**row, "created_at": now})
    return True


def drop(connection: Connection, user_id: str, post_id: str) -> bool:
    """Delete a bookmark; return False where there is none."""
    row = {"user_id": user_id, "post_id": post_id}
    return bool(connection.execute(delete(bookmarks).where(*_same(bookmarks, row))).rowcount)


def count_bookmarks(connection: Connection, user_id: str) -> int:
    """Return how many posts somebody keeps."""
    return int(connection.scalar(select(func.count()).where(bookmarks.c.user_id == user_id)) or 0)


def forget_posts(connection: Connection, post_ids: Sequence[str]) -> None:
    """Delete the bookmarks of posts that are destroyed."""
    connection.execute(delete(bookmarks).where(bookmarks.c.post_id.in_(post_ids)))


def leave(connection: Connection, user_id: str) -> None:
    """Delete whom somebody follows, hides and is followed by, and what they keep; their row is locked.

    Who has blocked or muted them goes on not seeing what they wrote: those rows are the others'. Who was blocked by them may see
    it again, at the latest once that is read anew: nothing is left in it that tells whose it is.
    """
    followed = select(follows.c.followed_id).where(follows.c.follower_id == user_id)
    _count_followers(connection, dict.fromkeys(connection.scalars(followed), -1))
    # Apart, each by its index.
    for column in (follows.c.follower_id, follows.c.followed_id):
        connection.execute(delete(follows).where(column == user_id))
    connection.execute(update(users).where(users.c.id == user_id).values(follower_count=0))
    hidden = hidden_people.c
    connection.execute(delete(hidden_people).where(hidden.viewer_id == user_id))
    connection.execute(delete(hidden_people).where(hidden.hidden_id == user_id, hidden.reason == Reason.BLOCKED_BY))
    connection.execute(delete(bookmarks).where(bookmarks.c.user_id == user_id))


def _same(table: Table, row: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in row.items()]


def _count_followers(connection: Connection, changes: Mapping[str, int]) -> None:
    # Not told as a change: nothing that is kept shows it, and everything that is kept of an author would be read anew.
    counters.add(connection, users.c.follower_count, changes, changed_at=users.c.changed_at)


def _count_change(connection: Connection, viewer_id: str) -> None:
    connection.execute(update(users).where(users.c.id == viewer_id).values(people_version=users.c.people_version + 1))
    note(connection, viewer_id, f"{_HIDES}{viewer_id}")


def viewer_of(name: str) -> str | None:
    """Return whose sight has changed by a published name, None for the name of something else."""
    return name.removeprefix(_HIDES) if name.startswith(_HIDES) else None
