"""Every SQL statement and Redis command of upkeep."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError
from sqlalchemy import Connection, ScalarSelect, func, select, true, tuple_, update

from bapsang_api.auth.models import AuthSession
from bapsang_api.comments.models import STATUS_ACTIVE, Comment
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.columns import table_of
from bapsang_api.likes.models import UserPostLike
from bapsang_api.likes.store import DIRTY, LikeStore, PostKeys
from bapsang_api.posts.models import Post
from bapsang_api.posts.store import words_of
from bapsang_api.search import store as texts
from bapsang_api.users.models import UserAuth

posts = table_of(Post)
likes = table_of(UserPostLike)
sessions = table_of(AuthSession)
user_auth = table_of(UserAuth)
comments = table_of(Comment)

LIKES: Final = "like_count"
COMMENTS: Final = "comment_count"
REPLIES: Final = "reply_count"
REDIS: Final = "redis"  # likes as Redis holds them
TORN: Final = "redis_keys"  # the same, where a key is lost: the number of likes and the likes contradict each other, so nobody trusts them
_PROGRESS: Final = "like:reconciled"


@dataclass(frozen=True)
class Difference:
    """A counter that is not the number of its rows; `comment_id` tells whose, if not the post's own."""

    post_id: str
    counter: str
    shown: int
    counted: int
    comment_id: str | None = None


@dataclass(frozen=True)
class Loaded:
    """A post's likes as Redis holds them, all read at one moment."""

    post_id: str
    count: int
    members: int
    pending: Mapping[str, bool]  # user id -> liked, not known to be in the database


@dataclass(frozen=True)
class Progress:
    """How far the reconciliation has come since Redis began. `differences` must be 0."""

    after: str = ""
    posts: int = 0
    differences: int = 0
    turns: int = 0


def post_ids_after(connection: Connection, after: str, limit: int) -> list[str]:
    """Return the next `limit` posts in the order of their ids, deleted ones too."""
    return list(connection.scalars(select(posts.c.id).where(posts.c.id > after).order_by(posts.c.id).limit(limit)))


def existing(connection: Connection, post_ids: Sequence[str]) -> list[str]:
    return list(connection.scalars(select(posts.c.id).where(posts.c.id.in_(post_ids)).order_by(posts.c.id)))


_LIKES: Final = select(func.count()).where(likes.c.post_id == posts.c.id).correlate(posts).scalar_subquery()
_COMMENTS: Final = (
    select(func.count())
    .where(comments.c.post_id == posts.c.id, comments.c.comment_status == STATUS_ACTIVE)
    .correlate(posts)
    .scalar_subquery()
)


def _replies() -> ScalarSelect[int]:
    below = comments.alias("below")
    listed = select(func.count()).where(below.c.comment_group == comments.c.comment_id, below.c.listed == true())
    return listed.where(below.c.comment_id != comments.c.comment_id).correlate(comments).scalar_subquery()


_REPLIES: Final = _replies()


def differences(connection: Connection, post_ids: Sequence[str]) -> list[Difference]:
    """Return which counters of the posts, and of the groups of their comments, differ from their rows."""
    found = []
    for counter, counted in ((LIKES, _LIKES), (COMMENTS, _COMMENTS)):
        statement = select(posts.c.id, posts.c[counter], counted).where(posts.c.id.in_(post_ids)).order_by(posts.c.id)
        found += [
            Difference(row[0], counter, row[1], row[2]) for row in connection.execute(statement) if row[1] != row[2]
        ]
    tops = select(comments.c.post_id, comments.c.comment_id, comments.c.reply_count, _REPLIES.label("counted"))
    groups = tops.where(comments.c.post_id.in_(post_ids), comments.c.depth == 0).subquery("groups")
    differing = select(groups).where(groups.c.reply_count != groups.c.counted).order_by(groups.c.comment_id)
    found += [Difference(row[0], REPLIES, row[2], row[3], row[1]) for row in connection.execute(differing)]
    return found


