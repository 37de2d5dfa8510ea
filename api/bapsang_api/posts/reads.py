"""Posts in the read model: what a process keeps of them, rendered as bytes, with their counts."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bapsang_api.kit.concurrency import Coalescer
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.posts import queries
from bapsang_api.posts.counts import LikeCounts, ViewCounts
from bapsang_api.posts.view import PostDetailView, PostVersion
from bapsang_api.posts.views import Views
from bapsang_api.posts.wire import Rendered
from bapsang_api.readmodel.cache import Cache, Read
from bapsang_api.readmodel.entry import EXPIRED, HARD_SECONDS, REREAD_SECONDS, SOFT_SECONDS, Bounds, Loaded
from bapsang_api.readmodel.feed import ChangeFeed

# What an evening's readers open; authors decide how long posts are.
POSTS: Final = Bounds(entries=20_000, bytes=32 * 1024 * 1024)
# Of the newest posts that a process reads when it starts.
_WARM_AT_ONCE: Final = 50  # a few milliseconds, for which requests wait
_WARM_PAUSE: Final = 0.05  # seconds, which are theirs
_RETRY_SECONDS: Final = 5.0
_revisions = itertools.count(1)


@dataclass(slots=True)
class Post:
    """A post as it is shown. `counted` is when likes and views were (monotonic seconds, before Redis was asked)."""

    rendered: Rendered
    version: int
    written_likes: int  # by its row
    likes: int
    comments: int
    written_views: int  # by its row, at least
    views: int
    counted: float
    revision: int = field(default_factory=_revisions.__next__)  # another one whenever something else is shown

    def item(self) -> bytes:
        return self.rendered.item(self.likes, self.comments, self.views)

    def detail(self, is_liked: bytes) -> bytes:
        return self.rendered.detail(self.likes, self.comments, self.views, is_liked)


class PostReads:
    """Posts by the rule of the read model; their likes and views are counted in Redis and are as old as an entry may be."""

    def __init__(
        self,
        database: Database,
        feed: ChangeFeed,
        likes: LikeCounts,
        views: ViewCounts,
        render: Callable[[PostDetailView], Rendered],
        *,
        bounds: Bounds = POSTS,
    ) -> None:
        self._database, self._feed, self._render, self._timer = database, feed, render, feed.now
        self._likes, self._views = likes, views
        self.posts: Cache[str, Post] = Cache(database, feed, self._load_posts, bounds)
        self._counts: Coalescer[str, bool] = Coalescer(self._count)

    async def post(self, post_id: str) -> Post | None:
        """Return a visible post but for its likes. Raises Unavailable."""
        entry = self.posts.peek(post_id) or await self.posts.get(post_id)
        return None if entry is None else entry.value

    async def counted(self, post_id: str, post: Post) -> Post:
        """Return the post with its likes as they are now, or were a moment ago."""
        if not self._is_counted(post_id, post):
            await self._counts.get(post_id)
        return post

    def count_likes(self, post_id: str, likes: int) -> None:
        """Show this count from now on."""
        if (entry := self.posts.find(post_id)) is not None:
            self.show(entry.value, likes, None)

    def count_views(self, post_id: str, views: Views) -> None:
        """Show these views from now on."""
        if (entry := self.posts.find(post_id)) is not None:
            self.show(entry.value, None, views)

    def show(self, post: Post, likes: int | None, views: Views | None, counted: float | None = None) -> None:
        """Show the counts that are given from now on, as of `counted` or of now."""
        before = post.likes, post.views
        if likes is not None:
            post.likes = likes
            post.counted = max(post.counted, self._timer() if counted is None else counted)
        if views is not None:
            post.written_views = max(post.written_views, views.written)
            post.views = post.written_views + views.unwritten
        if (post.likes, post.views) != before:
            post.revision = next(_revisions)
            self.posts.turns += 1

    async def warm_up(self) -> None:
        """Read the newest posts, as many as there is room for: a process that comes up at the peak must not read them one by one.

        On SQLite nobody reports changes, so they would soon be old.
        """
        before: Following | None = None
        more = self._database.dialect == "mysql"
        while more:
            try:
                newest = partial(queries.places, tag=None, before=before, limit=_WARM_AT_ONCE)
                places = await self._database.read_lagging(newest)
                more = await self.posts.warm([place.item_id for place in places]) and len(places) == _WARM_AT_ONCE
            except (Unavailable, DBAPIError, *OUTAGE):  # of a database that is not migrated yet, too
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            before = places[-1] if places else None
            await asyncio.sleep(_WARM_PAUSE)

    def at_hand(self, post_ids: Iterable[str]) -> tuple[list[Post], float] | None:
        """Return the posts if all may be served right now, and until when nothing has to be asked about any of them.

        Until then only a turn of the cache (Cache.turns) can make that wrong.
        """
        entries = self.posts.peek_all(post_ids)
        if entries is None:
            return None
        due, until, posts = self._timer() - SOFT_SECONDS, float("inf"), []
        for entry in entries:
            post = entry.value
            if post.counted <= due and not self._is_counted(entry.key, post):
                return None
            posts.append(post)
            until = (
                min(until, post.counted + SOFT_SECONDS, entry.read_at + REREAD_SECONDS) if entry.followed else EXPIRED
            )
        return posts, until

    async def all_of(self, post_ids: Collection[str]) -> dict[str, Post]:
        """Return the posts that are there, by their ids and in their order; one that has just gone is left out."""

        async def one(post_id: str) -> Post | None:
            post = await self.post(post_id)
            return None if post is None else await self.counted(post_id, post)

        found = await asyncio.gather(*map(one, post_ids))
        return {post_id: post for post_id, post in zip(post_ids, found, strict=True) if post is not None}

    def _is_counted(self, post_id: str, post: Post) -> bool:
        age = self._timer() - post.counted
        if age < SOFT_SECONDS:
            return True
        if age >= HARD_SECONDS:
            return False
        self._counts.prefetch(post_id)
        return True

    async def live(self, post_ids: list[str]) -> tuple[dict[str, int], dict[str, Views]]:
        """Return likes and views as Redis has them, in one exchange; none of those while it is down."""
        likes, views = await asyncio.gather(
            self._likes.counts(post_ids), self._views.unwritten(post_ids), return_exceptions=True
        )
        if isinstance(likes, BaseException):
            raise likes
        if isinstance(views, OUTAGE):
            return likes, {}
        if isinstance(views, BaseException):
            raise views
        return likes, views

    async def _count(self, post_ids: Collection[str]) -> dict[str, bool]:
        asked = self._timer()
        likes, views = await self.live(list(post_ids))
        for post_id in post_ids:
            entry = self.posts.find(post_id)
            if entry is not None and entry.value.counted < asked:
                known = likes.get(post_id, entry.value.written_likes)
                self.show(entry.value, known, views.get(post_id), counted=asked)
        return {}

    async def _load_posts(
        self, post_ids: Collection[str], known: Mapping[str, Post], read: Read[Any]
    ) -> dict[str, Loaded[Post]]:
        asked = self._timer()
        likes, views = await self.live(list(post_ids))
        versions, details = await read(
            partial(_read_posts, post_ids, {name: post.version for name, post in known.items()})
        )
        loaded = {}
        for post_id, version in versions.items():
            detail, before = details.get(post_id), known.get(post_id)
            if detail is None and before is None:
                continue  # deleted between the two statements
            rendered = self._render(detail) if detail is not None else before.rendered  # type: ignore[union-attr]
            post = Post(
                rendered=rendered,
                version=_number_of(version),
                written_likes=version.like_count,
                likes=likes.get(post_id, version.like_count),
                comments=version.comment_count,
                written_views=version.view_count,
                views=version.view_count,
                counted=asked,
            )
            if post_id in views:
                self.show(post, None, views[post_id])
            if before is not None and before.counted >= asked:  # counted anew while it was read
                post.likes, post.views, post.counted = before.likes, max(before.views, post.views), before.counted
            if before is not None and _shows_the_same(before, post):
                post.revision = before.revision
            loaded[post_id] = Loaded(post, (version.author_id,), rendered.size)
        return loaded


def _read_posts(
    post_ids: Collection[str], known: Mapping[str, int], connection: Connection
) -> tuple[dict[str, PostVersion], dict[str, PostDetailView]]:
    """Return the version of each post, and those in whole whose version is another than the one known."""
    held = [post_id for post_id in post_ids if post_id in known]
    versions = {one.post_id: one for one in queries.versions(connection, held)} if held else {}
    new = [post_id for post_id in post_ids if post_id not in known]
    new += [post_id for post_id, version in versions.items() if known[post_id] != _number_of(version)]
    details = {one.post_id: one for one in queries.details(connection, new)} if new else {}
    return versions | {post_id: PostVersion.of(one) for post_id, one in details.items()}, details


def _shows_the_same(before: Post, post: Post) -> bool:
    counts, known = (post.likes, post.comments, post.views), (before.likes, before.comments, before.views)
    return before.rendered is post.rendered and counts == known


def _number_of(version: PostVersion) -> int:
    """Return when the post, its author and its pictures were last changed in one number: 20,000 of them are kept."""
    times = _micros(version.updated_at) << 64 | _micros(version.author_updated_at)
    return times << 32 | version.picture_version


def _micros(moment: datetime | None) -> int:
    return 0 if moment is None else round(moment.timestamp() * 1_000_000)
