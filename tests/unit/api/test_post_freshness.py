"""How old what two processes show of posts can be: random programs of writes, lost messages, pauses and outages, on a clock of
their own.

MySQL is a history of states; the statements of `posts/shown/store.py` are answered from the state that a reader meets (what
they find in MySQL itself is for the integration tests). All else is the service's own, its watch included. Whatever is shown must
be what MySQL had at some moment of the last two seconds; while it does not answer, of the last five minutes.
"""

import asyncio
import json
import os
import random
import selectors
from bisect import bisect_right
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from bapsang_api.kit.clock import to_wire
from bapsang_api.kit.cursor import Following, Keyset
from bapsang_api.kit.problem import NotFound, Unavailable
from bapsang_api.posts.service import PostService
from bapsang_api.posts.shown import store, watch
from bapsang_api.posts.shown.cache import WITHOUT_DATABASE
from bapsang_api.posts.shown.lists import Wanted
from bapsang_api.posts.shown.store import Changed, PostDetailRow, Standing
from bapsang_api.posts.store import LISTS, TOP

BOUND = 2.0
PROGRAMS = int(os.environ.get("BAPSANG_TEST_FRESHNESS_PROGRAMS", "25"))
START = datetime(2026, 11, 28, tzinfo=UTC)
AUTHORS = ("A", "B")
TAGS = ((), ("a",), ("b",), ("a", "b"))
PAUSES = (*(0.0, 0.05, 0.3, 0.6, 1.0, 1.5, 2.5, 5.0, 6.0) * 3, 11.0, 61.0, 400.0)
LATENCIES = (0.0, 0.001, 0.02, 0.05)
MOST_CHANGES = 12  # that the watch is told at once


class _Skipping(selectors.DefaultSelector):
    """Waits for nothing: whoever sleeps is woken at once, and it is as much later."""

    now = 1_000.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everybody waits, and nobody for a time")
        self.now += max(timeout, 0.0)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while everybody sleeps."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


@dataclass(frozen=True)
class Row:
    """A post in MySQL."""

    post_id: str
    author_id: str
    created_at: datetime
    changed_at: datetime
    title: str = ""
    tags: tuple[str, ...] = ()
    visible: bool = True
    comments: int = 0
    updated_at: datetime | None = None


@dataclass(frozen=True)
class Author:
    """An author in MySQL."""

    changed_at: datetime
    nickname: str = "n"
    updated_at: datetime | None = None


@dataclass(frozen=True)
class State:
    """What has been committed."""

    posts: Mapping[str, Row]
    authors: Mapping[str, Author]

    def page(self, tag: str | None, before: Keyset | None, limit: int) -> list[Following]:
        rows = [row for row in self.posts.values() if row.visible and (tag is None or tag in row.tags)]
        places = sorted(((row.created_at, row.post_id) for row in rows), reverse=True)
        beyond = [place for place in places if before is None or place < (before.created_at, before.item_id or "")]
        return [Following(*place) for place in beyond[:limit]]

    def shown(self, wanted: Wanted) -> tuple[list[str], object]:
        """Return the ids on a page and its cursor."""
        found = self.page(wanted.tag, wanted.before, wanted.size + 1)
        on_it = found[: wanted.size]
        last = on_it[-1] if len(found) > wanted.size else None
        cursor = last and {"id": last.item_id, "createdAt": to_wire(last.created_at)}
        return [place.item_id for place in on_it], cursor


@dataclass(frozen=True)
class Snapshot:
    """What a statement meets."""

    state: State
    now: datetime  # by the database's clock


