"""Every SQL statement that writes notifications."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, delete, insert, literal, select, tuple_, update

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.database import note
from bapsang_api.kit.text import folded
from bapsang_api.notifications.models import Inbox, Notification
from bapsang_api.notifications.vocabulary import Kind
from bapsang_api.people.models import HiddenPerson
from bapsang_api.users.models import STATUS_ACTIVE, STATUS_DELETED, User

inboxes = table_of(Inbox)
notifications = table_of(Notification)
hidden_people = table_of(HiddenPerson)
users = table_of(User)

Pair = tuple[str, str]
#: Begins the name under which a change of an inbox is reported.
INBOX: Final = "inbox:"
#: At most so many are kept in an inbox; beyond it the oldest go, a hundred at a time.
MOST_KEPT: Final = 1_000
_SPARE: Final = 100
#: Deleted at most in the transaction of something else; what is left is shown no more, and goes with its period.
MOST_FORGOTTEN: Final = 1_000


@dataclass(slots=True)
class LockedInbox:
    """Somebody's inbox, which nobody else writes to until the end of the transaction."""

    user_id: str
    last_number: int
    muted_kinds: frozenset[str]


def inbox_of(user_id: str) -> str:
    """Return the name under which a change of somebody's inbox is reported."""
    return f"{INBOX}{user_id}"


def lock_inboxes(connection: Connection, user_ids: Collection[str]) -> dict[str, LockedInbox]:
    """Return and lock the inboxes of those users who have not withdrawn, made where there is none, in the order of their ids."""
    found = _locked(connection, user_ids)
    if missing := sorted(set(user_ids) - found.keys()):
        present = select(users.c.id, literal(0), literal("")).where(
            users.c.id.in_(missing), users.c.user_status != STATUS_DELETED
        )
        connection.execute(
            insert(inboxes)
            .prefix_with("IGNORE", dialect="mysql")
            .prefix_with("OR IGNORE", dialect="sqlite")
            .from_select(["user_id", "last_number", "muted_kinds"], present.order_by(users.c.id))
        )
        found |= _locked(connection, missing)
    return found


def _locked(connection: Connection, user_ids: Collection[str]) -> dict[str, LockedInbox]:
    rows = connection.execute(
        select(inboxes.c.user_id, inboxes.c.last_number, inboxes.c.muted_kinds)
        .join(users, users.c.id == inboxes.c.user_id)
        .where(inboxes.c.user_id.in_(user_ids), users.c.user_status != STATUS_DELETED)
        .order_by(inboxes.c.user_id)
        .with_for_update(of=inboxes)
    )
    return {
        user_id: LockedInbox(user_id, last_number, frozenset(muted.split(","))) for user_id, last_number, muted in rows
    }


def hidden_pairs(connection: Connection, pairs: Collection[Pair]) -> set[Pair]:
    """Return those of these pairs (viewer, other) whose viewer does not see the other, for whatever reason."""
    if not pairs:
        return set()
    place = tuple_(hidden_people.c.viewer_id, hidden_people.c.hidden_id)
    rows = connection.execute(
        select(hidden_people.c.viewer_id, hidden_people.c.hidden_id).where(place.in_(sorted(pairs)))
    )
    return {(viewer_id, hidden_id) for viewer_id, hidden_id in rows}


def known(connection: Connection, keys: Iterable[Pair]) -> set[Pair]:
    """Return those of these (user, bundle) that are in an inbox."""
    place = tuple_(notifications.c.user_id, notifications.c.bundle)
    rows = connection.execute(select(notifications.c.user_id, notifications.c.bundle).where(place.in_(sorted(keys))))
    return {(user_id, bundle) for user_id, bundle in rows}


def put(
    connection: Connection, locked: Mapping[str, LockedInbox], written: Sequence[Notification], replaced: set[Pair]
) -> None:
    """Write notifications, numbered from the end of their locked inboxes, in the place of those `replaced` with their bundles."""
    if not written:
        return
    owners = sorted({one.user_id for one in written})
    forget_bundles(connection, replaced & {(one.user_id, one.bundle) for one in written})
    connection.execute(insert(notifications), [one.model_dump() for one in written])
    numbers = case({user_id: locked[user_id].last_number for user_id in owners}, value=inboxes.c.user_id)
    connection.execute(update(inboxes).where(inboxes.c.user_id.in_(owners)).values(last_number=numbers))
    for one in written:
        if one.number % _SPARE == 0:
            _cut(connection, one.user_id)
    note(connection, *map(inbox_of, owners))


