"""What a process shows of posts without asking the database, for how long, and what makes it ask: case by case.

Each case is a program on a clock of its own (reading.py); random ones are in test_post_freshness.py.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from bapsang_api.kit.db.database import written_by
from bapsang_api.kit.problem import Unavailable
from bapsang_api.posts.listing import Wanted
from bapsang_api.posts.lists import BUSY, PAGES, STALE_SECONDS
from bapsang_api.posts.reads import POSTS
from bapsang_api.readmodel.entry import HARD_SECONDS, OUTAGE_SECONDS, REREAD_SECONDS, SOFT_SECONDS, Bounds

from .history import Loop, MySql, Row, State
from .reading import MOST_CHANGES, Process, run

BOUND = 2.0  # seconds after which everybody sees a change
FIRST_PAGE = Wanted(None, None, 3)


class Read(NamedTuple):
    """What was shown of a post, and whether it was at hand: nothing was waited for."""

    title: str | None
    at_hand: bool


class Reader:
    """One process on a history; `p` is the newest of six posts."""

    def __init__(self, loop: Loop, **options: Any) -> None:
        self.loop = loop
        self.mysql = MySql(loop, lambda choices: choices[0])
        self.process = Process(self.mysql, **options)
        self.database, self.likes = self.process.database, self.process.likes
        self.asked = self.database.asked
        self.posts = list(self.mysql.states[-1].posts)
        self.p = self.posts[-1]

    async def read(self, post_id: str | None = None) -> Read:
        began = self.loop.time()
        post = await self.process.post(post_id or self.p)
        return Read(post and post["title"], self.loop.time() == began)

    async def warm(self, seconds: float = 5.0) -> "Reader":
        """Let the process watch for a while, then read `p`."""
        await asyncio.sleep(seconds)
        assert await self.read() == ("t5", False)
        self.asked.clear()
        return self

    async def titles(self, user_id: str | None = None) -> list[str]:
        return [item["title"] for item in (await self.process.page(FIRST_PAGE, user_id))["items"]]

    def statements(self) -> set[str]:
        return {statement for _, statement, _ in self.asked}


def program(
    known: int = 8, **options: Any
) -> Callable[[Callable[[Reader], Coroutine[Any, Any, None]]], Callable[[], None]]:
    """Make a test of a program for a reader."""

    def made(test: Callable[[Reader], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        def runs() -> None:
            async def main(loop: Loop) -> None:
                reader = Reader(loop, **options)
                await test(reader)
                reader.process.polling.cancel()

            run(main, known=known)

        runs.__doc__ = test.__doc__
        return runs

    return made


async def revalidated_by_itself(reader: Reader) -> None:
    """Shown while fresh; then shown and asked for meanwhile; then asked for before it is shown."""
    reader.mysql.change(reader.p, title="new")
    await asyncio.sleep(SOFT_SECONDS)
    assert await reader.read() == ("t5", True)
    await asyncio.sleep(0.15)
    assert await reader.read() == ("new", True)
    reader.mysql.change(reader.p, title="newer")
    await asyncio.sleep(HARD_SECONDS)
    assert await reader.read() == ("newer", False)


@program(polls=False)
async def test_what_nobody_watches_is_revalidated_by_itself(reader: Reader) -> None:
    await revalidated_by_itself(await reader.warm())


@program()
async def test_once_the_watch_has_stopped_a_post_is_revalidated_by_itself(reader: Reader) -> None:
    await reader.warm()
    reader.process.polling.cancel()
    await revalidated_by_itself(reader)


@program()
async def test_what_is_watched_and_has_not_changed_is_shown_without_a_question(reader: Reader) -> None:
    await reader.warm()
    for number in range(int(REREAD_SECONDS / SOFT_SECONDS) - 2):
        reader.mysql.change(reader.posts[0], title=f"another {number}")
        await asyncio.sleep(SOFT_SECONDS)
        assert await reader.read() == ("t5", True)
    assert reader.asked == []


@pytest.mark.parametrize("what", ["post", "author"])
def test_a_change_is_shown_soon_though_nobody_waits_for_it_and_is_asked_for_once(what: str) -> None:
    @program()
    async def runs(reader: Reader) -> None:
        await reader.warm()
        if what == "post":
            reader.mysql.change(reader.p, title="new")
        else:
            reader.mysql.rename("B", "new")
        for _ in range(40):  # longer than the watch looks back
            await asyncio.sleep(0.1)
            assert (await reader.read()).at_hand
        shown = await reader.process.post(reader.p)
        assert shown is not None
        assert "new" in {shown["title"], shown["author"]["nickname"]}
        asked = [statement for _, statement, post_id in reader.asked if post_id == reader.p]
        assert (asked.count("details"), len(asked)) <= (1, 3), asked

    runs()


@program()
async def test_a_change_that_nobody_saw_coming_is_shown_to_the_first_who_asks_late(reader: Reader) -> None:
    await reader.warm()
    reader.mysql.change(reader.p, title="new")
    await asyncio.sleep(BOUND)
    assert await reader.read() == ("new", False)


@program()
async def test_a_message_has_a_post_read_before_it_is_shown_again(reader: Reader) -> None:
    await reader.warm()
    for number, named in enumerate((reader.p, "B")):
        reader.mysql.change(reader.p, title=f"new {number}")
        reader.process.feed.receive({named})
        assert await reader.read() == (f"new {number}", False)


@pytest.mark.parametrize("told", ["by a message", "by the watch"])
def test_what_changed_while_it_was_read_is_read_again(told: str) -> None:
    @program()
    async def runs(reader: Reader) -> None:
        await asyncio.sleep(5)
        reader.database.slow["details"] = 1.0
        reading = asyncio.create_task(reader.read())
        await asyncio.sleep(0.1)
        reader.mysql.change(reader.p, title="new")
        if told == "by a message":
            reader.process.feed.receive({reader.p})
        assert await reading == ("t5", False)
        assert await reader.read() == ("new", False)

    runs()


@program()
async def test_what_changed_while_it_was_read_for_longer_than_changes_are_known_is_read_again(reader: Reader) -> None:
    await asyncio.sleep(5)
    reader.database.slow["details"] = 8.0
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0.1)
    reader.mysql.change(reader.p, title="new")
    reader.process.feed.receive({reader.p})
    await asyncio.sleep(7)
    reader.process.feed.receive({"another"})  # by now the first message is forgotten
    assert await reading == ("t5", False)
    reader.database.slow.clear()
    assert await reader.read() == ("new", False)


@program()
async def test_after_more_changes_than_are_told_posts_are_revalidated_by_themselves(reader: Reader) -> None:
    await reader.warm()
    new = {
        f"{n:026d}": Row(f"{n:026d}", "A", reader.mysql.now, reader.mysql.now) for n in range(100, 100 + MOST_CHANGES)
    }
    state = reader.mysql.states[-1]
    changed = replace(state.posts[reader.p], title="new", changed_at=reader.mysql.now, updated_at=reader.mysql.now)
    others = {name: row for name, row in state.posts.items() if name != reader.p}
    reader.mysql.commit(State({**others, **new, reader.p: changed}, state.authors))
    await asyncio.sleep(BOUND)
    assert await reader.read() == ("new", False)


@program()
async def test_a_change_is_seen_whose_transaction_took_seconds_to_commit(reader: Reader) -> None:
    await reader.warm()
    reader.mysql.change(reader.p, title="new", stamped=2.4)
    await asyncio.sleep(BOUND)
    assert await reader.read() == ("new", False)


@program()
async def test_a_change_is_seen_though_another_server_took_over_whose_clock_is_behind(reader: Reader) -> None:
    await reader.warm()
    reader.database.writer_answers = False
    reader.mysql.ahead -= 20
    reader.mysql.change(reader.p, title="new")
    await asyncio.sleep(5)  # longer than the watch looks back
    reader.database.writer_answers = True
    await asyncio.sleep(BOUND)
    assert await reader.read() == ("new", False)


@program()
async def test_what_changes_without_a_trace_is_seen_within_a_minute(reader: Reader) -> None:
    await reader.warm()
    reader.mysql.change(reader.p, stamped=None, comments=7)
    await asyncio.sleep(REREAD_SECONDS)
    await reader.read()  # has it asked for
    await asyncio.sleep(0.15)
    shown = await reader.process.post(reader.p)
    assert shown is not None
    assert shown["stats"]["commentCount"] == 7


@program()
async def test_without_a_database_what_was_right_until_then_is_shown_for_a_while(reader: Reader) -> None:
    await reader.warm()
    await asyncio.sleep(2 * OUTAGE_SECONDS)  # it is the watch that keeps it right
    began = reader.loop.time()
    reader.mysql.outages.append((began, began + 2 * OUTAGE_SECONDS))
    await asyncio.sleep(OUTAGE_SECONDS - 2)
    assert (await reader.read()).title == "t5"
    await asyncio.sleep(2)
    with pytest.raises(Unavailable):
        await reader.read()


@program(lags=True, lag=1.0)
async def test_a_replica_is_asked_only_while_the_writer_does_not_answer(reader: Reader) -> None:
    servers = []
    for post_id, answers in zip(reader.posts, (True, False, True), strict=False):
        reader.database.writer_answers = answers
        await asyncio.sleep(6)
        reader.asked.clear()
        await reader.read(post_id)
        servers.append({server for server, statement, _ in reader.asked if statement == "details"})
    assert servers == [{"writer"}, {"replica"}, {"writer"}]


@program(lags=True, lag=10.0)
async def test_what_a_replica_showed_while_the_writer_was_away_is_revalidated_afterwards(reader: Reader) -> None:
    await asyncio.sleep(20)
    reader.mysql.change(reader.p, title="new")
    await asyncio.sleep(6)
    reader.database.writer_answers = False
    await asyncio.sleep(1)
    assert await reader.read() == ("t5", False)  # all there is
    reader.database.writer_answers, reader.database.lag = True, 0.0
    await asyncio.sleep(BOUND)
    assert await reader.read() == ("new", False)


@program()
async def test_likes_are_counted_by_themselves(reader: Reader) -> None:
    reader.likes.found[reader.p] = 5

    async def likes() -> int:
        shown = await reader.process.post(reader.p)
        return shown["stats"]["likeCount"] if shown else -1

    await reader.warm()
    assert await likes() == 5
    reader.likes.found[reader.p] = 6
    await asyncio.sleep(HARD_SECONDS + 0.01)
    assert await likes() == 6
    asked = reader.likes.asked
    reader.likes.tell(reader.p, 7)
    assert (await likes(), reader.likes.asked, reader.asked) == (7, asked, [])


@pytest.mark.parametrize("known", [0, 8])
@pytest.mark.parametrize("changed", [True, False])
def test_a_page_that_was_read_while_a_post_came_is_read_again(changed: bool, known: int) -> None:
    @program(known)
    async def runs(reader: Reader) -> None:
        await asyncio.sleep(10)
        reader.database.slow["newest" if known else "places"] = 1.0
        reading = asyncio.create_task(reader.titles())
        await asyncio.sleep(0.1)
        if changed:
            reader.mysql.put(Row(f"{9:026d}", "A", reader.mysql.now, reader.mysql.now, "new"))
        assert await reading == ["t5", "t4", "t3"]
        await asyncio.sleep(BOUND)
        reader.asked.clear()
        assert await reader.titles() == (["new", "t5", "t4"] if changed else ["t5", "t4", "t3"])
        assert ("places" in reader.statements()) == (changed and not known)

    runs()


@program()
async def test_a_page_that_nobody_asked_for_in_a_while_has_what_was_written_meanwhile(reader: Reader) -> None:
    await asyncio.sleep(5)
    assert await reader.titles() == ["t5", "t4", "t3"]
    await asyncio.sleep(60)
    reader.mysql.put(Row(f"{9:026d}", "A", reader.mysql.now, reader.mysql.now, "new"))
    for seconds in (1, 6):
        await asyncio.sleep(seconds)
        reader.mysql.change(reader.p, stamped=0.0, comments=1)  # other things happen as well
    await asyncio.sleep(1)
    assert await reader.titles() == ["new", "t5", "t4"]


@program(bounds=(Bounds(3, POSTS.bytes), PAGES))
async def test_a_page_on_which_a_post_is_found_gone_is_full_again(reader: Reader) -> None:
    await asyncio.sleep(5)
    await reader.titles()
    await asyncio.sleep(1)
    for other in reader.posts[:3]:
        await reader.read(other)  # in place of those on the page
    newest = reader.mysql.states[-1].posts[reader.p]
    reader.mysql.put(replace(newest, visible=False, changed_at=reader.mysql.now))
    assert await reader.titles() == ["t4", "t3", "t2"]


@program(bounds=(Bounds(1, POSTS.bytes), PAGES), polls=False)
async def test_a_post_that_is_evicted_while_it_is_revalidated_is_still_found(reader: Reader) -> None:
    await reader.warm()
    await asyncio.sleep(HARD_SECONDS + 0.01)
    both = await asyncio.gather(reader.read(reader.posts[0]), reader.read())
    assert both == [("t0", False), ("t5", False)]
    assert ("writer", "details", reader.p) not in reader.asked


@program()
async def test_the_newest_posts_are_at_hand_before_anybody_asks(reader: Reader) -> None:
    """A process that starts before the database answers, and before that is migrated, takes them later."""
    long_ago = reader.mysql.now - timedelta(days=1)
    more = [Row(f"{n:026d}", "A", long_ago + timedelta(seconds=n), long_ago, f"t{n}") for n in range(6, 120)]
    reader.mysql.put(*more)
    reader.database.migrated = False
    reader.mysql.outages.append((reader.loop.time() + 10, reader.loop.time() + 20))
    filling = asyncio.create_task(reader.process.service.warm_up())
    await asyncio.sleep(15)
    reader.database.migrated = True
    await asyncio.sleep(15)
    assert filling.done()
    await filling
    reader.asked.clear()
    assert [(await reader.read(f"{n:026d}")).title for n in range(120)] == [f"t{n}" for n in range(120)]
    assert reader.asked == []


@program(bounds=(Bounds(3, POSTS.bytes), PAGES))
async def test_what_nobody_asked_for_goes_first(reader: Reader) -> None:
    rows = {name: reader.mysql.states[-1].posts[name] for name in reader.posts[3:]}
    reader.mysql.commit(State(rows, reader.mysql.states[-1].authors))
    oldest, older, newest = rows
    await asyncio.sleep(5)
    await reader.read(oldest)
    await reader.process.service.warm_up()
    reader.mysql.put(Row(f"{9:026d}", "A", reader.mysql.now, reader.mysql.now, "new"))
    await reader.read(f"{9:026d}")
    assert [(await reader.read(name)).at_hand for name in (oldest, newest, older)] == [True, True, False]


async def listed_at_once(reader: Reader, user_id: str | None = None) -> tuple[str, bool]:
    """Return the title of `p` in a list that was asked for by a user, and whether nothing was waited for."""
    began = reader.loop.time()
    return (await reader.titles(user_id))[0], reader.loop.time() == began


@program()
async def test_a_busy_process_serves_a_list_stale_while_it_is_renewed_and_a_quiet_one_waits(reader: Reader) -> None:
    await reader.warm()
    await reader.titles()
    for in_flight, shown in ((BUSY, ("quiet", False)), (BUSY + 1, ("quiet", True))):
        reader.mysql.change(reader.p, title="quiet" if in_flight == BUSY else "busy")
        reader.process.feed.receive({reader.p})
        reader.process.in_flight = in_flight
        assert await listed_at_once(reader) == shown
    await asyncio.sleep(0.2)
    assert await listed_at_once(reader) == ("busy", True)


@program()
async def test_whoever_has_written_lately_gets_no_stale_list(reader: Reader) -> None:
    await reader.warm()
    reader.process.feed.listening_since = reader.loop.time() - 60
    await reader.titles()
    reader.process.in_flight = BUSY + 1
    reader.mysql.change(reader.p, title="new")
    reader.process.feed.receive({reader.p, written_by("A")})
    assert await listed_at_once(reader, None) == await listed_at_once(reader, "B") == ("t5", True)
    assert await listed_at_once(reader, "A") == ("new", False)
    assert await listed_at_once(reader, "B") == ("new", True)


@program()
async def test_a_list_that_cannot_be_renewed_is_served_stale_for_half_a_second(reader: Reader) -> None:
    await reader.warm()
    await reader.titles()
    reader.process.in_flight = BUSY + 1
    reader.database.slow["versions"] = 30.0
    reader.mysql.change(reader.p, title="new")
    reader.process.feed.receive({reader.p})
    await asyncio.sleep(STALE_SECONDS - 0.1)
    assert await listed_at_once(reader) == ("t5", True)
    await asyncio.sleep(0.2)
    assert await listed_at_once(reader) == ("new", False)
