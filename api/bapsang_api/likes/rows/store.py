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
from bapsang_api.users.models import User

likes = table_of(UserPostLike)
posts = table_of(Post)
users = table_of(User)


@dataclass(frozen=True)
class LikedPost:
    """A post, and when the user's like of it was written back."""

    liked_at: datetime
    post: PostRow


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


def visible_count(session: Session, post_id: str) -> int | None:
    """Return the count in a visible post's row, None when there is no such post."""
    return session.scalar(select(posts.c.like_count).where(posts.c.id == post_id, posts.c.post_status == STATUS_ACTIVE))


def stored(session: Session, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], bool]:
    """Return which of these (post, user) likes are in the database."""
    rows = session.execute(
        select(likes.c.post_id, likes.c.user_id).where(tuple_(likes.c.post_id, likes.c.user_id).in_(pairs))
    )
    return dict.fromkeys(((post_id, user_id) for post_id, user_id in rows), True)


def stored_users(session: Session, post_id: str, after: str, limit: int) -> list[str]:
    """Return up to `limit` users whose like of the post is in the database, those with ids above `after`, in order."""
    statement = select(likes.c.user_id).where(likes.c.post_id == post_id, likes.c.user_id > after)
    return list(session.scalars(statement.order_by(likes.c.user_id).limit(limit)))