def correct(connection: Connection, post_ids: Sequence[str]) -> None:
    """Set the counters of the posts, and of the groups of their comments, to the number of their rows.

    The posts are locked first: whoever adds a row has to wait, and adds to the corrected count.
    """
    connection.execute(select(posts.c.id).where(posts.c.id.in_(post_ids)).order_by(posts.c.id).with_for_update()).all()
    for difference in differences(connection, post_ids):
        if difference.comment_id is None:
            whose = update(posts).where(posts.c.id == difference.post_id)
        else:
            whose = update(comments).where(comments.c.comment_id == difference.comment_id)
        connection.execute(whose.values({difference.counter: difference.counted}))


def like_rows(connection: Connection, post_ids: Sequence[str]) -> dict[str, int]:
    """Return how many likes of each post are in the database; posts without any are left out."""
    statement = select(likes.c.post_id, func.count()).where(likes.c.post_id.in_(post_ids)).group_by(likes.c.post_id)
    return {row[0]: row[1] for row in connection.execute(statement)}


def stored_pairs(connection: Connection, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return which of these likes (post id, user id) are in the database."""
    if not pairs:
        return set()
    statement = select(likes.c.post_id, likes.c.user_id).where(tuple_(likes.c.post_id, likes.c.user_id).in_(pairs))
    return {(post_id, user_id) for post_id, user_id in connection.execute(statement)}


class RecountStore:
    """The Redis side: likes as they are held, and how far the reconciliation has come."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis, self._clock = redis, clock
        self.unload = LikeStore(redis).unload

    async def loaded(self, post_ids: Sequence[str]) -> list[Loaded]:
        """Return those of the posts whose likes Redis holds. Marks again what waits and has lost its mark."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            for post_id in post_ids:
                keys = PostKeys.of(post_id)
                pipeline.get(keys.size)
                pipeline.scard(keys.users)
                pipeline.bitcount(keys.bits)
                pipeline.hgetall(keys.claim)
                pipeline.hgetall(keys.delta)
            answers = await pipeline.execute()
        found, waiting = [], []
        for post_id, size, members, bits, claim, delta in zip(
            post_ids, *(answers[start::5] for start in range(5)), strict=True
        ):
            pending = {user_id: state == "1" for user_id, state in {**claim, **delta}.items() if user_id != "id"}
            if pending:
                waiting.append(post_id)
            if size is not None:
                found.append(Loaded(post_id, int(size), int(members) + int(bits), pending))
        if waiting:
            # Pending changes of a post without a mark would never be written back; a mark without changes does nothing.
            with suppress(OutOfMemoryError):  # most are marked, and a write-back from a full Redis must go on
                await self._redis.zadd(
                    DIRTY, dict.fromkeys(waiting, int(self._clock.now().timestamp() * 1000)), nx=True
                )
        return found

    async def progress(self) -> Progress:
        fields = await self._redis.hgetall(_PROGRESS)
        numbers = {name: int(fields.get(name, 0)) for name in ("posts", "differences", "turns")}
        return Progress(str(fields.get("after", "")), **numbers)

    async def advance(self, after: str, *, posts: int, differences: int, turns: int) -> None:
        """Go on after this post the next time; the rest is added to what is there. A full Redis keeps nothing of it."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(_PROGRESS, "after", after)
            for name, more in (("posts", posts), ("differences", differences), ("turns", turns)):
                pipeline.hincrby(_PROGRESS, name, more)
            with suppress(OutOfMemoryError):
                await pipeline.execute()


def forget_login(connection: Connection, user_id: str) -> None:
    """Remove what could still tell who a withdrawn account belonged to: traces of the e-mail, password, devices."""
    connection.execute(
        update(user_auth)
        .where(user_auth.c.user_id == user_id)
        .values(withdrawn_email_hash=None, withdrawn_at=None, password_hash=None)
    )
    connection.execute(update(sessions).where(sessions.c.user_id == user_id).values(user_agent=None))


def make_found(connection: Connection, post_ids: Sequence[str]) -> int:
    """Make those of the posts that cannot be found yet searchable; return how many there were.

    They are locked first: somebody who changes one at the same moment has to wait, and writes over what is written here.
    """
    missing = sorted(set(post_ids) - texts.known(connection, post_ids))
    connection.execute(select(posts.c.id).where(posts.c.id.in_(missing)).order_by(posts.c.id).with_for_update()).all()
    words = words_of(connection, missing)
    for post in words:
        texts.put(connection, *post)
    return len(words)