def _cut(connection: Connection, user_id: str) -> None:
    """Keep the newest, with room for _SPARE more before this is called again."""
    theirs = notifications.c.user_id == user_id
    oldest_kept = connection.scalar(
        select(notifications.c.number)
        .where(theirs)
        .order_by(notifications.c.number.desc())
        .limit(1)
        .offset(MOST_KEPT - _SPARE)
    )
    if oldest_kept is not None:
        connection.execute(delete(notifications).where(theirs, notifications.c.number <= oldest_kept))


def active_named(connection: Connection, nicknames: Collection[str]) -> list[str]:
    """Return the ids of those who have one of these nicknames, whatever the case of its letters, and an active account."""
    if not nicknames:
        return []
    wanted = {folded(nickname) for nickname in nicknames}
    rows = connection.execute(
        select(users.c.id, users.c.nickname).where(
            users.c.nickname.in_(nicknames), users.c.user_status == STATUS_ACTIVE
        )
    )
    return [user_id for user_id, nickname in rows if folded(nickname) in wanted]


def forget_bundles(connection: Connection, keys: Collection[Pair]) -> None:
    """Delete the notifications with these (user, bundle)."""
    if keys:
        place = tuple_(notifications.c.user_id, notifications.c.bundle)
        connection.execute(delete(notifications).where(place.in_(sorted(keys))))


def forget_posts(connection: Connection, post_ids: Sequence[str]) -> int:
    """Delete up to MOST_FORGOTTEN notifications about these posts and what was said below them; return how many."""
    return _forget(connection, notifications.c.post_id.in_(post_ids))


def forget_comment(connection: Connection, post_id: str, comment_id: str) -> None:
    """Delete what is about a comment."""
    _forget(connection, and_(notifications.c.post_id == post_id, notifications.c.comment_id == comment_id))


def forget_between(connection: Connection, one: str, other: str) -> None:
    """Delete what two people were told of each other. What says that more people like a post stays, without the name."""
    for user_id, actor_id in ((one, other), (other, one)):
        _forget_acts(connection, and_(notifications.c.user_id == user_id, notifications.c.actor_id == actor_id))


def forget_person(connection: Connection, user_id: str) -> int:
    """Delete up to MOST_FORGOTTEN notifications of somebody and as many that name them, and their settings.

    Returns how many there were.
    """
    count = _forget(connection, notifications.c.user_id == user_id)
    count += _forget_acts(connection, notifications.c.actor_id == user_id)
    connection.execute(delete(inboxes).where(inboxes.c.user_id == user_id))
    return count


def _forget_acts(connection: Connection, which: ColumnElement[bool]) -> int:
    of_likes = and_(which, notifications.c.kind == Kind.LIKE)
    connection.execute(update(notifications).where(of_likes).values(actor_id=None))
    return _forget(connection, which)


def _forget(connection: Connection, which: ColumnElement[bool]) -> int:
    keys = connection.execute(
        select(notifications.c.user_id, notifications.c.number)
        .where(which)
        .order_by(notifications.c.user_id, notifications.c.number)
        .limit(MOST_FORGOTTEN)
    ).all()
    if keys:
        place: ColumnElement[Any] = tuple_(notifications.c.user_id, notifications.c.number)
        connection.execute(delete(notifications).where(place.in_([tuple(key) for key in keys])))
    return len(keys)


def purge(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` notifications that were written before a moment; return how many."""
    old = select(notifications.c.user_id, notifications.c.number).where(notifications.c.created_at < before)
    keys = connection.execute(old.order_by(notifications.c.created_at).limit(limit)).all()
    if keys:
        place: ColumnElement[Any] = tuple_(notifications.c.user_id, notifications.c.number)
        connection.execute(delete(notifications).where(place.in_([tuple(key) for key in keys])))
    return len(keys)
