"""Telling somebody of something, within the transaction of what they are told of: never twice after a crash, never without it."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from bapsang_api.notifications import store
from bapsang_api.notifications.models import Notification
from bapsang_api.notifications.news import News


def tell(connection: Connection, news: Iterable[News], now: datetime) -> None:
    """Write notifications within the caller's transaction: not to whoever did it, not of somebody they do not see, and not of a
    kind that they have turned off.

    Five statements at most, however many there are. Inboxes are locked in the order of their owners' ids; who holds locks of
    posts takes them first.
    """
    wanted = {(one.user_id, one.bundle): one for one in news if one.actor_id != one.user_id}
    if not wanted:
        return
    inboxes = store.lock_inboxes(connection, {user_id for user_id, _ in wanted})
    hidden = store.hidden_pairs(connection, {pair for one in wanted.values() for pair in _pairs(one)})
    known = store.known(connection, wanted)
    written: list[Notification] = []
    for key, one in wanted.items():
        inbox = inboxes.get(one.user_id)
        if inbox is None or one.kind in inbox.muted_kinds or hidden.intersection(_pairs(one)):
            continue
        if key in known and not one.renews:
            continue
        inbox.last_number += 1
        written.append(_notification(one, inbox.last_number, now))
    store.put(connection, inboxes, written, replaced=known)


def _pairs(news: News) -> set[tuple[str, str]]:
    """Return who must be seen by whom for this to be told."""
    return {(news.user_id, other) for other in (news.actor_id, news.author_id) if other not in (None, news.user_id)}


def _notification(news: News, number: int, now: datetime) -> Notification:
    return Notification(
        user_id=news.user_id,
        number=number,
        kind=news.kind,
        actor_id=news.actor_id,
        post_id=news.post_id,
        comment_id=news.comment_id,
        bundle=news.bundle,
        detail=news.detail,
        created_at=now,
    )
