"""Every SQL statement that reads inboxes, and what their owners change in them.

Whether a notification is shown follows from what it is about as that is now: hidden posts and comments, and people whom the
reader does not see, are left out, and are back when they can be seen again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from bapsang_api.comments.models import STATUS_ACTIVE as COMMENT_ACTIVE
from bapsang_api.comments.models import Comment
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.views import columns_of
from bapsang_api.likes.models import UserPostLike
from bapsang_api.notifications.models import Inbox, Notification
from bapsang_api.notifications.store import lock_inboxes
from bapsang_api.notifications.vocabulary import Kind
from bapsang_api.people.store import not_hidden
from bapsang_api.posts.models import STATUS_ACTIVE as POST_ACTIVE
from bapsang_api.posts.models import Post
from bapsang_api.uploads.photo import Photo
from bapsang_api.uploads.store import photo_of
from bapsang_api.users.models import STATUS_DELETED, User

inboxes, notifications = table_of(Inbox), table_of(Notification)
posts, comments, likes = table_of(Post), table_of(Comment), table_of(UserPostLike)
people = table_of(User)
actors, likers = people.alias("actors"), people.alias("likers")
Key = tuple[str, int]  # whose inbox, number

#: What is shown of a comment, and one character more, which tells that there is more.
SHOWN_CHARACTERS: Final = 100
#: Unread ones are counted up to here.
MOST_COUNTED: Final = 100
_UNHIDEABLE: Final = (Kind.MODERATION, Kind.SYSTEM)


def _sees(other: ColumnElement[str]) -> ColumnElement[bool]:
    """Return whether the inbox's owner sees somebody."""
    return not_hidden(notifications.c.user_id, other)


def _likes() -> ColumnElement[bool]:
    """Return whether the owner likes the post, and so is among those that its count counts."""
    return exists().where(likes.c.post_id == notifications.c.post_id, likes.c.user_id == notifications.c.user_id)


def _actor() -> ColumnElement[Any]:
    """Return who is named: of likes the one who was told of last, while they like it and are seen, else the first who do."""
    seen = (
        select(likes.c.user_id)
        .join(likers, likers.c.id == likes.c.user_id)
        .where(likes.c.post_id == notifications.c.post_id, likes.c.user_id != notifications.c.user_id)
        .where(likers.c.user_status != STATUS_DELETED, _sees(likes.c.user_id))
        .correlate(notifications)
    )
    last = seen.where(likes.c.user_id == notifications.c.actor_id).scalar_subquery()
    first = seen.order_by(likes.c.user_id).limit(1).scalar_subquery()
    return case((notifications.c.kind == Kind.LIKE, func.coalesce(last, first)), else_=notifications.c.actor_id)


@dataclass(frozen=True)
class NotificationRow:
    """A notification as its owner sees it now. `likes` counts everybody but the owner."""

    user_id: Annotated[str, notifications.c.user_id]
    number: Annotated[int, notifications.c.number]
    kind: Annotated[str, notifications.c.kind]
    created_at: Annotated[datetime, notifications.c.created_at]
    read_at: Annotated[datetime | None, notifications.c.read_at]
    detail: Annotated[str | None, notifications.c.detail]
    actor_id: Annotated[str | None, actors.c.id]
    nickname: Annotated[str | None, actors.c.nickname]
    image_key: Annotated[str | None, actors.c.profile_image_key]
    photo: Annotated[Photo | None, photo_of(actors.c.profile_image_key, of=actors)]
    post_id: Annotated[str | None, posts.c.id]
    title: Annotated[str | None, posts.c.title]
    comment_id: Annotated[str | None, comments.c.comment_id]
    content: Annotated[str | None, func.substr(comments.c.content, 1, SHOWN_CHARACTERS + 1)]
    likes: Annotated[
        int,
        case((notifications.c.kind == Kind.LIKE, posts.c.like_count - case((_likes(), 1), else_=0)), else_=literal(0)),
    ]


def _joined() -> FromClause:
    return (
        notifications.outerjoin(posts, posts.c.id == notifications.c.post_id)
        .outerjoin(comments, comments.c.comment_id == notifications.c.comment_id)
        .outerjoin(actors, actors.c.id == _actor())
    )


