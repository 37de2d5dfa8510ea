"""SQL that reads likes."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BindParameter, Connection, Integer, bindparam, select, tuple_

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.keyset import Keyset, newest_first
from bapsang_api.kit.db.views import columns_of
from bapsang_api.likes.models import UserPostLike
from bapsang_api.people.store import not_hidden
from bapsang_api.posts.models import STATUS_ACTIVE, Post
from bapsang_api.posts.view import PostItemView
from bapsang_api.users.models import User, UserNumber

likes = table_of(UserPostLike)
posts = table_of(Post)
users = table_of(User)
user_numbers = table_of(UserNumber)


@dataclass(frozen=True)
class LikedPost:
    """A post, and when the user's like of it was written back."""

    liked_at: datetime
    post: PostItemView


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
    .limit(bindparam("most", type_=Integer()))
)
_THESE: BindParameter[str] = bindparam("post_ids", expanding=True)
_FIRST_STORED = _STORED.where(likes.c.post_id.in_(_THESE))
_LATER_STORED = _STORED.where(likes.c.post_id == bindparam("post_id"), likes.c.user_id > bindparam("after"))
_VISIBLE_COUNTS = select(posts.c.id, posts.c.like_count).where(
    posts.c.id.in_(_THESE), posts.c.post_status == STATUS_ACTIVE
)
_OF_PAIRS = select(likes.c.post_id, likes.c.user_id).where(
    tuple_(likes.c.post_id, likes.c.user_id).in_(bindparam("pairs", expanding=True))
)
_LIKED_POSTS = newest_first(
    select(likes.c.created_at, *columns_of(PostItemView))
    .join_from(likes, posts, posts.c.id == likes.c.post_id)
    .join(users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status == STATUS_ACTIVE, likes.c.user_id == bindparam("user_id"))
    .where(not_hidden(bindparam("user_id"), posts.c.user_id))
    .order_by(likes.c.created_at.desc(), likes.c.post_id.desc()),
    likes.c.created_at,
    likes.c.post_id,
)


def page(connection: Connection, user_id: str, before: Keyset | None, limit: int) -> list[LikedPost]:
    """Return up to `limit` posts that the user likes and sees, liked before `before`, the last liked first."""
    rows = _LIKED_POSTS.rows(connection, before, limit, user_id=user_id)
    return [LikedPost(liked_at, PostItemView(*row)) for liked_at, *row in rows]


def stored(connection: Connection, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], bool]:
    """Return which of these (post, user) likes are in the database."""
    rows = connection.execute(_OF_PAIRS, {"pairs": list(pairs)})
    return dict.fromkeys(((post_id, user_id) for post_id, user_id in rows), True)


def first_stored(connection: Connection, post_ids: Collection[str], limit: int) -> dict[str, Stored]:
    """Return what is stored of each of these posts that is visible, with `limit` users in all at most."""
    counts = connection.execute(_VISIBLE_COUNTS, {"post_ids": list(post_ids)})
    found = {post_id: Stored(count, [], whole=True) for post_id, count in counts}
    rows = connection.execute(_FIRST_STORED, {"post_ids": list(found), "most": limit}).all() if found else []
    for post_id, user_id, number in rows:
        found[post_id].users.append((user_id, number))
    if len(rows) == limit:
        last = rows[-1].post_id
        for post_id, stored_ in found.items():
            stored_.whole = post_id < last
    return found


def stored_users(connection: Connection, post_id: str, after: str, limit: int) -> list[tuple[str, int | None]]:
    """Return up to `limit` users whose like of the post is in the database, those with ids above `after`, in order.

    Each comes with the number, None of a user who has none yet.
    """
    rows = connection.execute(_LATER_STORED, {"post_id": post_id, "after": after, "most": limit})
    return [(user_id, number) for _, user_id, number in rows]
