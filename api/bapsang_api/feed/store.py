"""The SQL statement of the feed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from bapsang_api.kit.db.views import columns_of
from bapsang_api.posts.models import STATUS_ACTIVE
from bapsang_api.posts.view import PostItemView, post_contents, posts, users


@dataclass(frozen=True)
class NewPost:
    """A post with what the feed shows besides what a list does."""

    updated_at: datetime | None
    content: str
    post: PostItemView


_NEWEST: Final[Select[Any]] = (
    select(posts.c.updated_at, post_contents.c.content, *columns_of(PostItemView))
    .join_from(posts, users, users.c.id == posts.c.user_id)
    .join(post_contents, post_contents.c.id == posts.c.id)
    .where(posts.c.post_status == STATUS_ACTIVE)
    .order_by(posts.c.created_at.desc(), posts.c.id.desc())
)


def newest(connection: Connection, limit: int) -> list[NewPost]:
    """Return the newest visible posts."""
    rows = connection.execute(_NEWEST.limit(limit))
    return [NewPost(updated_at, content, PostItemView(*row)) for updated_at, content, *row in rows]
