"""SQL that reads likes."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from bapsang_api.kit.columns import table_of
from bapsang_api.kit.cursor import Keyset
from bapsang_api.kit.keyset import older
from bapsang_api.likes.models import UserPostLike
from bapsang_api.posts.models import STATUS_ACTIVE, Post
from bapsang_api.posts.shown.store import LIST_COLUMNS, PostRow
from bapsang_api.users.models import User, UserNumber

likes = table_of(UserPostLike)
posts = table_of(Post)
users = table_of(User)
user_numbers = table_of(UserNumber)


@dataclass(frozen=True)
class LikedPost:
    """A post, and when the user's like of it was written back."""

    liked_at: datetime
    post: PostRow


@dataclass(slots=True)
class Stored:
    """The likes of a post in the database: how many its row says, and the first users in order, with their numbers."""

    count: int
    users: list[tuple[str, int | None]]
    whole: bool  # whether these are all


_STORED = (
    select(likes.c.post_id, likes.c.user_id, user_numbers.c.number)
    .join_from(likes, user_numbers, user_numbers.c.user_id == likes.c.user_id, isouter=True)
    .order_by(likes.c.post_id, likes.c.user_id)
)
_LIKED_POSTS = (
    select(likes.c.created_at, *LIST_COLUMNS)
    .join_from(likes, posts, posts.c.id == likes.c.post_id)
    .join(users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status == STATUS_ACTIVE)
    .order_by(likes.c.created_at.desc(), likes.c.post_id.desc())
)


def page(session: Session, user_id: str, before: Keyset | None, limit: int) -> list[LikedPost]:
    """Return up to `limit` visible posts that the user likes, liked before `before`, the last liked first."""
    statement = _LIKED_POSTS.where(likes.c.user_id == user_id).limit(limit)
    if before is not None:
        statement = statement.where(older(before, likes.c.created_at, likes.c.post_id))
    return [LikedPost(liked_at, PostRow(*row)) for liked_at, *row in session.execute(statement)]


def stored(session: Session, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], bool]:
    """Return which of these (post, user) likes are in the database."""
    rows = session.execute(
        select(likes.c.post_id, likes.c.user_id).where(tuple_(likes.c.post_id, likes.c.user_id).in_(pairs))
    )
    return dict.fromkeys(((post_id, user_id) for post_id, user_id in rows), True)


def first_stored(session: Session, post_ids: Collection[str], limit: int) -> dict[str, Stored]:
    """Return what is stored of each of these posts that is visible, with `limit` users in all at most."""
    counts = select(posts.c.id, posts.c.like_count).where(
        posts.c.id.in_(post_ids), posts.c.post_status == STATUS_ACTIVE
    )
    found = {post_id: Stored(count, [], whole=True) for post_id, count in session.execute(counts)}
    rows = session.execute(_STORED.where(likes.c.post_id.in_(list(found))).limit(limit)).all() if found else []
    for post_id, user_id, number in rows:
        found[post_id].users.append((user_id, number))
    if len(rows) == limit:
        last = rows[-1].post_id
        for post_id, stored_ in found.items():
            stored_.whole = post_id < last
    return found


def stored_users(session: Session, post_id: str, after: str, limit: int) -> list[tuple[str, int | None]]:
    """Return up to `limit` users whose like of the post is in the database, those with ids above `after`, in order.

    Each comes with the number, None of a user who has none yet.
    """
    statement = _STORED.where(likes.c.post_id == post_id, likes.c.user_id > after).limit(limit)
    return [(user_id, number) for _, user_id, number in session.execute(statement)]
