"""Finding posts by their words: the same posts on both databases."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from sqlalchemy import Connection, event, func

from bapsang_api.jobs import reindex
from bapsang_api.posts import queries as posts
from bapsang_api.posts import searching
from bapsang_api.search.models import INDEX
from bapsang_api.search.query import Query
from bapsang_api.search.store import TIME_LIMIT

from .databases import standing_still
from .test_ratelimit import limited
from .world import API, Backend, Person, World, assert_problem, make_admin, open_world

pytestmark = pytest.mark.both_databases

TEXTS = (
    ("된장찌개 맛집", "홍대 Pizza 골목"),
    ("김치 된장", "찌개 아님. It is a test"),
    ("김밥천국", 'a+b -된장 "따옴표" c++ 🍚밥상🍚 foo_bar 100% 10점'),
    ("오늘의 밥상", "<script>alert('된장찌개')</script> /*+ hint */"),
)


async def search(world: World, q: str, **params: Any) -> dict[str, Any]:
    answer = await world.http.get(f"{API}/search/posts", params={"q": q, **params})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def found(world: World, q: str, **params: Any) -> list[str]:
    return [item["postId"] for item in (await search(world, q, **params))["items"]]


async def write_all(person: Person) -> list[str]:
    return [await person.write_post(title, content) for title, content in TEXTS]


async def test_posts_with_all_the_words_are_found_newest_first(world: World, subtests: pytest.Subtests) -> None:
    written = await write_all(await world.person())
    for q, numbers in (
        ("된장\u200b 찌개\ufeff", [3, 1, 0]),  # as pasted from a page
        ("된장", [3, 2, 1, 0]),
        ("된장찌개", [3, 0]),
        ("장찌", [3, 0]),
        ("찌개 된장", [3, 1, 0]),
        ("맛집 pizza", [0]),  # one in the title, one in the content
        ("PIZZA", [0]),
        ("it is", [1]),  # words that an index usually leaves out
        ("집\n홍대", [0]),
        ("밥상", [3, 2]),
        ("김 된장", [2, 1]),  # one letter alone narrows down what another word finds
        ("-된장", [2]),
        ("된장 -김치", []),
        ('"따옴표"', [2]),
        ("+없는 된장", []),
        ("된장*", []),
        ("(된장)", []),
        ("alert('된장찌개')", [3]),
        ("hint */", [3]),
        ("/*+ hint", [3]),
        ("foo_bar", [2]),
        ("foobar", []),
        ("fooxbar", []),
        ("100%", [2]),
        ("10%", []),
        ("a+b 된장", [2]),
    ):
        with subtests.test(q=q, numbers=numbers):
            assert await found(world, q) == [written[number] for number in numbers]


async def test_what_is_found_looks_as_it_does_in_the_list(world: World) -> None:
    alice = await world.person()
    await alice.toggle(await alice.write_post())
    listed = (await alice.get("/posts")).json()
    assert await search(world, "된장찌개") == listed
    assert listed["items"][0]["stats"]["likeCount"] == 1
    assert (await alice.get("/search/posts?q=된장찌개&size=&cursorId=")).json() == listed


async def test_what_cannot_be_searched_for_is_refused(file_world: World, subtests: pytest.Subtests) -> None:
    for q, words in (
        ("", "2자 이상 50자 이하"),
        ("밥", "2자 이상 50자 이하"),
        ("x" * 51, "2자 이상 50자 이하"),
        ("  ", "2자 이상 50자 이하"),
        ("김 밥", "두 개 이상 이어져야"),
        ("++--", "두 개 이상 이어져야"),
        (None, "필수 값"),
    ):
        with subtests.test(q=q, words=words):
            answer = await file_world.http.get(f"{API}/search/posts", params={} if q is None else {"q": q})
            (error,) = assert_problem(answer, 400, "E400-1")["errors"]
            assert error["field"] == "q"
            assert words in error["message"]


async def test_search_follows_changes_and_never_shows_what_is_hidden_or_deleted(world: World) -> None:
    alice, admin = await world.person(), await make_admin(world, await world.person())
    kept, changed, hidden, deleted = await write_all(alice)
    assert (await alice.send("PATCH", f"/posts/{changed}", json={"title": "비빔밥"})).status_code == 200
    assert (await alice.send("PATCH", f"/posts/{kept}", json={"content": "순두부"})).status_code == 200
    assert (await admin.send("POST", f"/admin/posts/{hidden}/hide")).status_code == 204
    assert (await alice.send("DELETE", f"/posts/{deleted}")).status_code == 204
    assert await found(world, "된장") == [kept]
    assert await found(world, "찌개") == [changed, kept]
    assert await found(world, "비빔밥 찌개") == [changed]
    assert await found(world, "pizza") == []
    assert await found(world, "순두부 맛집") == [kept]
    assert (await admin.send("POST", f"/admin/posts/{hidden}/show")).status_code == 204
    assert await found(world, "된장") == [hidden, kept]
    assert await world.rows("SELECT COUNT(*) FROM post_texts WHERE post_id = :p", p=deleted) == [(0,)]


async def test_a_scroll_neither_skips_nor_repeats_while_posts_come_and_go(world: World) -> None:
    alice = await world.person()
    written = [await alice.write_post(f"된장 {number}") for number in range(8)]
    moment = (await world.rows("SELECT created_at FROM posts WHERE id = :p", p=written[4]))[0][0]
    await world.change("UPDATE posts SET created_at = :t", t=moment)  # all at once: the ids decide
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        body = await search(world, "된장", size=3, **cursor)
        seen += [item["postId"] for item in body["items"]]
        if not body["hasMore"]:
            break
        cursor = {"cursorId": body["nextCursor"]["id"], "cursorCreatedAt": body["nextCursor"]["createdAt"]}
        await alice.write_post("된장 새 글")
        await alice.send("DELETE", f"/posts/{seen[0]}")
    assert seen == sorted(written, reverse=True)


async def test_posts_that_are_not_in_the_index_get_there_and_the_others_stay(backend: Backend) -> None:
    async with open_world(backend) as world:
        alice = await world.person()
        written = await write_all(alice)
        await alice.send("DELETE", f"/posts/{written[3]}")
        await world.change("DELETE FROM post_texts WHERE post_id <> :p", p=written[1])
        assert await found(world, "된장") == [written[1]]
        for _ in range(2):
            assert await reindex(backend.settings)
            assert await found(world, "된장") == [written[2], written[1], written[0]]
        assert await world.rows("SELECT COUNT(*) FROM post_texts") == [(3,)]


async def test_searches_are_limited_by_address(file_world: World, files: Backend) -> None:
    async with open_world(limited(files, "search=2/60")) as world:
        for _ in range(2):
            assert await found(world, "된장") == []
        assert_problem(await world.http.get(f"{API}/search/posts?q=된장"), 429, "E429-1")
        elsewhere = await world.http.get(f"{API}/search/posts?q=된장", headers={"X-Forwarded-For": "203.0.113.9"})
        assert elsewhere.status_code == 200


@pytest.fixture
def short_strides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "NEWEST", 2)
    monkeypatch.setattr(searching, "STRIDE", 3)


async def scroll(world: World, q: str, size: int) -> tuple[list[str], list[int]]:
    """Return the ids of all pages, and the length of each."""
    seen: list[str] = []
    lengths: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        body = await search(world, q, size=size, **cursor)
        seen += [item["postId"] for item in body["items"]]
        lengths.append(len(body["items"]))
        if not body["hasMore"]:
            return seen, lengths
        cursor = {"cursorId": body["nextCursor"]["id"], "cursorCreatedAt": body["nextCursor"]["createdAt"]}


async def test_a_word_is_found_whole_although_the_index_runs_out_of_time(
    servers: Backend, short_strides: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does where half a million posts hold the word, but few of the newest."""
    async with open_world(servers) as world:
        alice = await world.person()
        written = [await alice.write_post("김밥" if number < 7 else "국수", "점심") for number in range(14)]
        assert await scroll(world, "김밥", 3) == (written[6::-1], [3, 3, 1])
        endless = func.benchmark(10**12, func.sha2("x", 256)) == 0
        monkeypatch.setattr(posts.texts, "holds", lambda *_: endless)
        assert await scroll(world, "점심", 1) == (written[::-1], [1] * 14)
        assert await scroll(world, "김밥", 3) == (written[6::-1], [3, 3, 1])
        monkeypatch.setattr(searching, "SCAN_SECONDS", 0.0)
        seen, lengths = await scroll(world, "김밥", 3)
        assert seen == written[6::-1]
        assert lengths[0] == 0  # and there is more


