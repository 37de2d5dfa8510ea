"""Every SQL statement that writes notifications."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, exists, insert, select, update

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.database import note
from bapsang_api.notifications.models import Inbox, Kind, Notification
from bapsang_api.people.models import HiddenPerson

inboxes = table_of(Inbox)
notifications = table_of(Notification)
hidden_people = table_of(HiddenPerson)


def inbox_of(user_id: str) -> str:
    """Return the name under which a change of somebody's inbox is reported."""
    return f"inbox:{user_id}"


def lock_inbox(connection: Connection, user_id: str) -> Inbox:
    """Return somebody's inbox, made where there is none, locked until the end of the transaction."""
    connection.execute(
        insert(inboxes)
        .prefix_with("IGNORE", dialect="mysql")
        .prefix_with("OR IGNORE", dialect="sqlite")
        .values(user_id=user_id, last_number=0, muted_kinds="")
    )
    row = connection.execute(select(inboxes).where(inboxes.c.user_id == user_id).with_for_update()).one()
    return Inbox(**row._mapping)


def hides(connection: Connection, viewer_id: str, actor_id: str) -> bool:
    """Return whether the viewer does not see somebody, for whatever reason."""
    return bool(
        connection.scalar(
            select(exists().where(hidden_people.c.viewer_id == viewer_id, hidden_people.c.hidden_id == actor_id))
        )
    )


def put(connection: Connection, inbox: Inbox, told: Notification) -> None:
    """Write a notification at the end of a locked inbox, in the place of the one with the same bundle."""
    number = inbox.last_number + 1
    connection.execute(
        delete(notifications).where(notifications.c.user_id == inbox.user_id, notifications.c.bundle == told.bundle)
    )
    connection.execute(insert(notifications), {**told.model_dump(), "number": number})
    connection.execute(update(inboxes).where(inboxes.c.user_id == inbox.user_id).values(last_number=number))
    inbox.last_number = number
    note(connection, inbox_of(inbox.user_id))


def forget_post(connection: Connection, post_ids: Sequence[str]) -> None:
    """Delete what is about these posts, and about what was said below them."""
    connection.execute(delete(notifications).where(notifications.c.post_id.in_(post_ids)))


def forget_comment(connection: Connection, post_id: str, comment_id: str) -> None:
    """Delete what is about a comment."""
    connection.execute(
        delete(notifications).where(notifications.c.post_id == post_id, notifications.c.comment_id == comment_id)
    )


def forget_between(connection: Connection, one: str, other: str) -> None:
    """Delete what two people were told of each other."""
    for user_id, actor_id in ((one, other), (other, one)):
        connection.execute(
            delete(notifications).where(notifications.c.user_id == user_id, notifications.c.actor_id == actor_id)
        )


def forget_bundle(connection: Connection, user_id: str, bundle: str) -> None:
    """Delete what somebody was told of one thing."""
    connection.execute(
        delete(notifications).where(notifications.c.user_id == user_id, notifications.c.bundle == bundle)
    )


def read_all(connection: Connection, user_id: str, up_to: int, now: datetime) -> None:
    connection.execute(
        update(notifications)
        .where(notifications.c.user_id == user_id, notifications.c.number <= up_to, notifications.c.read_at.is_(None))
        .values(read_at=now)
    )


def muted_kinds(inbox: Inbox) -> frozenset[Kind]:
    return frozenset(Kind(kind) for kind in inbox.muted_kinds.split(",") if kind)