def _shown() -> ColumnElement[bool]:
    by_somebody_seen = and_(actors.c.user_status != STATUS_DELETED, _sees(actors.c.id))
    about_a_post_seen = or_(
        notifications.c.post_id.is_(None), and_(posts.c.post_status == POST_ACTIVE, _sees(posts.c.user_id))
    )
    about_a_comment_seen = or_(notifications.c.comment_id.is_(None), comments.c.comment_status == COMMENT_ACTIVE)
    return or_(notifications.c.kind.in_(_UNHIDEABLE), and_(by_somebody_seen, about_a_post_seen, about_a_comment_seen))


_ROWS: Final[Select[Any]] = select(*columns_of(NotificationRow)).select_from(_joined()).where(_shown())
_MINE: Final = notifications.c.user_id == bindparam("user_id")
_PAGE: Final = (
    _ROWS.where(_MINE, notifications.c.number < bindparam("before", type_=Integer()))
    .order_by(notifications.c.number.desc())
    .limit(bindparam("most", type_=Integer()))
    .with_hint(notifications, "FORCE INDEX (PRIMARY)", "mysql")
)
_THESE: Final = _ROWS.where(
    tuple_(notifications.c.user_id, notifications.c.number).in_(bindparam("keys", expanding=True))
).order_by(notifications.c.user_id, notifications.c.number)
_UNREAD: Final = select(func.count()).select_from(
    select(notifications.c.number)
    .select_from(_joined())
    .where(_shown(), _MINE, notifications.c.read_at.is_(None))
    .limit(MOST_COUNTED)
    .subquery()
)
_LAST_NUMBERS: Final = select(inboxes.c.user_id, inboxes.c.last_number).where(
    inboxes.c.user_id.in_(bindparam("user_ids", expanding=True))
)
_MUTED: Final = select(inboxes.c.muted_kinds).where(inboxes.c.user_id == bindparam("user_id"))


def page(connection: Connection, user_id: str, before: int, limit: int) -> list[NotificationRow]:
    """Return up to `limit` notifications with numbers below `before`, the last first."""
    rows = connection.execute(_PAGE, {"user_id": user_id, "before": before, "most": limit})
    return [NotificationRow(*row) for row in rows]


def these(connection: Connection, keys: Iterable[Key]) -> list[NotificationRow]:
    """Return those notifications that can be seen, by inbox and in the order of their numbers."""
    return [NotificationRow(*row) for row in connection.execute(_THESE, {"keys": list(keys)})]


def unread(connection: Connection, user_id: str) -> int:
    """Return how many notifications are unread, MOST_COUNTED for more."""
    return int(connection.scalar(_UNREAD, {"user_id": user_id}) or 0)


def last_numbers(connection: Connection, user_ids: Collection[str]) -> dict[str, int]:
    """Return the number of the last notification of each of these inboxes; who was never told of anything has none."""
    rows = connection.execute(_LAST_NUMBERS, {"user_ids": list(user_ids)})
    return {str(user_id): int(number) for user_id, number in rows}


def read_up_to(connection: Connection, user_id: str, number: int, now: datetime) -> None:
    _read(connection, user_id, notifications.c.number <= number, now)


def read_these(connection: Connection, user_id: str, numbers: Sequence[int], now: datetime) -> None:
    _read(connection, user_id, notifications.c.number.in_(numbers), now)


def _read(connection: Connection, user_id: str, which: ColumnElement[bool], now: datetime) -> None:
    connection.execute(
        update(notifications)
        .where(notifications.c.user_id == user_id, which, notifications.c.read_at.is_(None))
        .values(read_at=now)
    )


def muted_kinds(connection: Connection, user_id: str) -> frozenset[Kind]:
    """Return the kinds that somebody has turned off."""
    muted: str = connection.scalar(_MUTED, {"user_id": user_id}) or ""
    return frozenset(Kind(kind) for kind in muted.split(",") if kind)


def turn(connection: Connection, user_id: str, kinds: Mapping[Kind, bool]) -> None:
    """Turn kinds on (True) or off, and leave the others as they are."""
    lock_inboxes(connection, [user_id])
    muted = (muted_kinds(connection, user_id) | {kind for kind, on in kinds.items() if not on}) - {
        kind for kind, on in kinds.items() if on
    }
    connection.execute(update(inboxes).where(inboxes.c.user_id == user_id).values(muted_kinds=",".join(sorted(muted))))