async def test_searches_that_take_long_leave_connections_to_others(servers: Backend) -> None:
    async with open_world(servers) as world:
        written = await write_all(await world.person())
        with standing_still(servers.environment["BAPSANG_DATABASE_URL"], "post_texts"):
            searches = [
                asyncio.create_task(world.http.get(f"{API}/search/posts?q=된장")) for _ in range(searching.WAITING + 5)
            ]
            for ended in itertools.islice(asyncio.as_completed(searches), 5):
                assert_problem(await ended, 503, "E503-1")
            for post_id in written:
                assert (await world.http.get(f"{API}/posts/{post_id}")).status_code == 200
            assert world.runtime.database.usage()[0].in_use <= searching.AT_ONCE
        answers = await asyncio.gather(*searches)
        assert sorted(answer.status_code for answer in answers) == [200] * searching.WAITING + [503] * 5


async def test_search_reads_the_index_of_words_for_a_limited_time(servers: Backend) -> None:
    async with open_world(servers) as world:
        asked: list[tuple[str, Any]] = []
        plans: list[str] = []

        def explain(connection: Connection) -> None:
            def note(_c: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
                if "post_texts" in statement:  # not what the process asks of its own accord
                    asked.append((statement, values))

            event.listen(connection, "before_cursor_execute", note)
            posts.found(connection, Query.of("된장찌개"), None, 21)
            event.remove(connection, "before_cursor_execute", note)
            for statement, values in asked:
                plan = connection.exec_driver_sql(f"EXPLAIN FORMAT=TREE {statement}", values)
                plans.append(str(plan.scalar()))

        await world.runtime.database.read(explain)
    ((statement, _),) = asked
    assert statement.startswith(f"SELECT {TIME_LIMIT} ")
    assert f"Full-text index search on post_texts using {INDEX}" in plans[0]
