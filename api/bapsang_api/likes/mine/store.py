"""SQL of the posts that a user likes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bapsang_api.kit.columns import table_of
from bapsang_api.kit.cursor import Keyset
from bapsang_api.kit.keyset import older
from bapsang_api.likes.store import likes, posts
from bapsang_api.posts.models import STATUS_ACTIVE
from bapsang_api.posts.store import LIST_COLUMNS, PostRow
from bapsang_api.users.models import User

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
