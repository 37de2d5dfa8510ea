"""How old what two processes show of posts can be: random programs of writes, lost messages, pauses and outages, on a clock of
their own.

Whatever is shown must be what MySQL had at some moment of the last two seconds; while it does not answer, of the last five
minutes. Single cases: test_post_cache.py.
"""

import asyncio
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from bapsang_api.kit.db.keyset import Keyset
from bapsang_api.kit.problem import NotFound, Unavailable
from bapsang_api.posts.listing import LISTS, TOP, Wanted
from bapsang_api.readmodel.entry import OUTAGE_SECONDS
from bapsang_api.readmodel.feed import FAILURE_SECONDS

from .history import AUTHORS, START, Author, Loop, MySql, Row, State
from .reading import MOST_CHANGES, Process, run

BOUND = 2.0
PROGRAMS = int(os.environ.get("BAPSANG_TEST_FRESHNESS_PROGRAMS", "25"))
TAGS = ((), ("a",), ("b",), ("a", "b"))
PAUSES = (*(0.0, 0.05, 0.3, 0.6, 1.0, 1.5, 2.5, 5.0, 6.0) * 3, 11.0, 61.0, 400.0)


class Program:
    """Runs operations on the model and two processes, and holds what they show against the history."""

    def __init__(self, loop: Loop, chance: random.Random) -> None:
        self.loop, self.chosen = loop, chance.choice
        self.mysql = MySql(loop, self.chosen)
        lags, lag = self.chosen((False, True)), self.chosen((0.0, 1.0, 4.0, 30.0))
        self.processes = [Process(self.mysql, lags=lags, lag=lag) for _ in range(2)]
        self.tasks: set[asyncio.Task[None]] = set()
        self.locked: set[str] = set()
        self.stamps: set[datetime] = set()
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
        for task in (*readers, *(process.polling for process in self.processes)):
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
        self.mysql.outages.append((now, now + self.chosen((0.3, 3.0, 30.0, 2 * OUTAGE_SECONDS))))

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
        stamp = self.stamp()
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

    def stamp(self) -> datetime:
        """Return the time by MySQL's clock, another one for each statement: here it stands still between two of them."""
        stamp = self.mysql.now
        while stamp in self.stamps:
            stamp += timedelta(microseconds=1)
        self.stamps.add(stamp)
        return stamp

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
                self.loop.call_later(delay, process.feed.receive, told)

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
        process.in_flight = self.chosen((1, 100))
        try:
            page = json.loads((await process.service.listed(wanted, None)).plain)
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
        if self.mysql.down(began - BOUND, now):
            return self.mysql.since(now - BOUND - OUTAGE_SECONDS)
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


def _with_post(row: Row, state: State) -> State:
    return State({**state.posts, row.post_id: row}, state.authors)


def _with_author(name: str, author: Author, state: State) -> State:
    return State(state.posts, {**state.authors, name: author})


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_what_is_shown_is_what_mysql_had_within_the_last_two_seconds(seed: int) -> None:
    run(lambda loop: Program(loop, random.Random(seed)).run(60), known=(0, 3, 8)[seed % 3])


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
        process.polling.cancel()

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
        page = json.loads((await process.service.listed(Wanted("a", None, 3), None)).plain)
        assert [item["postId"] for item in page["items"]] == [post.post_id]
        for row in mysql.states[-1].posts.values():
            if row.author_id == post.author_id:
                shown = json.loads(await process.service.detail(row.post_id, None, "somebody"))
                assert shown["author"]["nickname"] == "new"
        process.polling.cancel()

    run(program)


def _renamed(mysql: MySql) -> str:
    """Commit another title of a post and return the id of the post."""
    post = next(iter(mysql.states[-1].posts.values()))
    mysql.commit(_with_post(replace(post, title="new", changed_at=mysql.now, updated_at=mysql.now), mysql.states[-1]))
    return post.post_id


def test_a_change_that_a_server_with_a_slow_clock_has_stamped_before_an_outage_is_shown_after_it() -> None:
    async def program(loop: Loop) -> None:
        mysql = MySql(loop, lambda choices: choices[0])
        process = Process(mysql)
        await asyncio.sleep(10)
        await process.post(next(iter(mysql.states[-1].posts)))
        mysql.ahead = -8.0
        changed = _renamed(mysql)
        mysql.outages.append((loop.time(), loop.time() + 30))
        await asyncio.sleep(30 + BOUND)
        assert (await process.post(changed) or {})["title"] == "new"
        process.polling.cancel()

    run(program)


def test_a_failure_says_nothing_of_later_than_its_question() -> None:
    """A process that was stopped learns late of a failure: MySQL may have answered others since, who see changes within two seconds."""

    async def program(loop: Loop) -> None:
        process = Process(MySql(loop, lambda choices: choices[0]), polls=False)
        asked = loop.time()
        await asyncio.sleep(1.5)
        process.feed.fail(asked)
        assert not process.feed.answering
        await asyncio.sleep(0.45)
        assert process.feed.answering, "nobody has asked for 1.95 seconds"
        process.feed.fail(asked)
        assert process.feed.answering

    run(program)


def test_whoever_is_answered_after_a_failure_knows_better() -> None:
    """Else a page from MySQL would be filled with posts from a replica that does not have them."""

    async def program(loop: Loop) -> None:
        mysql = MySql(loop, lambda choices: choices[0])
        process = Process(mysql, lags=True, lag=30.0, polls=False)
        feed, (post_id, another, *_) = process.feed, mysql.states[-1].posts
        await asyncio.sleep(40)
        changed = _renamed(mysql)
        assert changed == post_id
        feed.fail(loop.time())
        assert (await process.post(changed) or {})["title"] != "new", "from the replica, while MySQL does not answer"
        feed.succeed(loop.time() - 1)
        assert not feed.answering, "an older answer says nothing"
        failed = loop.time()
        feed.fail(failed)
        await asyncio.sleep(FAILURE_SECONDS)
        assert await process.post(another)  # asked of the writer, which answers
        feed.fail(failed + 1.0)
        assert feed.answering
        assert (await process.post(changed) or {})["title"] == "new"
        await asyncio.sleep(0.1)
        failed = loop.time()
        await asyncio.sleep(0.1)
        await feed.poll()
        feed.fail(failed)  # learned of late
        assert feed.answering

    run(program)


def test_what_a_replica_has_answered_in_an_outage_is_asked_for_anew_when_it_has_changed() -> None:
    async def program(loop: Loop) -> None:
        mysql = MySql(loop, lambda choices: choices[-1])  # it refuses only after a second
        process = Process(mysql, lags=True, lag=4.0)
        await asyncio.sleep(10)
        changed = _renamed(mysql)
        mysql.outages.append((loop.time(), loop.time() + 0.3))
        # The look of that moment has been refused, and the next one is due.
        await asyncio.sleep(1.5)
        assert (await process.post(changed) or {})["title"] != "new", "the replica lags"
        await asyncio.sleep(0.7)
        assert (await process.post(changed) or {})["title"] == "new"
        process.polling.cancel()

    run(program)
