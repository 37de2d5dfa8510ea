"""Every SQL statement and Redis key of posts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from redis.asyncio import Redis
from sqlalchemy import delete as delete_from
from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.orm import Session

from bapsang_api.kit.columns import table_of
from bapsang_api.kit.cursor import Keyset
from bapsang_api.kit.keyset import older
from bapsang_api.kit.redis import load_script
from bapsang_api.posts.models import STATUS_ACTIVE, STATUS_DELETED, STATUS_HIDDEN, Post, PostContent, PostImage
from bapsang_api.uploads.store import UnusedImage
from bapsang_api.users.models import User
from bapsang_api.users.store import author_name

posts = table_of(Post)
post_contents = table_of(PostContent)
post_images = table_of(PostImage)
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
    author_image_key: str | None
    image_key: str | None
    like_count: int
    comment_count: int
    view_count: int


@dataclass(frozen=True)
class Picture:
    """A picture of a post: the key under which it is published, and what it shows in words."""

    object_key: str
    alt: str | None


@dataclass(frozen=True)
class PostDetailRow(PostRow):
    """A post with its content."""

    updated_at: datetime | None
    content: str
    pictures: tuple[Picture, ...]


LIST_COLUMNS = (  # in the order of PostRow
    posts.c.id,
    posts.c.title,
    posts.c.created_at,
    author_name,
    users.c.profile_image_key,
    # A subquery, so that whoever lists posts joins no more than the author.
    select(post_contents.c.post_image_key)
    .where(post_contents.c.id == posts.c.id)
    .correlate(posts)
    .scalar_subquery()
    .label("image_key"),
    posts.c.like_count,
    posts.c.comment_count,
    posts.c.view_count,
)
_LIST = (
    select(*LIST_COLUMNS)
    .join(users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status == STATUS_ACTIVE)
    .order_by(posts.c.created_at.desc(), posts.c.id.desc())
)
_DETAIL = (
    select(*LIST_COLUMNS, posts.c.updated_at, post_contents.c.content)
    .join(users, users.c.id == posts.c.user_id)
    .join(post_contents, post_contents.c.id == posts.c.id)
    .where(posts.c.post_status == STATUS_ACTIVE)
)


def add(session: Session, post: Post, content: PostContent, pictures: Sequence[Picture]) -> None:
    session.add(post)
    session.flush()
    session.add(content)
    session.flush()
    if pictures:
        set_pictures(session, post.id, pictures)


def page(session: Session, before: Keyset | None, limit: int, author_id: str | None = None) -> list[PostRow]:
    """Return up to `limit` visible posts, of everybody or one author, that are older than `before`, newest first."""
    statement = _LIST.limit(limit)
    if author_id is not None:
        statement = statement.where(posts.c.user_id == author_id)
    if before is not None:
        statement = statement.where(older(before, posts.c.created_at, posts.c.id))
    return [PostRow(*row) for row in session.execute(statement)]


def detail(session: Session, post_id: str) -> PostDetailRow | None:
    row = session.execute(_DETAIL.where(posts.c.id == post_id)).one_or_none()
    if row is None:
        return None
    # Posts without a picture are spared the second query.
    return PostDetailRow(*row, pictures_of(session, post_id) if row.image_key else ())


def pictures_of(session: Session, post_id: str) -> tuple[Picture, ...]:
    """Return the pictures of a post in their order."""
    rows = session.execute(
        select(post_images.c.object_key, post_images.c.alt)
        .where(post_images.c.post_id == post_id)
        .order_by(post_images.c.position)
    )
    return tuple(Picture(*row) for row in rows)


def set_pictures(session: Session, post_id: str, pictures: Sequence[Picture]) -> None:
    """Give a post these pictures in place of those it has."""
    session.execute(delete_from(post_images).where(post_images.c.post_id == post_id))
    if pictures:
        rows = [
            {"post_id": post_id, "position": position, "object_key": picture.object_key, "alt": picture.alt}
            for position, picture in enumerate(pictures)
        ]
        session.execute(insert(post_images), rows)
    first = pictures[0].object_key if pictures else None
    session.execute(update(post_contents).where(post_contents.c.id == post_id).values(post_image_key=first))


def images_in_use(session: Session, images: Sequence[UnusedImage]) -> set[str]:
    """Return those of these images, by their object keys, that a post shows or, hidden, may show again."""
    return set(
        session.scalars(
            select(post_images.c.object_key)
            .join(posts, posts.c.id == post_images.c.post_id)
            .where(
                post_images.c.object_key.in_([image.object_key for image in images]),
                posts.c.post_status != STATUS_DELETED,
            )
        )
    )


def lock(session: Session, post_id: str, statuses: tuple[str, ...] = (STATUS_ACTIVE,)) -> str | None:
    """Return the author of a post in one of these states, None without one.

    Nobody else writes to the post until the end of the transaction. Whoever changes something that hangs on a post takes
    this lock first: two that meet then wait in a row, not in a circle.
    """
    author_id: str | None = session.scalar(
        select(posts.c.user_id).where(posts.c.id == post_id, posts.c.post_status.in_(statuses)).with_for_update()
    )
    return author_id


def change(session: Session, post_id: str, *, title: str | None, content: str | None, now: datetime) -> None:
    """Set what is given."""
    changes: dict[str, Any] = {} if title is None else {"title": title}
    session.execute(update(posts).where(posts.c.id == post_id).values(**changes, updated_at=now))
    if content is not None:
        session.execute(update(post_contents).where(post_contents.c.id == post_id).values(content=content))


def delete(session: Session, post_id: str, now: datetime) -> None:
    """Take a post from sight for good; its row stays."""
    session.execute(update(posts).where(posts.c.id == post_id).values(post_status=STATUS_DELETED, deleted_at=now))


def unerased(session: Session, author_id: str, limit: int) -> list[str]:
    """Return and lock up to `limit` posts of a user, deleted ones too, whose words are still there."""
    left = or_(posts.c.post_status != STATUS_DELETED, posts.c.title != "")
    statement = select(posts.c.id).where(posts.c.user_id == author_id, left).order_by(posts.c.id).limit(limit)
    return list(session.scalars(statement.with_for_update()))


def erase(session: Session, post_ids: Sequence[str], now: datetime) -> None:
    """Delete posts with their pictures and overwrite what they said.

    The rows stay, empty, for the likes and comments of others that hang on them.
    """
    session.execute(delete_from(post_images).where(post_images.c.post_id.in_(post_ids)))
    emptied = update(post_contents).where(post_contents.c.id.in_(post_ids)).values(content="", post_image_key=None)
    session.execute(emptied)
    deleted_at = func.coalesce(posts.c.deleted_at, now)
    session.execute(
        update(posts)
        .where(posts.c.id.in_(post_ids))
        .values(title="", post_status=STATUS_DELETED, deleted_at=deleted_at)
    )


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
