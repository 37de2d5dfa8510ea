"""A process that shows posts from a MySQL that is a history of states, on a clock of its own.

The one place that knows how the service reads: the statements of `posts/queries.py` are answered from the state that a reader
meets (what they find in MySQL itself is for the integration tests). Tests act by the verbs of `PostService` alone.
"""

import asyncio
import json
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import ProgrammingError

from bapsang_api.kit.db.keyset import Following, Keyset
from bapsang_api.kit.problem import NotFound, Unavailable
from bapsang_api.posts import listing, lists, queries
from bapsang_api.posts.listing import Wanted, place_of
from bapsang_api.posts.lists import PAGES
from bapsang_api.posts.reads import POSTS
from bapsang_api.posts.service import PostService
from bapsang_api.posts.view import PostDetailView, PostVersion
from bapsang_api.readmodel import feed
from bapsang_api.readmodel.entry import Bounds
from bapsang_api.readmodel.feed import Answer, ChangeFeed, Source

from .history import Loop, MySql, Snapshot

LATENCIES = (0.0, 0.001, 0.02, 0.05)
MOST_CHANGES = 12  # that a process is told at once


@dataclass
class Connected:
    """A process's way to MySQL and to a replica, which lags."""

    mysql: MySql
    lags: bool
    lag: float
    dialect = "mysql"
    frozen_until: float = 0.0  # until then nothing of the process runs
    writer_answers: bool = True  # to this process
    migrated: bool = True
    slow: dict[str, float] = field(default_factory=dict)  # seconds from a statement's snapshot to its answer
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # server, statement, and what it was asked for

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return await self._ask(work, "writer", 0.0)

    async def read_lagging(self, work: Callable[[Any], Any]) -> Any:
        return await (self._ask(work, "replica", self.lag) if self.lags else self.read(work))

    async def _ask(self, work: Callable[[Any], Any], server: str, lag: float) -> Any:
        await self.thawed()
        await asyncio.sleep(self.mysql.chosen(LATENCIES))
        now = self.mysql.loop.time()
        if self.mysql.down(now, now) or (server == "writer" and not self.writer_answers):
            await asyncio.sleep(self.mysql.chosen((0.0, 1.0)))
            raise Unavailable
        if not self.migrated:
            raise ProgrammingError("SELECT", {}, Exception("no such table"))
        snapshot = Snapshot(self.mysql.at(now - lag), self.mysql.now)
        answer = work(snapshot)
        self.asked += [(server, *asked) for asked in snapshot.asked]
        await asyncio.sleep(max((self.slow.get(statement, 0.0) for statement, _ in snapshot.asked), default=0.0))
        await asyncio.sleep(self.mysql.chosen(LATENCIES))
        await self.thawed()
        return answer

    async def thawed(self) -> None:
        """Wait until the process runs again; a time-out that is due by then is noticed no sooner."""
        cancelled = False
        # Less than what is rounded away would never pass.
        while (left := self.frozen_until - self.mysql.loop.time()) > 1e-6:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError


class Nothing:
    """Views and pictures, of which there are none."""

    def count(self, post_id: str, viewer: str, shown: Any) -> None: ...

    async def unwritten(self, post_ids: list[str]) -> dict[str, Any]:
        return {}

    on = True

    def may_hide(self, user_id: str) -> bool:
        return False

    def url(self, key: str | None, *_: object) -> str | None:
        return key

    def shown(self, *_: object) -> None: ...


