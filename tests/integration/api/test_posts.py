"""Writing, listing and reading posts, as the contract has them."""

import asyncio
import json
import re
import unicodedata
from datetime import datetime, timedelta
from typing import Any

import pytest

from bapsang_api.kit.clock import SEOUL

from .world import API, Person, World, assert_problem, eventually

pytestmark = pytest.mark.both_databases

WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?")


async def page(world: World, **params: Any) -> dict[str, Any]:
    answer = await world.http.get(f"{API}/posts", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_created_post_reads_back_exactly_as_written(world: World) -> None:
    alice = await world.person()
    title, content = "<b>김치찌개</b> & 밥 🍚", "첫 줄\n둘째 줄\t끝 "
    written = await alice.send("POST", "/posts", json={"title": title, "content": content, "extra": 1})
    assert written.status_code == 201
    body = written.json()
    assert WIRE_TIME.fullmatch(body["createdAt"])
    now = world.clock.now().astimezone(SEOUL).replace(tzinfo=None)
    assert abs(now - datetime.fromisoformat(body["createdAt"])) < timedelta(seconds=30)
    author = {
        "userId": alice.user_id,
        "nickname": alice.nickname,
        "authorProfileUrl": None,
        "authorProfile": None,
    }
    assert body == {
        "postId": body["postId"],
        "title": title,
        "createdAt": body["createdAt"],
        "updatedAt": None,
        "state": "PUBLISHED",
        "contentDetail": {"content": content, "postImageUrl": None, "postImage": None, "images": []},
        "author": author,
        "stats": {"likeCount": 0, "commentCount": 0, "viewCount": 0, "isLiked": False},
        "tags": [],
    }
    assert (await world.http.head(f"{API}/posts/{body['postId']}")).status_code == 200
    listed = await page(world)
    assert listed == {
        "items": [
            {
                "postId": body["postId"],
                "title": title,
                "createdAt": body["createdAt"],
                "thumbnailUrl": None,
                "thumbnail": None,
                "author": author,
                "stats": {"likeCount": 0, "commentCount": 0, "viewCount": 0},
                "tags": [],
            }
        ],
        "nextCursor": None,
        "hasMore": False,
    }
    assert (await world.http.get(f"{API}/posts/{body['postId']}")).json() == body


async def test_bad_post_names_the_field(world: World, subtests: pytest.Subtests) -> None:
    alice = await world.person()
    for body, field in (
        ({"title": "", "content": "x"}, "title"),
        ({"title": "   ", "content": "x"}, "title"),
        ({"title": "x" * 256, "content": "x"}, "title"),
        ({"title": "x", "content": "x" * 10_001}, "content"),
        ({"title": "x"}, "content"),
        ({"title": 1, "content": "x"}, "title"),
        ({"title": "x", "content": "x", "postImageKey": "users/a/post/b.png"}, "postImageKey"),
        (["not", "an", "object"], "body"),
        ({"title": "\ud800", "content": "x"}, "title"),
    ):
        with subtests.test(body=body, field=field):
            problem = assert_problem(await alice.send("POST", "/posts", content=json.dumps(body)), 400, "E400-1")
            assert problem["errors"][0]["field"] == field


async def test_longest_title_and_content_are_taken_and_normalised(world: World) -> None:
    alice = await world.person()
    # Decomposed: 255 visible letters are 510 code points before NFC.
    answer = await alice.send(
        "POST", "/posts", json={"title": unicodedata.normalize("NFD", "가" * 255), "content": "힣" * 10_000}
    )
    assert answer.status_code == 201
    assert answer.json()["title"] == "가" * 255


async def test_writing_needs_a_token(world: World) -> None:
    assert_problem(await world.http.post(f"{API}/posts", json={"title": "a", "content": "b"}), 401, "T001")


async def test_unknown_post_is_404(world: World, subtests: pytest.Subtests) -> None:
    for post_id in ("01JD0000000000000000000000", "nonsense", "01jd0000000000000000000000", "%00"):
        with subtests.test(post_id=post_id):
            answer = await world.http.get(f"{API}/posts/{post_id}")
            assert answer.status_code == 404
            assert answer.json()["code"] == "E404-1"


async def test_deleted_post_is_gone_from_list_and_detail(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    await world.change("UPDATE posts SET post_status = 'DELETED' WHERE id = :p", p=post_id)
    assert (await page(world))["items"] == []
    assert_problem(await world.http.get(f"{API}/posts/{post_id}"), 404, "E404-1")
    assert_problem(await alice.toggle(post_id), 404, "E404-1")


async def test_pages_join_up_newest_first(world: World) -> None:
    alice = await world.person()
    written = [await alice.write_post(f"글 {number}") for number in range(7)]
    seen: list[str] = []
    body = await page(world, size=3)
    while True:
        seen += [item["postId"] for item in body["items"]]
        assert body["hasMore"] == (body["nextCursor"] is not None)
        if not body["hasMore"]:
            break
        cursor = body["nextCursor"]
        assert cursor == {"id": body["items"][-1]["postId"], "createdAt": body["items"][-1]["createdAt"]}
        body = await page(world, size=3, cursorId=cursor["id"], cursorCreatedAt=cursor["createdAt"])
    assert seen == written[::-1]


async def test_posts_of_the_same_instant_are_told_apart_by_id(world: World) -> None:
    alice = await world.person()
    written = [await alice.write_post(f"글 {number}") for number in range(5)]
    await world.change("UPDATE posts SET created_at = '2026-11-23 01:02:03.000004'")
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        body = await page(world, size=2, **cursor)
        seen += [item["postId"] for item in body["items"]]
        if not body["nextCursor"]:
            break
        cursor = {"cursorId": body["nextCursor"]["id"], "cursorCreatedAt": body["nextCursor"]["createdAt"]}
    assert body["items"][0]["createdAt"] == "2026-11-23T10:02:03.000004"
    assert seen == sorted(written, reverse=True)


async def test_scroll_under_inserts_neither_skips_nor_repeats(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    present = {await alice.write_post(f"글 {number}") for number in range(25)}
    reading = True

    async def keep_writing() -> None:
        while reading:
            await bob.write_post("새 글")

    writer = asyncio.create_task(keep_writing())
    seen: list[str] = []
    body = await page(world, size=4)
    while True:
        seen += [item["postId"] for item in body["items"]]
        cursor = body["nextCursor"]
        if cursor is None:
            break
        body = await page(world, size=4, cursorId=cursor["id"], cursorCreatedAt=cursor["createdAt"])
    reading = False
    await writer
    assert len(seen) == len(set(seen))
    assert present <= set(seen)


async def test_bad_page_parameters_are_refused(world: World, subtests: pytest.Subtests) -> None:
    for params, field in (
        ({"size": "0"}, "size"),
        ({"size": "101"}, "size"),
        ({"size": "many"}, "size"),
        ({"cursorCreatedAt": "yesterday"}, "cursorCreatedAt"),
        ({"cursorCreatedAt": "0001-01-01T00:00:00"}, "cursorCreatedAt"),
        ({"cursorCreatedAt": "2026-11-23T10:10:12", "cursorId": "x"}, "cursorId"),
    ):
        with subtests.test(params=params, field=field):
            answer = await world.http.get(f"{API}/posts", params=params)
            assert assert_problem(answer, 400, "E400-1")["errors"][0]["field"] == field


async def test_a_view_is_in_the_count_at_the_next_reading_and_stays_there(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()

    async def views(person: Person | None = None) -> tuple[int, int]:
        """Return the views in the detail and in the list."""
        answer = await (person.get(f"/posts/{post_id}") if person else world.http.get(f"{API}/posts/{post_id}"))
        return answer.json()["stats"]["viewCount"], (await page(world))["items"][0]["stats"]["viewCount"]

    assert await views(alice) == await views(alice) == (1, 1)
    assert await views(bob) == (2, 2)
    await views()  # whoever has no token waits for no count, not even the own one

    async def all_seen() -> bool:
        return await views() == (3, 3)

    await eventually(all_seen)
    for written in (3, 0):
        assert await world.runtime.write_back_views() == written
        assert await views(alice) == await views() == (3, 3)
        assert (await alice.get("/users/me/posts")).json()["items"][0]["stats"]["viewCount"] == 3


@pytest.mark.parametrize(
    "headers", [{"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}]
)
async def test_what_nobody_looks_at_counts_no_view(file_world: World, headers: dict[str, str]) -> None:
    alice = await file_world.person()
    post_id = await alice.write_post()
    for token in ({}, alice.headers):
        await file_world.http.get(f"{API}/posts/{post_id}", headers={**headers, **token})
        await file_world.http.head(f"{API}/posts/{post_id}", headers=token)
    assert await file_world.runtime.write_back_views() == 0


async def test_a_view_counts_once_per_viewer_and_minute(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    for _ in range(3):
        await alice.get(f"/posts/{post_id}")
        await bob.get(f"/posts/{post_id}")
        await world.http.get(f"{API}/posts/{post_id}", headers={"X-Forwarded-For": "203.0.113.7"})
    assert await world.runtime.write_back_views() == 3

    async def shown() -> bool:
        return bool((await page(world))["items"][0]["stats"]["viewCount"] == 3)

    await eventually(shown)
    assert await world.runtime.write_back_views() == 0