@dataclass
class MySql:
    """All that was ever committed, and when."""

    loop: Loop
    chosen: Callable[[Sequence[Any]], Any]
    states: list[State] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    ahead: float = 0.0  # seconds of its clock

    def __post_init__(self) -> None:
        long_ago = START - timedelta(days=1)
        posts = [Row(f"{n:026d}", AUTHORS[n % 2], long_ago + timedelta(seconds=n), long_ago, f"t{n}") for n in range(6)]
        self.commit(State({row.post_id: row for row in posts}, {name: Author(long_ago) for name in AUTHORS}))

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.loop.time() + self.ahead)

    def commit(self, state: State) -> None:
        self.states.append(state)
        self.times.append(self.loop.time())

    def at(self, moment: float) -> State:
        return self.states[max(bisect_right(self.times, moment) - 1, 0)]

    def since(self, moment: float) -> list[State]:
        """Return the state at that moment and all later ones."""
        return self.states[max(bisect_right(self.times, moment) - 1, 0) :]

    def down(self, begin: float, end: float) -> tuple[float, float] | None:
        """Return the first outage that was within this time."""
        return next((outage for outage in self.outages if outage[0] <= end and outage[1] >= begin), None)


@dataclass
class Connected:
    """A process's way to MySQL and to a replica, which lags."""

    mysql: MySql
    lags: bool
    lag: float
    dialect = "mysql"
    frozen_until: float = 0.0  # until then nothing of the process runs

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return await self._ask(work, 0.0)

    async def read_lagging(self, work: Callable[[Any], Any]) -> Any:
        return await self._ask(work, self.lag if self.lags else 0.0)

    async def _ask(self, work: Callable[[Any], Any], lag: float) -> Any:
        await self.thawed()
        await asyncio.sleep(self.mysql.chosen(LATENCIES))
        now = self.mysql.loop.time()
        if self.mysql.down(now, now):
            await asyncio.sleep(self.mysql.chosen((0.0, 1.0)))
            raise Unavailable
        answer = work(Snapshot(self.mysql.at(now - lag), self.mysql.now))
        await asyncio.sleep(self.mysql.chosen(LATENCIES))
        await self.thawed()
        return answer

    async def thawed(self) -> None:
        # Less than what is rounded away would never pass.
        while (left := self.frozen_until - self.mysql.loop.time()) > 1e-6:  # noqa: ASYNC110 - it may be put off meanwhile
            await asyncio.sleep(left)


class Nothing:
    """Likes, views and pictures, of which there are none."""

    async def counts(self, post_ids: list[str]) -> dict[str, int]:
        return {}

    def listen(self, listener: object) -> None: ...

    def count(self, post_id: str, viewer: str) -> None: ...

    def url(self, key: str | None) -> str | None:
        return key


def places(on: Snapshot, tag: str | None, before: Keyset | None, limit: int) -> list[Following]:
    return on.state.page(tag, before, limit)


def standings(on: Snapshot, post_ids: Collection[str]) -> dict[str, Standing]:
    rows = [row for name in post_ids if (row := on.state.posts.get(name)) is not None and row.visible]
    authors = on.state.authors
    return {
        row.post_id: Standing(row.author_id, 0, row.comments, 0, (row.updated_at, authors[row.author_id].updated_at))
        for row in rows
    }


def details(on: Snapshot, post_ids: Collection[str]) -> dict[str, tuple[Standing, PostDetailRow]]:
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
                content="c",
                pictures=(),
            ),
        )
        for post_id, standing in standings(on, post_ids).items()
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


def _with_post(row: Row, state: State) -> State:
    return State({**state.posts, row.post_id: row}, state.authors)


def _with_author(name: str, author: Author, state: State) -> State:
    return State(state.posts, {**state.authors, name: author})


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


@pytest.fixture(scope="module", autouse=True)
def statements() -> Iterator[None]:
    """Answer the statements from the model."""
    with pytest.MonkeyPatch.context() as patch:
        for answer in (places, standings, details, changed):
            patch.setattr(store, answer.__name__, answer)
        patch.setattr(watch, "MOST", MOST_CHANGES)
        yield