class Likes:
    """Likes, as a test says, and who is told of them."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}
        self.asked = 0
        self.tell: Callable[[str, int], None] = lambda _, __: None

    async def counts(self, post_ids: list[str]) -> dict[str, int]:
        self.asked += 1
        return {post_id: self.found[post_id] for post_id in post_ids if post_id in self.found}

    def listen(self, listener: Callable[[str, int], None]) -> None:
        self.tell = listener


def places(on: Snapshot, tag: str | None, before: Keyset | None, limit: int) -> list[Following]:
    on.asked.append(("places", tag or ""))
    return on.state.page(tag, before, limit)


def newest(on: Snapshot, most: int) -> list[str]:
    on.asked.append(("newest", ""))
    return [place_of(place.created_at, place.item_id) for place in on.state.page(None, None, most)]


def versions(on: Snapshot, post_ids: Collection[str]) -> list[PostVersion]:
    on.asked.extend(("versions", post_id) for post_id in post_ids)
    return [PostVersion.of(view) for view in _views(on, post_ids)]


def details(on: Snapshot, post_ids: Collection[str]) -> list[PostDetailView]:
    on.asked.extend(("details", post_id) for post_id in post_ids)
    return _views(on, post_ids)


def _views(on: Snapshot, post_ids: Collection[str]) -> list[PostDetailView]:
    rows = [row for name in post_ids if (row := on.state.posts.get(name)) is not None and row.visible]
    return [
        PostDetailView(
            post_id=row.post_id,
            title=row.title,
            created_at=row.created_at,
            nickname=on.state.authors[row.author_id].nickname,
            author_image_key=None,
            author_photo=None,
            image_key=None,
            photo=None,
            like_count=0,
            comment_count=row.comments,
            view_count=0,
            tags=row.tags,
            updated_at=row.updated_at,
            content=row.content,
            author_id=row.author_id,
            author_updated_at=on.state.authors[row.author_id].updated_at,
            picture_version=0,
            pictures=(),
        )
        for row in rows
    ]


def ask(on: Snapshot, since: datetime | None, most: int) -> Answer:
    since = since or on.now - timedelta(seconds=5)
    texts = [
        f"{_text(row.changed_at)} {'h' if not row.visible else 't' if row.tags else 'p'} 0 {_text(row.created_at)} {name}"
        for name, row in on.state.posts.items()
        if row.changed_at >= since
    ]
    texts += [
        f"{_text(author.changed_at)} u {name}"
        for name, author in on.state.authors.items()
        if author.changed_at >= since
    ]
    found = frozenset(texts[:most])
    return Answer(on.now, found, whole=len(found) < most)


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


@contextmanager
def statements_of_the_model(known: int) -> Iterator[None]:
    """Answer the service's statements from the model; a process knows the order of `known` of the newest posts."""
    with pytest.MonkeyPatch.context() as patch:
        for answer in (places, newest, versions, details):
            patch.setattr(queries, answer.__name__, answer)
        patch.setattr(feed, "MOST_CHANGES", MOST_CHANGES)
        for module in (lists, listing):
            patch.setattr(module, "NEWEST", known)
        patch.setattr(lists, "HEAD", min(known, 3))
        yield


class Process:
    """A process of the service. Starting it again gives it nothing of what it knew."""

    def __init__(
        self,
        mysql: MySql,
        *,
        lags: bool = False,
        lag: float = 0.0,
        bounds: tuple[Bounds, Bounds] = (POSTS, PAGES),
        polls: bool = True,
    ) -> None:
        self._mysql, self._bounds, self._polls = mysql, bounds, polls
        self.database, self.likes, self.in_flight = Connected(mysql, lags, lag), Likes(), 1
        self.start()

    def start(self) -> None:
        nothing: Any = Nothing()
        source: Any = Source(ask, queries.parse)
        self.feed = ChangeFeed(self.database, source, timer=self._mysql.loop.time)  # type: ignore[arg-type]
        self.service = PostService(
            *(self.database, nothing, self.likes, nothing, nothing, nothing, self.feed, nothing),  # type: ignore[arg-type]
            serving=lambda: self.in_flight,
            bounds=self._bounds,
        )
        self.polling = asyncio.create_task(self.feed.follow_database() if self._polls else asyncio.sleep(0))

    def restart(self) -> None:
        self.polling.cancel()
        self.start()

    async def post(self, post_id: str) -> dict[str, Any] | None:
        """Return what a detail shows, None where it is 404. Raises Unavailable."""
        try:
            shown: dict[str, Any] = json.loads(await self.service.detail(post_id, None, "somebody"))
        except NotFound:
            return None
        return shown

    async def page(self, wanted: Wanted, user_id: str | None = None) -> dict[str, Any]:
        """Return what a list shows to a user, or to whoever has no token. Raises Unavailable."""
        shown: dict[str, Any] = json.loads((await self.service.listed(wanted, user_id)).plain)
        return shown


def run(program: Callable[[Loop], Coroutine[Any, Any, None]], *, known: int = 8) -> None:
    """Run a program on a loop of its own, whose time passes only while everybody sleeps."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        await program(loop)

    with statements_of_the_model(known), asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())
