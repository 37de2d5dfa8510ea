"""Posts, comments and likes in the contract: limits at both of their ends, and what is null, missing or empty."""

from typing import Any

import pytest
from sqlalchemy import Connection, insert

from bapsang_api.comments.models import Comment
from bapsang_api.kit.db.columns import table_of
from bapsang_api.likes.models import UserPostLike
from bapsang_api.posts.models import Post, PostContent

from .world import API, Person, World, assert_problem

RICE = "🍚"  # one character, four bytes of UTF-8, two units of UTF-16


async def outcome(person: Person, method: str, path: str, **body: Any) -> int | str:
    """Send a body; return the status of what was done, or the field that was refused."""
    answer = await person.send(method, path, json=body)
    if answer.status_code < 300:
        return answer.status_code
    (error,) = assert_problem(answer, 400, "E400-1")["errors"]
    return str(error["field"])


async def test_title_has_1_to_255_characters_and_content_1_to_10000(world: World) -> None:
    alice = await world.person()
    path = f"/posts/{await alice.write_post()}"
    for field, longest in (("title", 255), ("content", 10_000)):
        for text, good in (
            *(("", False), (" ", False), ("밥", True), (RICE * longest, True), ("밥" * (longest + 1), False)),
        ):
            assert await outcome(alice, "PATCH", path, **{field: text}) == (200 if good else field)
            whole = {"title": "밥", "content": "국", field: text}
            assert await outcome(alice, "POST", "/posts", **whole) == (201 if good else field)
            if good:
                shown = (await alice.get(path)).json()
                assert text in (shown["title"], shown["contentDetail"]["content"])


async def test_a_new_post_needs_title_and_content_and_a_change_neither(world: World) -> None:
    alice = await world.person()
    whole = {"title": "밥", "content": "국", "postImageKey": None}
    assert await outcome(alice, "POST", "/posts", **whole) == 201
    path = f"/posts/{await alice.write_post('처음', '그대로')}"
    for field in ("title", "content"):
        assert await outcome(alice, "POST", "/posts", **{**whole, field: None}) == field
        assert await outcome(alice, "POST", "/posts", **{n: v for n, v in whole.items() if n != field}) == field
        assert await outcome(alice, "PATCH", path, **{field: None}) == 200
    assert await outcome(alice, "PATCH", path) == 200
    shown = (await alice.get(path)).json()
    assert (shown["title"], shown["contentDetail"]["content"], shown["updatedAt"]) == ("처음", "그대로", None)


async def test_comment_has_1_to_1000_characters(world: World) -> None:
    alice = await world.person()
    comments = f"/posts/{await alice.write_post()}/comments"
    one = f"{comments}/{(await alice.send('POST', comments, json={'content': '맛'})).json()['commentId']}"
    for text, good in (
        ("", False),
        (" ", False),
        ("맛", True),
        (RICE * 1000, True),
        ("맛" * 1001, False),
        (None, False),
    ):
        for method, path in (("POST", comments), ("PATCH", one)):
            assert await outcome(alice, method, path, content=text) == (201 if good else "content")
    for method, path in (("POST", comments), ("PATCH", one)):
        assert await outcome(alice, method, path) == "content"


async def test_a_comment_without_a_parent_is_at_the_top(world: World, subtests: pytest.Subtests) -> None:
    alice = await world.person()
    path = f"/posts/{await alice.write_post()}/comments"
    for no_parent in ({}, {"parentId": None}, {"parentId": ""}):
        with subtests.test(no_parent=no_parent):
            made = (await alice.send("POST", path, json={"content": "맛", **no_parent})).json()
            assert (made["parentId"], made["depth"], made["commentGroup"]) == (None, 0, made["commentId"])