class Process:
    """A process of the service. Starting it again gives it nothing of what it knew."""

    def __init__(self, mysql: MySql, *, lags: bool, lag: float) -> None:
        self._mysql = mysql
        self.database = Connected(mysql, lags, lag)
        self.start()

    def start(self) -> None:
        nothing: Any = Nothing()
        self.service = service = PostService(self.database, nothing, nothing, nothing, nothing, nothing)  # type: ignore[arg-type]
        for timed in (service._cache, service._cache.recent, service._lists, service._watch):
            timed._timer = self._mysql.loop.time  # type: ignore[attr-defined]
        self.watching = asyncio.create_task(service.follow())

    def restart(self) -> None:
        self.watching.cancel()
        self.start()


class Program:
    """Runs operations on the model and two processes, and holds what they show against the history."""

    def __init__(self, loop: Loop, chance: random.Random) -> None:
        self.loop, self.chosen = loop, chance.choice
        self.mysql = MySql(loop, self.chosen)
        lags, lag = self.chosen((False, True)), self.chosen((0.0, 1.0, 4.0))
        self.processes = [Process(self.mysql, lags=lags, lag=lag) for _ in range(2)]
        self.tasks: set[asyncio.Task[None]] = set()
        self.locked: set[str] = set()
        self.made = 100
        self.reads = 0

    async def run(self, steps: int) -> None:
        acts = [self.write] * 8 + [self.read] * 3 + [self.pause] * 6
        acts += [self.outage, self.freeze, self.restart, self.set_clock]
        readers = [asyncio.create_task(self.keep_reading(process)) for process in self.processes * 2]
        for _ in range(steps):
            await self.chosen(acts)()
        await asyncio.sleep(BOUND)
        for process in self.processes:
            for wanted in (Wanted(None, None, 3), Wanted("a", None, 3)):
                await self.show_page(process, wanted)
        await asyncio.gather(*self.tasks)
        for task in (*readers, *(process.watching for process in self.processes)):
            task.cancel()

    async def keep_reading(self, process: Process) -> None:
        """Ask for the pages of one size time and again, now and then after a long while."""
        size = self.chosen((1, 3, 20))
        while True:
            for tag, before in ((None, None), ("a", None), (None, "middle")):
                self.spawn(self.show_page(process, Wanted(tag, self.start(before), size)))
            await asyncio.sleep(self.chosen((0.1, 0.2, 0.7, 0.7, 1.6, 1.6, 6.0, 12.0, 70.0)))

    def spawn(self, work: Any) -> None:
        self.tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(lambda done: done.exception() or self.tasks.discard(done))

    async def pause(self) -> None:
        await asyncio.sleep(self.chosen(PAUSES))

    async def outage(self) -> None:
        now = self.loop.time()
        self.mysql.outages.append((now, now + self.chosen((0.3, 3.0, 30.0, 2 * WITHOUT_DATABASE))))

    async def freeze(self) -> None:
        self.chosen(self.processes).database.frozen_until = self.loop.time() + self.chosen((0.5, 1.5, 7.0))

    async def restart(self) -> None:
        self.chosen(self.processes).restart()

    async def set_clock(self) -> None:
        """Another server takes over; what was not committed is lost with the one before."""
        now = self.loop.time()
        if self.locked or any(process.database.frozen_until > now for process in self.processes):
            return
        self.mysql.ahead += self.chosen((-20.0, -8.0, -0.4, 8.0))

    async def write(self) -> None:
        """Begin a transaction: its rows are stamped now, it is committed now or later, and then told or not."""
        now = self.loop.time()
        if self.mysql.down(now, now + 3):
            return
        state = self.mysql.states[-1]
        stamp = self.mysql.now
        free = [row for row in state.posts.values() if row.post_id not in self.locked]
        kind = self.chosen(("add", "old", "delete", "show", "tags", "title", "count", "rename"))
        if kind == "rename":
            name = self.chosen(AUTHORS)
            author = Author(stamp, f"n{self.number()}", stamp)
            change: Callable[[State], State] = partial(_with_author, name, author)
            told = {name}
        else:
            if kind in {"add", "old"}:
                age = timedelta(seconds=self.chosen((0.0, 0.3)) if kind == "add" else 86_000.0)
                row = Row(f"{self.number():026d}", self.chosen(AUTHORS), stamp - age, stamp, "new", self.chosen(TAGS))
                name, told = row.post_id, {row.post_id, TOP}
            elif not free:
                return
            else:
                row = self.chosen(free)
                name, told = row.post_id, {row.post_id, LISTS} if kind in {"delete", "show", "tags"} else {row.post_id}
                row = replace(row, changed_at=stamp, **self.changes(kind, row, stamp))
            change = partial(_with_post, row)
        if name in self.locked:
            return
        self.locked.add(name)
        self.spawn(self.commit(name, change, told, self.chosen((0.0, 0.0, 0.1, 2.0))))
        await asyncio.sleep(0)

    def changes(self, kind: str, row: Row, stamp: datetime) -> dict[str, Any]:
        changes: dict[str, dict[str, Any]] = {
            "delete": {"visible": False},
            "show": {"visible": True},
            "tags": {"tags": self.chosen(TAGS), "updated_at": stamp},
            "title": {"title": f"t{self.number()}", "updated_at": stamp},
            "count": {"comments": row.comments + 1},
        }
        return changes[kind]

    def number(self) -> int:
        self.made += 1
        return self.made

    async def commit(self, name: str, change: Callable[[State], State], told: set[str], after: float) -> None:
        await asyncio.sleep(after)
        self.mysql.commit(change(self.mysql.states[-1]))
        self.locked.discard(name)
        for process in self.processes:
            delay = self.chosen((0.0, 0.0, 0.02, 1.0, None, None, None))
            if delay is not None and process.database.frozen_until <= self.loop.time():
                self.loop.call_later(delay, process.service.hear, told)

    async def read(self) -> None:
        for process in self.chosen((self.processes, self.processes, self.processes[:1], self.processes[1:])):
            if self.chosen((True, True, False)):
                before = self.chosen((None, None, None, "middle", "future"))
                wanted = Wanted(self.chosen((None, None, "a", "b")), self.start(before), self.chosen((1, 3, 20)))
                self.spawn(self.show_page(process, wanted))
            else:
                self.spawn(self.show_post(process, self.chosen(list(self.mysql.states[-1].posts))))
        await asyncio.sleep(self.chosen((0.0, 0.001, 0.03)))

    def start(self, before: str | None) -> Keyset | None:
        if before == "future":
            return Keyset(START + timedelta(days=1_000), None)
        if before == "middle":
            return Keyset(*min((row.created_at, row.post_id) for row in list(self.mysql.states[0].posts.values())[3:]))
        return None

    async def show_page(self, process: Process, wanted: Wanted) -> None:
        await process.database.thawed()
        began = self.loop.time()
        try:
            page = json.loads(await process.service.listed(wanted))
        except Unavailable:
            assert self.mysql.down(began, self.loop.time()), "refused although MySQL answers"
            return
        possible = self.possible(process, began)
        shown = [item["postId"] for item in page["items"]], page["nextCursor"]
        assert any(state.shown(wanted) == shown for state in possible), (wanted, shown, began, self.loop.time())
        for item in page["items"]:
            self.hold(item, possible)

    async def show_post(self, process: Process, post_id: str) -> None:
        await process.database.thawed()
        began = self.loop.time()
        try:
            post = json.loads(await process.service.detail(post_id, None, "somebody"))
        except NotFound:
            rows = [state.posts.get(post_id) for state in self.possible(process, began)]
            assert any(row is None or not row.visible for row in rows), (post_id, began)
        except Unavailable:
            assert self.mysql.down(began, self.loop.time()), "refused although MySQL answers"
        else:
            self.hold(post, self.possible(process, began))

    def possible(self, process: Process, began: float) -> list[State]:
        """Return the states that may be shown by an answer to a request that began then."""
        self.reads += 1
        now = self.loop.time()
        if self.mysql.down(began, now):
            return self.mysql.since(now - BOUND - WITHOUT_DATABASE)
        # One that was stopped between question and answer answers what it knew.
        return self.mysql.since((began if process.database.frozen_until > began else now) - BOUND)

    def hold(self, item: dict[str, Any], possible: list[State]) -> None:
        """What changes together must be shown together, as it was at one moment."""
        rows = [row for state in possible if (row := state.posts.get(item["postId"])) is not None and row.visible]
        texts, counts = [(row.title, list(row.tags)) for row in rows], [row.comments for row in rows]
        names = [state.authors[rows[0].author_id].nickname for state in possible] if rows else []
        now = self.loop.time()
        assert (item["title"], item["tags"]) in texts, (now, item, texts)
        assert item["stats"]["commentCount"] in counts, (now, item, counts)
        assert item["author"]["nickname"] in names, (now, item, names)


