"""Tags of posts: what is written, lists by tag, and which tags are popular."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, event

from bapsang_api.kit.db.keyset import Keyset
from bapsang_api.posts import queries as posts
from bapsang_api.tags import store as tags
from bapsang_api.users.models import Extent

from .test_erasure import erasure
from .world import API, Backend, Person, World, assert_problem, make_admin, open_world

pytestmark = pytest.mark.both_databases


async def write(person: Person, *names: str) -> str:
    answer = await person.send("POST", "/posts", json={"title": "밥", "content": "찌개", "tags": list(names)})
    assert answer.status_code == 201, answer.text
    assert answer.json()["tags"] == list(names)
    return str(answer.json()["postId"])


async def listed(world: World, tag: str) -> list[str]:
    answer = await world.http.get(f"{API}/posts", params={"tag": tag})
    assert answer.status_code == 200, answer.text
    return [item["postId"] for item in answer.json()["items"]]


async def popular(world: World, **params: Any) -> list[tuple[str, int]]:
    answer = await world.http.get(f"{API}/tags", params=params)
    assert answer.status_code == 200, answer.text
    return [(item["name"], item["postCount"]) for item in answer.json()["items"]]


async def test_tags_are_shown_in_their_order_in_details_and_lists(world: World) -> None:
    alice = await world.person()
    names = ["집밥", "된장_찌개", "Pizza1"]
    post_id = await write(alice, *names)
    await alice.toggle(post_id)
    await world.write_back()
    assert (await alice.get(f"/posts/{post_id}")).json()["tags"] == names
    for path in ("/posts", "/posts?tag=집밥", "/users/me/posts", "/users/me/likes", "/search/posts?q=찌개"):
        assert [item["tags"] for item in (await alice.get(path)).json()["items"]] == [names], path
    untagged = await alice.write_post()
    assert (await alice.get(f"/posts/{untagged}")).json()["tags"] == []


async def test_decomposed_letters_and_other_cases_are_the_same_tag(world: World) -> None:
    alice = await world.person()
    first = await write(alice, "Pizza")
    answer = await alice.send("POST", "/posts", json={"title": "밥", "content": "국", "tags": ["pizza", "각"]})
    second = answer.json()["postId"]
    assert answer.json()["tags"] == ["pizza", "각"]
    assert await listed(world, "PIZZA") == [second, first]
    assert await listed(world, "각") == [second]
    assert await listed(world, "가") == []
    assert await popular(world) == [("Pizza", 2), ("각", 1)]


async def test_bad_tags_are_refused_by_name(file_world: World, subtests: pytest.Subtests) -> None:
    alice = await file_world.person()
    post_id = await write(alice, "집밥")
    for given, field in (
        (["a" * 21], "tags.0"),
        (["집밥", ""], "tags.1"),
        (["집 밥"], "tags.0"),
        (["#집밥"], "tags.0"),
        (["a,b"], "tags.0"),
        (["ㅋㅋ"], "tags.0"),
        (["밥", "Pizza", "pizza"], "tags"),
        ([str(number) for number in range(11)], "tags"),
        ("집밥", "tags"),
        ([1], "tags.0"),
    ):
        with subtests.test(given=given, field=field):
            for method, path in (("POST", "/posts"), ("PATCH", f"/posts/{post_id}")):
                answer = await alice.send(method, path, json={"title": "밥", "content": "국", "tags": given})
                assert [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]] == [field]
            for path, name in (("/posts?tag=a%20b", "tag"), ("/tags?prefix=%25", "prefix")):
                assert assert_problem(await alice.get(path), 400, "E400-1")["errors"][0]["field"] == name


async def test_a_change_replaces_all_tags_and_what_is_missing_stays(world: World) -> None:
    alice = await world.person()
    post_id = await write(alice, "집밥", "된장")

    async def change(**body: Any) -> list[str]:
        answer = await alice.send("PATCH", f"/posts/{post_id}", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["updatedAt"] is not None or not body
        return list(answer.json()["tags"])

    assert await change(title="새 제목") == ["집밥", "된장"]
    assert await change(tags=None) == ["집밥", "된장"]
    assert await change(tags=["김치", "집밥"]) == ["김치", "집밥"]
    assert [await listed(world, name) for name in ("집밥", "된장", "김치")] == [[post_id], [], [post_id]]
    assert sorted(await popular(world)) == [("김치", 1), ("집밥", 1)]
    assert await change(tags=[]) == []
    assert await popular(world) == []


async def test_tags_go_and_come_back_with_the_post(world: World) -> None:
    alice, admin = await world.person(), await make_admin(world, await world.person())
    hidden, deleted, kept = [await write(alice, "집밥") for _ in range(3)]
    for _ in range(2):
        assert (await admin.send("POST", f"/admin/posts/{hidden}/hide")).status_code == 204
    assert (await alice.send("DELETE", f"/posts/{deleted}")).status_code == 204
    assert (await listed(world, "집밥"), await popular(world)) == ([kept], [("집밥", 1)])
    for _ in range(2):
        assert (await admin.send("POST", f"/admin/posts/{hidden}/show")).status_code == 204
    assert (await listed(world, "집밥"), await popular(world)) == ([kept, hidden], [("집밥", 2)])
    await erasure(world).erase(alice.user_id, Extent.WORDS, reason=None)
    assert (await listed(world, "집밥"), await popular(world)) == ([], [])
    assert await world.rows("SELECT COUNT(*) FROM posts WHERE tags IS NOT NULL AND title = ''") == [(0,)]
    assert await world.rows("SELECT COUNT(*) FROM post_texts") == [(0,)]


async def test_popular_tags_begin_with_the_prefix_and_most_posts_come_first(world: World) -> None:
    alice = await world.person()
    for names in (("a_b", "집밥"), ("a_b", "axb"), ("A_c",), ("집밥", "집들이"), ("집밥",)):
        await write(alice, *names)
    assert (await popular(world))[:2] == [("집밥", 3), ("a_b", 2)]
    assert await popular(world, prefix="집") == [("집밥", 3), ("집들이", 1)]
    assert await popular(world, prefix="A_") == [("a_b", 2), ("A_c", 1)]
    assert await popular(world, prefix="", size=1) == [("집밥", 3)]


async def test_a_scroll_of_a_tag_sees_every_post_once(world: World) -> None:
    alice = await world.person()
    written = []
    for _ in range(5):
        written.append(await write(alice, "집밥"))
        await write(alice, "다른")
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        body = (await alice.get("/posts", params={"tag": "집밥", "size": 2, **cursor})).json()
        seen += [item["postId"] for item in body["items"]]
        if not body["hasMore"]:
            break
        cursor = {"cursorId": body["nextCursor"]["id"], "cursorCreatedAt": body["nextCursor"]["createdAt"]}
        await write(alice, "집밥")
    assert seen == written[::-1]


async def test_counts_stay_exact_when_many_write_the_same_new_tags_at_once(servers: Backend) -> None:
    async with open_world(servers) as world:
        crowd = [await world.person() for _ in range(5)]
        names = ["가", "나", "다"]

        async def act(number: int) -> None:
            person = crowd[number % 5]
            post_id = await write(person, *names[number % 3 :], *names[: number % 3])
            body = {"tags": names[: number % 3]}
            assert (await person.send("PATCH", f"/posts/{post_id}", json=body)).status_code == 200

        await asyncio.gather(*(act(number) for number in range(30)))
        assert await popular(world) == [("가", 20), ("나", 10)]


async def test_a_tags_list_is_read_off_its_key(servers: Backend) -> None:
    async with open_world(servers) as world:
        alice = await world.person()
        await write(alice, "집밥")
        numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT"
        await world.change(
            "INSERT INTO posts (id, user_id, title, created_at, view_count, like_count, comment_count, post_status) "
            f"{numbers} LPAD(i, 26, '0'), :u, 't', NOW(6) - INTERVAL i MINUTE, 0, 0, 0, 'ACTIVE' FROM n",
            u=alice.user_id,
        )
        await world.change("INSERT INTO post_tags SELECT '집밥', created_at, id FROM posts WHERE title = 't'")
        await world.change("ANALYZE TABLE users, posts, post_tags, tags")
        plans: list[str] = []

        def explain(connection: Connection) -> None:
            asked: list[tuple[str, Any]] = []

            def note(_c: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
                asked.append((statement, values))

            event.listen(connection, "before_cursor_execute", note)
            posts.tagged(connection, "집밥", Keyset(world.clock.now(), "Z" * 26), 21)
            tags.popular(connection, "", 20)
            event.remove(connection, "before_cursor_execute", note)
            for statement, values in asked:
                plan = connection.exec_driver_sql(f"EXPLAIN FORMAT=TREE {statement}", values)
                plans.append(str(plan.scalar()))

        await world.runtime.database.read(explain)
    assert "on post_tags using PRIMARY" in plans[0]
    assert "ix_tags_popular" in plans[1]
    assert not any("Sort" in plan for plan in plans), plans
