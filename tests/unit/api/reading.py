"""A process that shows posts from a MySQL that is a history of states, on a clock of its own.

The one place that knows how the service reads: the statements of `posts/shown/store.py` are answered from the state that a reader
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
from bapsang_api.posts.service import PostService
from bapsang_api.posts.shown import store, watch
from bapsang_api.posts.shown.bounds import USUAL, Bounds
from bapsang_api.posts.shown.lists import Wanted
from bapsang_api.posts.shown.store import Changed, PostDetailRow, Standing

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
        # Less than what is rounded away would never pass.
        while (left := self.frozen_until - self.mysql.loop.time()) > 1e-6:  # noqa: ASYNC110 - it may be put off meanwhile
            await asyncio.sleep(left)


class Nothing:
    """Views and pictures, of which there are none."""

    def count(self, post_id: str, viewer: str) -> None: ...

    def url(self, key: str | None) -> str | None:
        return key


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


def standings(on: Snapshot, post_ids: Collection[str]) -> dict[str, Standing]:
    on.asked.extend(("standings", post_id) for post_id in post_ids)
    return _standings(on, post_ids)


def _standings(on: Snapshot, post_ids: Collection[str]) -> dict[str, Standing]:
    rows = [row for name in post_ids if (row := on.state.posts.get(name)) is not None and row.visible]
    authors = on.state.authors
    return {
        row.post_id: Standing(row.author_id, 0, row.comments, 0, (row.updated_at, authors[row.author_id].updated_at))
        for row in rows
    }


def details(on: Snapshot, post_ids: Collection[str]) -> dict[str, tuple[Standing, PostDetailRow]]:
    on.asked.extend(("details", post_id) for post_id in post_ids)
    return {
        post_id: (
            standing,
            PostDetailRow(
                post_id=post_id,
                title=(row := on.state.posts[post_id]).title,
                created_at=row.created_at,
                author_nickname=on.state.authors[row.author_id].nickname,
                author_image_key=None,
                image_key=None,
                like_count=0,
                comment_count=row.comments,
                view_count=0,
                tags=row.tags,
                updated_at=row.updated_at,
                content=row.content,
                pictures=(),
            ),
        )
        for post_id, standing in _standings(on, post_ids).items()
    }


def changed(on: Snapshot, since: datetime | None, most: int) -> Changed:
    since = since or on.now - timedelta(seconds=store.FIRST_SECONDS)
    texts = [
        f"{_text(row.changed_at)} {'h' if not row.visible else 't' if row.tags else 'p'} {_text(row.created_at)} {name}"
        for name, row in on.state.posts.items()
        if row.changed_at >= since
    ]
    texts += [
        f"{_text(author.changed_at)} {name}" for name, author in on.state.authors.items() if author.changed_at >= since
    ]
    found = frozenset(texts[:most])
    return Changed(on.now, found, whole=len(found) < most)


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


@contextmanager
def statements_of_the_model() -> Iterator[None]:
    """Answer the service's statements from the model."""
    with pytest.MonkeyPatch.context() as patch:
        for answer in (places, standings, details, changed):
            patch.setattr(store, answer.__name__, answer)
        patch.setattr(watch, "MOST", MOST_CHANGES)
        yield


class Process:
    """A process of the service. Starting it again gives it nothing of what it knew."""

    def __init__(
        self, mysql: MySql, *, lags: bool = False, lag: float = 0.0, bounds: Bounds = USUAL, watches: bool = True
    ) -> None:
        self._mysql, self._bounds, self._watches = mysql, bounds, watches
        self.database, self.likes = Connected(mysql, lags, lag), Likes()
        self.start()

    def start(self) -> None:
        nothing: Any = Nothing()
        self.service = PostService(
            *(self.database, nothing, self.likes, nothing, nothing, nothing),  # type: ignore[arg-type]
            timer=self._mysql.loop.time,
            bounds=self._bounds,
        )
        self.watching = asyncio.create_task(self.service.follow() if self._watches else asyncio.sleep(0))

    def restart(self) -> None:
        self.watching.cancel()
        self.start()

    async def post(self, post_id: str) -> dict[str, Any] | None:
        """Return what a detail shows, None where it is 404. Raises Unavailable."""
        try:
            shown: dict[str, Any] = json.loads(await self.service.detail(post_id, None, "somebody"))
        except NotFound:
            return None
        return shown

    async def page(self, wanted: Wanted) -> dict[str, Any]:
        """Return what a list shows. Raises Unavailable."""
        shown: dict[str, Any] = json.loads(await self.service.listed(wanted))
        return shown


def run(program: Callable[[Loop], Coroutine[Any, Any, None]]) -> None:
    """Run a program on a loop of its own, whose time passes only while everybody sleeps."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        await program(loop)

    with statements_of_the_model(), asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())