def run(program: Callable[[Loop], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        await program(loop)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_what_is_shown_is_what_mysql_had_within_the_last_two_seconds(seed: int) -> None:
    run(lambda loop: Program(loop, random.Random(seed)).run(60))


def test_after_more_changes_than_are_told_nobody_trusts_a_replica() -> None:
    """Which they were is known only for a part, and the others are soon too old to be told."""

    async def program(loop: Loop) -> None:
        mysql = MySql(loop, lambda choices: choices[0])
        process = Process(mysql, lags=True, lag=4.0)
        await asyncio.sleep(10)
        now, (changed, *others) = mysql.now, mysql.states[-1].posts.values()
        new = [Row(f"{number:026d}", "A", now, now) for number in range(100, 100 + MOST_CHANGES)]
        changed = replace(changed, title="new", changed_at=now, updated_at=now)
        mysql.commit(State({row.post_id: row for row in (*others, *new, changed)}, mysql.states[-1].authors))
        await asyncio.sleep(3.7)
        post = json.loads(await process.service.detail(changed.post_id, None, "somebody"))
        assert post["title"] == "new"
        process.watching.cancel()

    run(program)


def test_what_has_just_changed_is_not_read_from_a_replica_though_nobody_has_asked_for_it_before() -> None:
    async def program(loop: Loop) -> None:
        mysql = MySql(loop, lambda choices: choices[0])
        process = Process(mysql, lags=True, lag=4.0)
        await asyncio.sleep(10)
        post = next(iter(mysql.states[-1].posts.values()))
        tagged = replace(post, tags=("a",), changed_at=mysql.now, updated_at=mysql.now)
        renamed = Author(mysql.now, "new", mysql.now)
        mysql.commit(_with_author(post.author_id, renamed, _with_post(tagged, mysql.states[-1])))
        await asyncio.sleep(BOUND)
        page = json.loads(await process.service.listed(Wanted("a", None, 3)))
        assert [item["postId"] for item in page["items"]] == [post.post_id]
        for row in mysql.states[-1].posts.values():
            if row.author_id == post.author_id:
                shown = json.loads(await process.service.detail(row.post_id, None, "somebody"))
                assert shown["author"]["nickname"] == "new"
        process.watching.cancel()

    run(program)


def test_a_page_on_which_a_post_is_found_gone_is_full_again() -> None:
    async def program(loop: Loop) -> None:
        mysql = MySql(loop, lambda choices: choices[0])
        process, wanted = Process(mysql, lags=False, lag=0.0), Wanted(None, None, 3)
        await asyncio.sleep(1)
        await process.service.listed(wanted)
        await asyncio.sleep(1)
        newest = list(mysql.states[-1].posts.values())[-1]
        process.service._cache._drop(newest.post_id)  # others have been asked for meanwhile
        mysql.commit(_with_post(replace(newest, visible=False, changed_at=mysql.now), mysql.states[-1]))
        page = json.loads(await process.service.listed(wanted))
        assert ([item["postId"] for item in page["items"]], page["nextCursor"]) == mysql.states[-1].shown(wanted)
        process.watching.cancel()

    run(program)