async def test_a_reply_is_one_deeper_than_its_parent_down_to_three(world: World) -> None:
    alice = await world.person()
    path = f"/posts/{await alice.write_post()}/comments"
    made = top = (await alice.send("POST", path, json={"content": "맛"})).json()
    for depth in (1, 2, 3):
        reply = (await alice.send("POST", path, json={"content": "맛", "parentId": made["commentId"]})).json()
        assert (reply["depth"], reply["parentId"]) == (depth, made["commentId"])
        assert reply["commentGroup"] == top["commentId"]
        made = reply
    assert await outcome(alice, "POST", path, content="맛", parentId=made["commentId"]) == "parentId"
    (item,) = (await alice.get(path)).json()["items"]
    assert item["replyCount"] == 3


async def fill(world: World, author: Person, post_id: str, top: str) -> None:
    """Write 101 posts that their author likes, and 101 comments and replies to a post, straight into the tables."""
    ids = [f"0{number:025}" for number in range(303)]
    by = {"user_id": author.user_id, "created_at": world.clock.now()}
    posts = [Post(id=made, title="밥", **by) for made in ids[:101]]
    contents = [PostContent(id=post.id, content="찌개") for post in posts]
    likes = [UserPostLike(post_id=post.id, **by) for post in posts]
    on = {"post_id": post_id, "content": "맛", **by}
    comments = [Comment(comment_id=made, comment_group=made, **on) for made in ids[101:202]]
    replies = [Comment(comment_id=made, comment_group=top, parent_id=top, depth=1, **on) for made in ids[202:]]

    def write(connection: Connection) -> None:
        for rows in (posts, contents, likes, comments, replies):
            connection.execute(
                insert(table_of(type(rows[0]))), [row.model_dump(exclude={"changed_at"}) for row in rows]
            )

    await world.runtime.database.write(write)


async def test_size_is_1_to_100_and_20_where_it_is_absent_or_empty(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    top = await alice.write_comment(post_id)
    await fill(world, alice, post_id, top)
    comments = f"/posts/{post_id}/comments"
    for path in ("/posts", "/users/me/posts", "/users/me/likes", comments, f"{comments}/{top}/replies"):
        for size, found in ((1, 1), (100, 100), ("", 20), (None, 20)):
            page = (await alice.get(path, params={} if size is None else {"size": size})).json()
            assert (len(page["items"]), page["hasMore"]) == (found, True), (path, size)
            assert set(page["nextCursor"]) == {"id", "createdAt"}
        for bad in ("0", "101", "-1", "1.5", "x"):
            answer = await alice.get(path, params={"size": bad})
            assert assert_problem(answer, 400, "E400-1")["errors"][0]["field"] == "size", (path, bad)


async def test_cursor_id_alone_and_empty_parameters_are_ignored_in_every_list(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    top = await alice.write_comment(post_id)
    await alice.write_comment(post_id, "답글", top)
    await alice.toggle(post_id)
    await world.write_back()
    comments = f"/posts/{post_id}/comments"
    for path in ("/posts", "/users/me/posts", "/users/me/likes", comments, f"{comments}/{top}/replies"):
        for query in ("cursorId=nonsense", "size=&cursorId=&cursorCreatedAt=", "cursorId=x&cursorCreatedAt="):
            page = (await alice.get(f"{path}?{query}")).json()
            assert (len(page["items"]), page["nextCursor"], page["hasMore"]) == (1, None, False), (path, query)


async def test_every_change_needs_a_token(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    comment = f"/posts/{post_id}/comments/{await alice.write_comment(post_id)}"
    likes = f"/posts/{post_id}/likes"
    for method, path in (
        *(("POST", "/posts"), ("PATCH", f"/posts/{post_id}"), ("DELETE", f"/posts/{post_id}")),
        *(("POST", f"/posts/{post_id}/comments"), ("PATCH", comment), ("DELETE", comment)),
        *(("POST", likes), ("PUT", likes), ("DELETE", likes), ("POST", "/uploads/presign")),
    ):
        assert_problem(await world.http.request(method, f"{API}{path}"), 401, "T001")
    assert (await alice.get(comment + "/replies")).status_code == 200
