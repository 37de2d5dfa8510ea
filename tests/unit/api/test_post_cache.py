"""How long copies of posts are shown, and what happens to those that change or are evicted meanwhile."""

import asyncio
import json
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bapsang_api.kit.cursor import Following, Keyset
from bapsang_api.kit.problem import Unavailable
from bapsang_api.posts.shown import cache
from bapsang_api.posts.shown.cache import FRESH, LONGEST, USABLE, WITHOUT_DATABASE, PostCache
from bapsang_api.posts.shown.copies import Copy, Shelf
from bapsang_api.posts.shown.lists import PostLists, Wanted
from bapsang_api.posts.shown.outdated import ChangedPosts, Extent
from bapsang_api.posts.shown.recent import CURRENT_SECONDS, Recent
from bapsang_api.posts.shown.store import Changed, PostDetailRow, Standing
from bapsang_api.posts.shown.watch import OVERLAP, Watch
from bapsang_api.posts.shown.wire import Parts, item_bytes, parts_of

PARTS = Parts((b"<", b">"), (b"<", b">"))


class Likes:
    """Five likes each; may evict everything while it is asked: the worst moment."""

    evicts: PostCache | None = None
    asked = 0

    async def counts(self, post_ids: list[str]) -> dict[str, int]:
        self.asked += 1
        for kept in list(self.evicts._copies if self.evicts else ()):
            self.evicts._drop(kept)  # type: ignore[union-attr]
        return dict.fromkeys(post_ids, 5)


class Unchanged:
    """A database in which every post is as it was. It knows what it was asked for."""

    lags = False
    up = True
    new: Callable[[str], PostDetailRow] | None = None  # what is read of each post

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def read(self, work: Any) -> Any:
        if not self.up:
            raise Unavailable
        post_ids, before = work.args[1:3]
        self.asked += post_ids
        rows = {name: self.new(name) for name in post_ids} if self.new else {}
        return type(before)({name: _standing() for name in post_ids}, rows)


