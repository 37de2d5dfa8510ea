"""How long copies of posts are shown, and what happens to those that change or are evicted meanwhile."""

import asyncio
import json
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ulid import ULID

from bapsang_api.kit.problem import Unavailable
from bapsang_api.posts.shown import cache
from bapsang_api.posts.shown.cache import FRESH, LONGEST, USABLE, WITHOUT_DATABASE, PostCache
from bapsang_api.posts.shown.copies import Copy, Shelf
from bapsang_api.posts.shown.recent import Recent
from bapsang_api.posts.shown.store import Changed, PostDetailRow, Standing
from bapsang_api.posts.shown.watch import OVERLAP, Watch
from bapsang_api.posts.shown.wire import Parts, item_bytes, parts_of
from bapsang_api.posts.store import TOP

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
    recent = Recent(lambda: 0.0)

    def __init__(self) -> None:
        self.since: list[datetime | None] = []
        self.answer = Changed(datetime(2026, 11, 28, tzinfo=UTC), set(), whole=True)
        self.noted: list[tuple[list[str], bool]] = []

    async def read(self, work: Any) -> Changed:
        self.since.append(work.keywords["since"])
        return self.answer

    def watch(self, changed: list[str], _asked: float, *, since_last: bool) -> None:
        self.noted.append((changed, since_last))


async def test_the_watch_goes_back_a_little_and_tells_each_change_once() -> None:
    log = Log()
    watch = Watch(log, log)  # type: ignore[arg-type]
    start = log.answer.now
    seen = {"00p 10:00", "00q 10:00"}
    for passed, changes in ((0, seen), (1, seen), (2, {"00p 10:00", "00q 10:01"})):
        log.answer = Changed(start + timedelta(seconds=passed), changes, whole=True)
        await watch.look()
    assert log.noted == [(["00p", "00q"], False), ([], True), (["00q"], True)]
    assert log.since == [None, start - OVERLAP, start + timedelta(seconds=1) - OVERLAP]
    log.answer = Changed(start, {"00r 10:02"}, whole=False)
    await watch.look()
    assert log.noted[-1] == (["00r"], False)


async def test_a_new_post_that_nobody_told_of_is_a_new_top_of_the_lists() -> None:
    log = Log()
    watch = Watch(log, log, lambda: 100.0)  # type: ignore[arg-type]
    log.recent = Recent(lambda: 100.0)
    now = log.answer.now
    old, told, new = (str(ULID.from_datetime(now - timedelta(seconds=age))) for age in (60, 1, 1))
    log.recent.note([told])
    log.answer = Changed(now, {f"{old} 10:00", f"{told} 10:00"}, whole=True)
    await watch.look()
    log.answer = Changed(now, {f"{old} 10:00", f"{new} 10:00"}, whole=True)
    await watch.look()
    assert log.noted == [([old, told], False), ([new, TOP], True)]


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
