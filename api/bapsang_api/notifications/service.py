"""Telling somebody of something, within the transaction of what they are told of: never twice after a crash, never without it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from bapsang_api.notifications import store
from bapsang_api.notifications.models import Kind, Notification


@dataclass(frozen=True)
class News:
    """What `user_id` is to be told of. `bundle`: what it is about, told once an inbox (`LIKE:<post id>`), at most 64 letters."""

    user_id: str
    kind: Kind
    bundle: str
    actor_id: str | None = None
    post_id: str | None = None
    comment_id: str | None = None
    detail: str | None = None


def tell(connection: Connection, news: Iterable[News], now: datetime) -> None:
    """Write notifications within the caller's transaction: not to whoever did it, not of somebody they do not see, and not of a
    kind that they have turned off. Inboxes are locked in the order of their owners' ids; who holds locks of posts takes them first.
    """
    for one in sorted(news, key=lambda one: one.user_id):
        if one.actor_id == one.user_id:
            continue
        inbox = store.lock_inbox(connection, one.user_id)
        if one.kind in store.muted_kinds(inbox):
            continue
        if one.actor_id is not None and store.hides(connection, one.user_id, one.actor_id):
            continue
        store.put(
            connection,
            inbox,
            Notification(
                user_id=one.user_id,
                number=0,
                kind=one.kind,
                actor_id=one.actor_id,
                post_id=one.post_id,
                comment_id=one.comment_id,
                bundle=one.bundle,
                detail=one.detail,
                created_at=now,
            ),
        )
