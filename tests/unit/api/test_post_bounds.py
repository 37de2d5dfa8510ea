"""How much of posts and lists a process keeps, in bytes: authors and readers decide how large it would get."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bapsang_api.kit.db.keyset import Keyset
from bapsang_api.posts.shown.bounds import Bounds
from bapsang_api.posts.shown.lists import Wanted

from .history import START, Loop, MySql, State
from .reading import Process, run
from .test_post_cache import Reader, program

TEXTS = [
    "",
    '밥 \0 국 \ud55c " \\ 😋',
    *(f"오늘은 담백한 {number}번째 비빔밥" * number for number in (1, 20, 300)),
]


@program(bounds=Bounds(open_posts=2))
async def test_posts_are_kept_small_and_shown_as_they_were_written(reader: Reader) -> None:
    await asyncio.sleep(5)
    for post_id, text in zip(reader.posts, TEXTS, strict=False):
        reader.mysql.change(post_id, content=text)
    await asyncio.sleep(2)
    for _ in range(3):  # all but two were packed meanwhile
        for post_id, text in zip(reader.posts, TEXTS, strict=False):
            shown = await reader.process.post(post_id)
            assert shown is not None
            assert shown["contentDetail"]["content"] == text
    used = reader.process.service.usage()
    assert (used["posts"].entries, used["open_posts"].entries) == (len(TEXTS), 2)
    assert 0 < used["posts"].bytes < sum(len(text.encode()) for text in TEXTS) / 4


@program(bounds=Bounds(open_bytes=100_000))
async def test_open_posts_are_bounded_in_bytes(reader: Reader) -> None:
    for post_id in reader.posts:
        reader.mysql.change(post_id, content=post_id[-1] * 30_000)
    for post_id in (*reader.posts, *reader.posts):
        assert (await reader.process.post(post_id) or {})["contentDetail"]["content"] == post_id[-1] * 30_000
        used = reader.process.service.usage()["open_posts"]
        assert 30_000 * used.entries < used.bytes <= 100_000
    assert used.entries == 3


@pytest.mark.parametrize("bounds", [Bounds(posts=4), Bounds(posts_bytes=250)], ids=["entries", "bytes"])
def test_posts_are_bounded(bounds: Bounds) -> None:
    @program(bounds=bounds)
    async def runs(reader: Reader) -> None:
        for post_id in (*reader.posts, *reader.posts):
            await reader.read(post_id)
            used = reader.process.service.usage()["posts"]
            assert used.entries <= bounds.posts
            assert used.bytes <= bounds.posts_bytes
        assert 1 < used.entries < len(reader.posts)

    runs()


@pytest.mark.parametrize("bounds", [Bounds(pages=7), Bounds(pages_bytes=100_000)], ids=["entries", "bytes"])
def test_pages_are_bounded_whatever_is_asked_for(bounds: Bounds) -> None:
    async def main(loop: Loop) -> None:
        mysql = MySql(loop, lambda choices: choices[0])
        state = mysql.states[-1]
        row = next(iter(state.posts.values()))
        mysql.commit(State({f"{n:026d}": replace(row, post_id=f"{n:026d}") for n in range(100)}, state.authors))
        process = Process(mysql, bounds=bounds)
        for number in range(50):
            asked = Wanted(None, Keyset(START + timedelta(microseconds=number), None), 100)
            for _ in range(2):  # made again, in place of the first
                assert len((await process.page(asked))["items"]) == 100
                await asyncio.sleep(1)
            used = process.service.usage()["pages"]
            assert used.entries <= bounds.pages
            assert 10_000 * used.entries < used.bytes <= bounds.pages_bytes
        assert 3 <= used.entries < 10
        process.watching.cancel()

    run(main)


@program()
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
