"""Every SQL statement and Redis command of upkeep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from redis.asyncio import Redis
from sqlalchemy import TableClause, column, func, inspect, select, table, tuple_, update
from sqlalchemy.orm import Session

from bapsang_api.auth.models import AuthSession
from bapsang_api.kit.columns import table_of
from bapsang_api.likes.models import UserPostLike
from bapsang_api.likes.store import PostKeys
from bapsang_api.posts.models import STATUS_DELETED, Post, PostContent
from bapsang_api.posts.store import words_of
from bapsang_api.search import store as texts
from bapsang_api.tags import store as tags
from bapsang_api.users.models import UserAuth

posts = table_of(Post)
post_contents = table_of(PostContent)
likes = table_of(UserPostLike)
sessions = table_of(AuthSession)
user_auth = table_of(UserAuth)
comments: Final[TableClause] = table("comments", column("post_id"), column("comment_status"))

LIKES: Final = "like_count"
COMMENTS: Final = "comment_count"


@dataclass(frozen=True)
class Difference:
    """A counter that is not the number of its rows."""

    post_id: str
    counter: str
    shown: int
    counted: int


@dataclass(frozen=True)
class Loaded:
    """A post's likes as Redis holds them, all read at one moment."""

    post_id: str
    count: int
    members: int
    pending: Mapping[str, bool]  # user id -> liked, not known to be in the database


def ids_after(session: Session, post_id: str, limit: int) -> list[str]:
    """Return the next `limit` posts in the order of their ids, deleted ones too."""
    return list(session.scalars(select(posts.c.id).where(posts.c.id > post_id).order_by(posts.c.id).limit(limit)))


def existing(session: Session, post_ids: Sequence[str]) -> list[str]:
    return list(session.scalars(select(posts.c.id).where(posts.c.id.in_(post_ids)).order_by(posts.c.id)))


def differences(session: Session, post_ids: Sequence[str]) -> list[Difference]:
    """Return which counters of the posts differ from their rows."""
    rows_of: dict[str, Any] = {LIKES: select(func.count()).where(likes.c.post_id == posts.c.id)}
    if inspect(session.connection()).has_table(comments.name):
        rows_of[COMMENTS] = select(func.count()).where(
            comments.c.post_id == posts.c.id, comments.c.comment_status == "ACTIVE"
        )
    found = []
    for counter, counting in rows_of.items():
        counted = counting.correlate(posts).scalar_subquery()
        statement = select(posts.c.id, posts.c[counter], counted).where(posts.c.id.in_(post_ids)).order_by(posts.c.id)
        found += [Difference(row[0], counter, row[1], row[2]) for row in session.execute(statement) if row[1] != row[2]]
    return found


def correct(session: Session, post_ids: Sequence[str]) -> None:
    """Set the counters of the posts to the number of their rows.

    The posts are locked first: whoever adds a row has to wait, and adds to the corrected count.
    """
    session.execute(select(posts.c.id).where(posts.c.id.in_(post_ids)).order_by(posts.c.id).with_for_update()).all()
    for difference in differences(session, post_ids):
        session.execute(
            update(posts).where(posts.c.id == difference.post_id).values({difference.counter: difference.counted})
        )


def like_rows(session: Session, post_ids: Sequence[str]) -> dict[str, int]:
    """Return how many likes of each post are in the database; posts without any are left out."""
    statement = select(likes.c.post_id, func.count()).where(likes.c.post_id.in_(post_ids)).group_by(likes.c.post_id)
    return {row[0]: row[1] for row in session.execute(statement)}


def stored_pairs(session: Session, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return which of these likes (post id, user id) are in the database."""
    if not pairs:
        return set()
    statement = select(likes.c.post_id, likes.c.user_id).where(tuple_(likes.c.post_id, likes.c.user_id).in_(pairs))
    return {(post_id, user_id) for post_id, user_id in session.execute(statement)}


async def loaded(redis: Redis, post_ids: Sequence[str]) -> list[Loaded]:
    """Return those of the posts whose likes Redis holds."""
    async with redis.pipeline(transaction=True) as pipeline:
        for post_id in post_ids:
            keys = PostKeys.of(post_id)
            pipeline.get(keys.count)
            pipeline.scard(keys.users)
            pipeline.hgetall(keys.claim)
            pipeline.hgetall(keys.delta)
        answers = await pipeline.execute()
    found = []
    for post_id, count, members, claim, delta in zip(
        post_ids, answers[::4], answers[1::4], answers[2::4], answers[3::4], strict=True
    ):
        if count is not None:
            pending = {user_id: state == "1" for user_id, state in {**claim, **delta}.items()}
            found.append(Loaded(post_id, int(count), int(members), pending))
    return found


async def unload(redis: Redis, post_id: str) -> None:
    """Make the next reader load the post's likes again. What is not yet written back stays."""
    keys = PostKeys.of(post_id)
    await redis.unlink(keys.users, keys.count)


def forget_login(session: Session, user_id: str) -> None:
    """Remove what could still tell who a withdrawn account belonged to: traces of the e-mail, password, devices."""
    session.execute(
        update(user_auth)
        .where(user_auth.c.user_id == user_id)
        .values(withdrawn_email_hash=None, withdrawn_at=None, password_hash=None)
    )
    session.execute(update(sessions).where(sessions.c.user_id == user_id).values(user_agent=None))


def erase_posts(session: Session, user_id: str, now: datetime, limit: int) -> int:
    """Delete up to `limit` posts of a user and overwrite what they said; return how many there were.

    The rows stay, empty, for the likes and comments of others that hang on them.
    """
    left = (posts.c.post_status != STATUS_DELETED) | (posts.c.title != "")
    ids = list(
        session.scalars(select(posts.c.id).where(posts.c.user_id == user_id, left).order_by(posts.c.id).limit(limit))
    )
    if ids:
        session.execute(
            update(post_contents).where(post_contents.c.id.in_(ids)).values(content="", post_image_key=None)
        )
        session.execute(
            update(posts)
            .where(posts.c.id.in_(ids))
            .values(title="", tags=(), post_status=STATUS_DELETED, deleted_at=func.coalesce(posts.c.deleted_at, now))
        )
        texts.remove(session, ids)
        tags.remove(session, ids)
    return len(ids)


def make_found(session: Session, post_ids: Sequence[str]) -> int:
    """Make those of the posts that cannot be found yet searchable; return how many there were.

    They are locked first: somebody who changes one at the same moment has to wait, and writes over what is written here.
    """
    missing = sorted(set(post_ids) - texts.known(session, post_ids))
    session.execute(select(posts.c.id).where(posts.c.id.in_(missing)).order_by(posts.c.id).with_for_update()).all()
    words = words_of(session, missing)
    for post in words:
        texts.put(session, *post)
    return len(words)