class Kept:
    """A cache with the post `p` by the author `a`, at a time that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.likes, self.database = Likes(), Unchanged()
        self.cache = PostCache(self.database, self.likes, lambda _: PARTS, lambda: self.now)  # type: ignore[arg-type]
        self.keep()

    def keep(self) -> None:
        self.cache._keep("p", self.cache._shelf.pack(PARTS), _standing(), 1, self.now)

    def later(self, seconds: float) -> None:
        self.now += seconds + 1e-6  # more than what is rounded away

    def watched(self, *changed: str, since_last: bool = True) -> None:
        self.cache.watch(changed, self.now, since_last=since_last)

    @property
    def shown(self) -> bool:
        return self.cache.peek("p") is not None

    async def looked_at(self) -> Collection[str]:
        """Return what the database is asked for, once the background has had its time."""
        await asyncio.sleep(0.15)
        return self.database.asked


def _row(post_id: str) -> PostDetailRow:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    return PostDetailRow(post_id, "t", now, "n", None, None, 0, 0, 0, (), None, "c", ())


class Urls:
    """Where pictures are."""

    def url(self, key: str | None) -> str | None:
        return key and f"https://photos.example/{key}"


def _standing() -> Standing:
    return Standing("a", 1, 2, 3, (None, None))


@pytest.fixture
async def kept() -> Kept:
    return Kept()


@pytest.fixture
async def watched(kept: Kept) -> Kept:
    """The same, under a watch that began before the post was kept."""
    kept.watched(since_last=False)
    kept.keep()
    return kept


async def test_a_post_whose_copy_goes_while_it_is_looked_at_is_still_found(kept: Kept) -> None:
    kept.likes.evicts = kept.cache
    found = await kept.cache.find("p")
    assert found is not None
    assert found.item() == item_bytes(PARTS, 5, 2, 3)
    assert list(kept.cache._written.of("a")) == ["p"]


async def test_what_nobody_watches_is_looked_at_by_itself(kept: Kept) -> None:
    kept.later(FRESH)
    assert kept.shown
    assert await kept.looked_at() == ["p"]
    kept.later(USABLE)
    assert not kept.shown


async def test_what_is_watched_and_has_not_changed_is_shown_without_a_question(watched: Kept) -> None:
    for _ in range(int(LONGEST / FRESH)):
        watched.later(FRESH * 0.99)
        assert watched.shown
        watched.watched("another", "b")
    assert await watched.looked_at() == []


@pytest.mark.parametrize("name", ["p", "a"])
async def test_what_has_changed_is_looked_at_in_the_background_and_soon_before_it_is_shown(
    watched: Kept, name: str
) -> None:
    watched.later(FRESH)
    watched.watched(name)  # since the moment it was kept
    watched.later(0)
    assert watched.shown
    assert await watched.looked_at() == ["p"]
    watched.later(FRESH)
    watched.watched()
    assert watched.shown  # looked at: watched again


async def test_what_has_changed_and_was_not_looked_at_is_not_shown_for_long(watched: Kept) -> None:
    watched.later(FRESH)
    watched.watched("p")
    watched.later(USABLE - FRESH)
    watched.watched()
    assert not watched.shown
    watched.later(0)
    assert await watched.cache.find("p") is not None
    assert watched.shown


async def test_what_changed_while_it_was_looked_at_is_looked_at_again(kept: Kept) -> None:
    kept.watched(since_last=False)
    began = kept.now
    kept.later(0.1)
    kept.watched("p")
    kept.cache._keep("p", kept.cache._shelf.pack(PARTS), _standing(), 1, began)
    assert not kept.shown


async def test_after_a_gap_in_the_watch_copies_from_before_it_are_looked_at(watched: Kept) -> None:
    watched.later(USABLE)
    watched.watched(since_last=False)
    assert not watched.shown


async def test_while_the_watch_is_late_copies_are_looked_at_by_themselves(watched: Kept) -> None:
    watched.later(FRESH)
    assert watched.shown
    assert await watched.looked_at() == ["p"]
    watched.later(USABLE)
    assert not watched.shown


async def test_what_was_told_is_looked_at_before_it_is_shown_however_well_it_is_watched(watched: Kept) -> None:
    watched.cache.change(["p"])
    watched.watched()
    assert not watched.shown


async def test_every_copy_is_looked_at_now_and_then(watched: Kept) -> None:
    watched.later(LONGEST)
    watched.watched()
    assert watched.shown
    assert await watched.looked_at() == ["p"]


async def test_without_a_database_what_was_watched_until_then_is_shown_for_a_while(watched: Kept) -> None:
    watched.later(2 * WITHOUT_DATABASE)
    watched.watched()
    watched.database.up = False
    watched.later(WITHOUT_DATABASE - 1)
    assert await watched.cache.find("p") is not None
    watched.later(1)
    with pytest.raises(Unavailable):
        await watched.cache.find("p")


async def test_a_replica_is_asked_only_by_who_knows_what_has_changed(kept: Kept) -> None:
    asked = [kept.cache.replica_will_do()]
    kept.watched(since_last=False)
    asked.append(kept.cache.replica_will_do())
    kept.later(CURRENT_SECONDS)
    kept.watched()
    asked.append(kept.cache.replica_will_do())
    kept.later(USABLE)  # the watch is late
    asked.append(kept.cache.replica_will_do())
    kept.cache.answering = False  # nobody else is there
    asked.append(kept.cache.replica_will_do())
    assert asked == [False, False, True, False, True]


async def test_what_was_read_while_the_watch_had_no_answer_is_looked_at_by_itself(watched: Kept) -> None:
    watched.cache.answering = False
    watched.keep()
    watched.watched()
    watched.later(USABLE)
    watched.watched()
    assert not watched.shown


class Empty:
    """A database without posts, which answers when it is let."""

    lags = False

    def __init__(self) -> None:
        self.asked, self.answers = 0, asyncio.Event()

    async def read(self, work: Any) -> dict[Wanted, list[Following]]:
        self.asked += 1
        await self.answers.wait()
        return {wanted: [] for wanted in work.args[0]}


@pytest.mark.parametrize("told", [True, False])
async def test_a_page_that_was_read_while_a_change_was_told_is_read_again(watched: Kept, told: bool) -> None:
    empty, first = Empty(), Wanted(None, None, 20)
    lists = PostLists(empty, watched.cache, lambda: watched.now)  # type: ignore[arg-type]
    asked = asyncio.create_task(lists.get(first))
    async with asyncio.timeout(5):
        while not empty.asked:  # noqa: ASYNC110 - a timer of the batch comes first
            await asyncio.sleep(0.001)
    if told:
        lists.watch([change("p", 9)])
    watched.watched()
    empty.answers.set()
    await asked
    watched.later(USABLE)
    watched.watched()
    await lists.get(first)
    assert empty.asked == (2 if told else 1)


async def test_likes_are_counted_by_themselves(watched: Kept) -> None:
    watched.later(USABLE)
    watched.watched()
    assert watched.shown
    assert watched.cache.peek_counted("p") is None
    found = await watched.cache.find_counted("p")
    assert found is not None
    assert (found.likes, watched.likes.asked, watched.database.asked) == (5, 1, [])
    watched.cache.count_likes("p", 6)
    assert watched.cache.peek_counted("p") is found
    assert found.likes == 6


class Log:
    """A database that answers what has changed, and copies that take note."""

    dialect = "mysql"

    def __init__(self) -> None:
        self.since: list[datetime | None] = []
        self.answer = Changed(datetime(2026, 11, 28, tzinfo=UTC), set(), whole=True)
        self.noted: list[tuple[list[str], bool]] = []
        self.listed: list[Collection[str]] = []
        self.answering = True

    async def read(self, work: Any) -> Changed:
        self.since.append(work.keywords["since"])
        return self.answer

    def watch(self, changed: Collection[str], asked: float = 0.0, *, since_last: bool | None = None) -> None:
        """What copies and lists are told: ids to the ones, rows to the others."""
        if since_last is None:
            self.listed.append(changed)
        else:
            self.noted.append((sorted(changed), since_last))


async def test_the_watch_goes_back_a_little_and_tells_each_change_once() -> None:
    log = Log()
    watch = Watch(log, log, log)  # type: ignore[arg-type]
    start = log.answer.now
    post, author, again = "2026-11-28 10:00 t 2026-11-27 09:00 00p", "2026-11-28 10:00 00q", "2026-11-28 10:01 00q"
    seen = {post, author}
    for passed, changes in ((0, seen), (1, seen), (2, {post, again})):
        log.answer = Changed(start + timedelta(seconds=passed), changes, whole=True)
        await watch.look()
    assert log.noted == [(["00p", "00q"], False), ([], True), (["00q"], True)]
    assert log.listed == [seen, set(), {again}]
    assert log.since == [None, start - OVERLAP, start + timedelta(seconds=1) - OVERLAP]
    later = start + timedelta(seconds=3)
    for now, whole, since_last in ((later, False, False), (later, True, True), (start, True, False)):
        # Not all is known after a full answer, nor when the clock was set back: another server has taken over.
        log.answer = Changed(now, set(), whole=whole)
        await watch.look()
        assert log.noted[-1] == ([], since_last)


async def test_while_the_database_does_not_answer_the_watch_says_so() -> None:
    log = Log()

    async def refuse(_work: object) -> Changed:
        raise Unavailable

    log.read = refuse  # type: ignore[method-assign]
    following = asyncio.create_task(Watch(log, log, log).follow())  # type: ignore[arg-type]
    for _ in range(3):
        await asyncio.sleep(0)
    assert not log.answering
    following.cancel()


DAY = datetime(2026, 11, 28, tzinfo=UTC)


def place(hour: int) -> Following:
    return Following(DAY + timedelta(hours=hour), f"p{hour}")


def change(state: str, hour: int) -> str:
    """Return a change as the watch is told it."""
    return f"2026-11-28 12:00:00.000000 {state} 2026-11-28 {hour:02}:00:00.000000 p{hour}"


@pytest.mark.parametrize(
    ("changes", "outdated"),
    [
        # Of the page of all posts, of that of a tag; both have the posts of hours 9, 8 and, unseen, 6.
        (["2026-11-28 12:00:00.000000 author"], (False, False)),
        ([change("p", 9)], (False, True)),  # a count, or a tag that is gone
        ([change("p", 8), change("t", 6)], (False, True)),
        ([change("h", 8)], (True, True)),
        ([change("h", 6)], (True, True)),  # what follows is not there any more
        ([change("p", 7)], (True, False)),
        ([change("t", 7)], (True, True)),
        (
            [change("t", 5), change("h", 7), change("p", 4), change("h", 4)],
            (False, False),
        ),  # not in its range, or hidden
        ([change("t", 10)], (False, False)),  # above the cursor
        ([change("t", 10), change("p", 7)], (True, False)),
    ],
)
def test_a_page_is_outdated_by_what_belongs_on_it_and_by_what_does_not(
    changes: list[str], outdated: tuple[bool, bool]
) -> None:
    before = Keyset(DAY + timedelta(hours=10), None)
    pages = [Extent.of(tag, before, 2, [place(9), place(8), place(6)]) for tag in (None, "집밥")]
    assert tuple(ChangedPosts(changes).outdate(page) for page in pages) == outdated


def test_the_first_page_is_open_above_and_the_last_one_below() -> None:
    page = Extent.of(None, None, 2, [place(9), place(8)])
    assert ChangedPosts([change("p", 23)]).outdate(page)
    assert ChangedPosts([change("p", 0)]).outdate(page)
    assert ChangedPosts([change("p", 0)]).outdate(Extent.of(None, None, 2, []))
    same_time = Extent.of(None, Keyset(DAY + timedelta(hours=9), "p9"), 2, [place(8)])
    assert not ChangedPosts([change("p", 9)]).outdate(same_time)


def test_what_was_changed_so_long_ago_that_nobody_knows_may_have_been() -> None:
    now = 100.0
    recent = Recent(lambda: now)
    recent.note(["p"])
    assert (recent.since(100.0, "p"), recent.since(99.0, "q"), recent.since(101.0, "p")) == (True, False, False)
    now += CURRENT_SECONDS + 1
    recent.note(["r"])
    assert (recent.since(100.0, "q"), recent.since(100.1, "q")) == (True, False)


def test_packed_copies_are_small_and_give_back_what_was_put_in() -> None:
    shelf = Shelf(lambda row: parts_of(row, Urls()))
    contents = [
        "",
        '밥 \0 국 \ud55c " \\ 😋',
        *(f"오늘은 담백한 {number}번째 비빔밥" * number for number in range(1, 2_100)),
    ]
    rows = [replace(_row("p"), content=text, tags=("집밥",)) for text in contents]
    copies = [Copy(shelf, shelf.pack(parts_of(row, Urls())), _standing(), 1, 0, 0) for row in rows]
    for _ in range(2):  # the first are packed again by then
        for row, copy in zip(rows, copies, strict=True):
            assert json.loads(copy.detail(is_liked=True))["contentDetail"]["content"] == row.content
    assert sum(copy.parts is not None for copy in copies) <= 2_000
    assert len(copies[0].packed) < len(copies[0].detail(is_liked=True)) / 4


async def test_what_nobody_asked_for_goes_first(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_MOST", 3)
    kept.database.new = _row
    assert not await kept.cache.take(["newest", "older"])
    kept.cache._keep("q", kept.cache._shelf.pack(PARTS), _standing(), 1, kept.now)
    assert [name for name in ("p", "q", "newest", "older") if kept.cache.peek(name)] == ["p", "q", "newest"]
