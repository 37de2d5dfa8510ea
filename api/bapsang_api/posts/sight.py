"""Who sees a post: what is held, published, hidden, shown again and erased, within the caller's transaction.

Pictures of a hidden post are withheld. Those of a held one are not: only its author knows their random names, and has to see
and may change them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bapsang_api.notifications import store as notifications
from bapsang_api.posts import queries, store
from bapsang_api.posts.holding import FREE, LOOKED_AT, REPEATED_WITHIN, Judgement, Rule, is_young, judge
from bapsang_api.posts.models import STATUS_ACTIVE, STATUS_DELETED, STATUS_HELD, STATUS_HIDDEN
from bapsang_api.uploads.usage import detach, restore, withhold
from bapsang_api.users import store as accounts


@dataclass(frozen=True)
class Turn:
    """Whose post it is, and what it was before."""

    author_id: str
    before: str


def judge_new(connection: Connection, author_id: str, fields: Mapping[str, Any], now: datetime) -> Judgement:
    """Judge a post before it is written. Locks a young author's row: two posts at the same moment wait in a row."""
    if not _is_young(connection, author_id, now):
        return FREE
    earlier = store.earlier(connection, author_id, now - REPEATED_WITHIN, LOOKED_AT)
    return judge(fields["title"], fields["content"], earlier, now, new=True)


def judge_change(
    connection: Connection, author_id: str, post_id: str, fields: Mapping[str, Any], now: datetime
) -> Judgement | None:
    """Judge the words that a post is given, None for one that gets no others. Before the post is locked, as `judge_new`."""
    if not {"title", "content"} & set(fields) or not _is_young(connection, author_id, now):
        return None
    words = store.words_of(connection, [post_id])
    if not words:
        return None
    _, title, content = words[0]
    earlier = store.earlier(connection, author_id, now - REPEATED_WITHIN, LOOKED_AT, but=post_id)
    return judge(fields.get("title", title), fields.get("content", content), earlier, now, new=False)


def apply(connection: Connection, post_id: str, judgement: Judgement, status: str, now: datetime) -> None:
    """Hold a published post back, if it is judged so. One that is held stays so, whatever it says now."""
    store.set_digest(connection, post_id, judgement.digest)
    if judgement.rule is not None:
        hold(connection, post_id, judgement.rule, status, now)


def hold(connection: Connection, post_id: str, rule: Rule, status: str, now: datetime) -> None:
    if status == STATUS_HELD:
        store.set_rule(connection, post_id, rule)
    else:
        store.turn(connection, post_id, STATUS_HELD, held_at=now, held_for=rule)


def hide(connection: Connection, post_id: str, now: datetime, by: str | None = None) -> Turn | None:
    """Take a post from sight, with the pictures that no other visible post shows; None for one that is unknown or deleted.

    `by`: the entry of the audit log, where all of the author's are hidden with it that everybody sees, and no others.
    """
    state = store.state(connection, post_id)
    if state is None or state.status == STATUS_DELETED or (by is not None and state.status != STATUS_ACTIVE):
        return None
    store.turn(connection, post_id, STATUS_HIDDEN, hidden_by=by)
    keys = [picture.object_key for picture in queries.pictures_of(connection, post_id)]
    withhold(connection, set(keys) - store.images_shown_by_others(connection, post_id, keys), now)
    return Turn(state.author_id, state.status)


def show(connection: Connection, post_id: str, now: datetime) -> Turn | None:
    """Bring a hidden post back, or publish a held one, with its pictures; None as `hide` does.

    One that is published for the first time is of this moment: it comes on top of the lists, where it has not been yet.
    """
    state = store.state(connection, post_id)
    if state is None or state.status == STATUS_DELETED:
        return None
    first = state.held_at is not None and state.held_at == state.created_at
    of_now = {"created_at": now} if first else {}
    store.turn(connection, post_id, STATUS_ACTIVE, hidden_by=None, held_at=None, held_for=None, **of_now)
    restore(connection, [picture.object_key for picture in queries.pictures_of(connection, post_id)], now)
    return Turn(state.author_id, state.status)


def erase(connection: Connection, user_id: str, *, now: datetime, limit: int) -> list[str]:
    """Delete up to `limit` posts of a user within the caller's transaction and overwrite what they said.

    Those that were deleted before are overwritten too. Returns the ids; their likes are for the caller to forget.
    """
    post_ids = store.unerased(connection, user_id, limit)
    if post_ids:
        pictures = (picture for post_id in post_ids for picture in queries.pictures_of(connection, post_id))
        detach(connection, [picture.object_key for picture in pictures], now)
        store.erase(connection, post_ids, now)
        notifications.forget_posts(connection, post_ids)
    return post_ids


def _is_young(connection: Connection, author_id: str, now: datetime) -> bool:
    joined_at = accounts.joined_at(connection, author_id)
    return joined_at is not None and is_young(joined_at, now) and accounts.lock(connection, author_id)
