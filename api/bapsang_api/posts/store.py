"""Every SQL statement and Redis key of posts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from redis.asyncio import Redis
from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from bapsang_api.kit.columns import table_of
from bapsang_api.kit.cursor import Keyset
from bapsang_api.kit.redis import load_script
from bapsang_api.posts.models import STATUS_ACTIVE, STATUS_HIDDEN, Post, PostContent
from bapsang_api.users.models import User
from bapsang_api.users.store import author_name

posts = table_of(Post)
post_contents = table_of(PostContent)
users = table_of(User)

VIEW_SECONDS: Final = 60
_PENDING_VIEWS: Final = "view:pending"


@dataclass(frozen=True)
class PostRow:
    """A post in a list. The counts are those of the last write-back."""

    post_id: str
    title: str
    created_at: datetime
    author_nickname: str
    like_count: int
    comment_count: int
    view_count: int


@dataclass(frozen=True)
class PostDetailRow(PostRow):
    """A post with its content."""

    updated_at: datetime | None
    content: str


_LIST_COLUMNS = (
    posts.c.id,
    posts.c.title,
    posts.c.created_at,
    author_name,
    posts.c.like_count,
    posts.c.comment_count,
    posts.c.view_count,
)
_LIST = (
    select(*_LIST_COLUMNS)
    .join(users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status == STATUS_ACTIVE)
    .order_by(posts.c.created_at.desc(), posts.c.id.desc())
)
_DETAIL = (
    select(*_LIST_COLUMNS, posts.c.updated_at, post_contents.c.content)
    .join(users, users.c.id == posts.c.user_id)
    .join(post_contents, post_contents.c.id == posts.c.id)
    .where(posts.c.post_status == STATUS_ACTIVE)
)


def add(session: Session, post: Post, content: PostContent) -> None:
    session.add(post)
    session.flush()
    session.add(content)
    session.flush()


def page(session: Session, before: Keyset | None, limit: int) -> list[PostRow]:
    """Return up to `limit` visible posts older than `before`, newest first."""
    statement = _LIST.limit(limit)
    if before is not None:
        # Spelled out, with the redundant first term: MySQL does not use an index range for row comparisons.
        older = posts.c.created_at < before.created_at
        if before.item_id is not None:
            older = or_(older, and_(posts.c.created_at == before.created_at, posts.c.id < before.item_id))
        statement = statement.where(posts.c.created_at <= before.created_at, older)
    return [PostRow(*row) for row in session.execute(statement)]


def detail(session: Session, post_id: str) -> PostDetailRow | None:
    row = session.execute(_DETAIL.where(posts.c.id == post_id)).one_or_none()
    return None if row is None else PostDetailRow(*row)


def set_visibility(session: Session, post_id: str, status: str) -> bool:
    """Make a post ACTIVE or HIDDEN. Returns False when there is none that could be either: unknown or deleted."""
    changed = session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.post_status.in_((STATUS_ACTIVE, STATUS_HIDDEN)))
        .values(post_status=status)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def add_views(session: Session, views: Mapping[str, int]) -> None:
    """Add to the view counts, in the order of the ids: two writers never wait for each other in a circle."""
    for post_id in sorted(views):
        session.execute(
            update(posts).where(posts.c.id == post_id).values(view_count=posts.c.view_count + views[post_id])
        )


class ViewStore:
    """Views in Redis: who has seen a post within the last minute, and what is not yet in the database."""

    def __init__(self, redis: Redis) -> None:
        self._count = load_script(redis, __package__ or "", "count_view")
        self._take = load_script(redis, __package__ or "", "take_views")

    async def count(self, post_id: str, viewer: str) -> None:
        await self._count(keys=[f"view:seen:{post_id}:{viewer}", _PENDING_VIEWS], args=[post_id, VIEW_SECONDS])

    async def take(self, limit: int) -> dict[str, int]:
        """Remove and return the pending views of up to `limit` posts."""
        taken: list[str] = await self._take(keys=[_PENDING_VIEWS], args=[limit])
        return {post_id: int(views) for post_id, views in zip(taken[::2], taken[1::2], strict=True)}
