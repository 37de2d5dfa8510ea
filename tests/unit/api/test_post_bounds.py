"""How much of posts and lists a process keeps, in bytes: authors and readers decide how large it would get."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bapsang_api.kit.db.keyset import Keyset
from bapsang_api.posts.listing import Wanted
from bapsang_api.posts.lists import PAGES
from bapsang_api.posts.reads import POSTS
from bapsang_api.readmodel.entry import Bounds

from .history import START, Loop, MySql, State
from .reading import Process, run
from .test_post_cache import Reader, program

TEXTS = [
    "",
    '밥 \0 국 \ud55c " \\ 😋',
    *(f"오늘은 담백한 {number}번째 비빔밥" * number for number in (1, 20, 300)),
]


@program()
async def test_posts_are_shown_as_they_were_written(reader: Reader) -> None:
    await asyncio.sleep(5)
    for post_id, text in zip(reader.posts, TEXTS, strict=False):
        reader.mysql.change(post_id, content=text)
    await asyncio.sleep(2)
    for post_id, text in zip(reader.posts, TEXTS, strict=False):
        shown = await reader.process.post(post_id)
        assert shown is not None
        assert shown["contentDetail"]["content"] == text
    used = reader.process.service.usage()["posts"]
    assert used.entries == len(TEXTS)
    assert used.bytes > sum(len(text.encode()) for text in TEXTS)


@pytest.mark.parametrize("bounds", [Bounds(4, POSTS.bytes), Bounds(POSTS.entries, 100_000)], ids=["entries", "bytes"])
def test_posts_are_bounded(bounds: Bounds) -> None:
    @program(bounds=(bounds, PAGES))
    async def runs(reader: Reader) -> None:
        for post_id in reader.posts:
            reader.mysql.change(post_id, content=post_id[-1] * 30_000)
        for post_id in (*reader.posts, *reader.posts):
            assert (await reader.process.post(post_id) or {})["contentDetail"]["content"] == post_id[-1] * 30_000
            used = reader.process.service.usage()["posts"]
            assert used.entries <= bounds.entries
            assert 30_000 * used.entries < used.bytes <= bounds.bytes
        assert 1 < used.entries < len(reader.posts)

    runs()


@pytest.mark.parametrize("bounds", [Bounds(7, PAGES.bytes), Bounds(PAGES.entries, 250_000)], ids=["entries", "bytes"])
def test_pages_are_bounded_whatever_is_asked_for(bounds: Bounds) -> None:
    async def main(loop: Loop) -> None:
        mysql = MySql(loop, lambda choices: choices[0])
        state = mysql.states[-1]
        row = next(iter(state.posts.values()))
        mysql.commit(State({f"{n:026d}": replace(row, post_id=f"{n:026d}") for n in range(100)}, state.authors))
        process = Process(mysql, bounds=(POSTS, bounds))
        for number in range(50):
            asked = Wanted(None, Keyset(START + timedelta(microseconds=number), None), 100)
            for _ in range(2):  # made again, in place of the first
                assert len((await process.page(asked))["items"]) == 100
                await asyncio.sleep(1)
            usage = process.service.usage()
            for name, each in (("pages", 8_000), ("lists", 20_000)):
                used = usage[name]
                assert used.entries <= bounds.entries
                assert each * used.entries < used.bytes <= bounds.bytes
        assert 3 <= used.entries < 10
        process.polling.cancel()

    run(main, known=0)


@program(known=0)
async def test_a_page_that_is_read_again_counts_once(reader: Reader) -> None:
    await asyncio.sleep(5)
    await reader.titles()
    used = reader.process.service.usage()["pages"]
    reader.asked.clear()
    await asyncio.sleep(60)
    await reader.titles()  # has it read again
    await asyncio.sleep(1)
    await reader.titles()
    assert "places" in reader.statements()
    assert reader.process.service.usage()["pages"] == used
