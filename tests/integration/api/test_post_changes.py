"""Changing and deleting posts, and what becomes of the likes of a post that goes from sight."""

import asyncio
from typing import Any

import pytest

from bapsang_api.kit.problem import NotFound
from bapsang_api.likes.service import LikeService
from bapsang_api.likes.store import LikeStore
from bapsang_api.users.numbers import UserNumbers

from .world import API, Person, World, assert_problem, make_admin

NOBODY = "01JD0000000000000000000000"


async def detail(world: World, post_id: str) -> dict[str, Any]:
    """Return the post as it is shown, without a view of it."""
    unseen = {"Sec-Purpose": "prefetch"}
    body: dict[str, Any] = (await world.http.get(f"{API}/posts/{post_id}", headers=unseen)).json()
    return body


async def like_keys(world: World, post_id: str) -> set[str]:
    keys = {key.split(":")[1] for key in await world.runtime.redis.keys(f"like:*:{post_id}")}
    return keys | ({"dirty"} if await world.runtime.redis.zscore("like:dirty", post_id) is not None else set())


async def test_what_is_given_changes_and_the_rest_stays(world: World, subtests: pytest.Subtests) -> None:
    alice = await world.person()
    for change, title, content in (
        ({"title": "새 제목"}, "새 제목", "된장찌개"),
        ({"content": "새 내용", "title": None}, "오늘의 밥상", "새 내용"),
        ({"title": "새 제목", "content": "새 내용", "postImageKey": None, "likeCount": 9}, "새 제목", "새 내용"),
    ):
        with subtests.test(change=change, title=title, content=content):
            post_id = await alice.write_post()
            before = await detail(world, post_id)
            await alice.toggle(post_id)
            changed = await alice.send("PATCH", f"/posts/{post_id}", json=change)
            assert changed.status_code == 200
            body = changed.json()
            assert body["updatedAt"] > before["createdAt"]
            assert body == {
                **before,
                "title": title,
                "updatedAt": body["updatedAt"],
                "contentDetail": {"content": content, "postImageUrl": None, "postImage": None, "images": []},
                "stats": {**before["stats"], "likeCount": 1, "isLiked": True},
            }
            assert (await alice.get(f"/posts/{post_id}")).json() == {**body, "stats": {**body["stats"], "viewCount": 1}}


async def test_a_change_of_nothing_answers_the_post_as_it_was(world: World, subtests: pytest.Subtests) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    for change in ({}, {"title": None, "content": None, "postImageKey": None}):
        with subtests.test(change=change):
            body = (await alice.send("PATCH", f"/posts/{post_id}", json=change)).json()
            assert body == await detail(world, post_id)
            assert body["updatedAt"] is None


async def test_a_change_counts_no_view(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    await alice.send("PATCH", f"/posts/{post_id}", json={"title": "새 제목"})
    assert await world.runtime.write_back_views() == 0


async def test_bad_change_names_the_field_and_changes_nothing(world: World, subtests: pytest.Subtests) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    for change, field in (
        ({"title": " "}, "title"),
        ({"title": "x" * 256}, "title"),
        ({"content": ""}, "content"),
        ({"postImageKey": "users/a/post/b.png"}, "postImageKey"),
    ):
        with subtests.test(change=change, field=field):
            answer = await alice.send("PATCH", f"/posts/{post_id}", json={"content": "새 내용", **change})
            assert assert_problem(answer, 400, "E400-1")["errors"][0]["field"] == field
            assert (await detail(world, post_id))["contentDetail"]["content"] == "된장찌개"


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_only_the_author_changes_and_deletes(world: World, method: str) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    before = await detail(world, post_id)
    body = {"json": {"title": "남의 글"}} if method == "PATCH" else {}
    assert_problem(await bob.send(method, f"/posts/{post_id}", **body), 403, "E403-1")
    assert_problem(await world.http.request(method, f"{API}/posts/{post_id}", **body), 401, "T001")
    for unknown in (NOBODY, "nonsense"):
        assert_problem(await bob.send(method, f"/posts/{unknown}", **body), 404, "E404-1")
    assert await detail(world, post_id) == before


async def test_deleted_post_is_gone_for_everybody_and_its_row_stays(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await world.write_back()
    assert (await alice.send("DELETE", f"/posts/{post_id}")).status_code == 204
    assert_problem(await alice.get(f"/posts/{post_id}"), 404, "E404-1")
    assert_problem(await alice.toggle(post_id), 404, "E404-1")
    for path in ("/posts", "/users/me/posts", "/users/me/likes"):
        assert (await alice.get(path)).json()["items"] == []
    for method, body in (("DELETE", {}), ("PATCH", {"json": {"title": "x"}})):
        assert_problem(await alice.send(method, f"/posts/{post_id}", **body), 404, "E404-1")
    rows = await world.rows("SELECT post_status, deleted_at IS NOT NULL FROM posts WHERE id = :p", p=post_id)
    assert rows == [("DELETED", 1)]


async def test_likes_of_a_deleted_post_leave_redis_and_a_late_write_back_is_a_no_op(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    likes = LikeStore(world.runtime.redis)
    await alice.toggle(post_id)
    claims = await likes.claim([post_id], "mine")  # a write-back is under way
    assert claims[0].changes == {alice.user_id: True}
    await bob.toggle(post_id)
    await alice.send("DELETE", f"/posts/{post_id}")
    assert await like_keys(world, post_id) == set()
    await likes.acknowledge(claims, world.clock.now())
    assert await like_keys(world, post_id) == set()


async def test_likes_that_could_not_be_forgotten_are_dropped_by_the_write_back(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await world.change("UPDATE posts SET post_status = 'DELETED' WHERE id = :p", p=post_id)  # Redis was down
    report = await world.write_back()
    assert (report.added, report.remaining_posts) == (0, 0)
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (0, 0)


class SlowLoader(LikeStore):
    """Gets the right to load a post's likes only after something else has happened."""

    def __init__(self, world: World, meanwhile: Any) -> None:
        super().__init__(world.runtime.redis)
        self.meanwhile = meanwhile

    async def begin_load(self, post_id: str, token: str) -> bool:
        await self.meanwhile()
        return await super().begin_load(post_id, token)


@pytest.mark.parametrize("act", ["delete", "hide"])
async def test_a_like_that_races_with_the_end_of_a_post_leaves_nothing_in_redis(world: World, act: str) -> None:
    alice, admin = await world.person(), await make_admin(world, await world.person())
    post_id = await alice.write_post()

    async def go_away() -> None:
        if act == "delete":
            assert (await alice.send("DELETE", f"/posts/{post_id}")).status_code == 204
        else:
            assert (await admin.send("POST", f"/admin/posts/{post_id}/hide")).status_code == 204

    await LikeStore(world.runtime.redis).epoch(begin="first")
    racing = LikeService(
        world.runtime.database, SlowLoader(world, go_away), UserNumbers(world.runtime.database), world.clock
    )
    with pytest.raises(NotFound):
        await racing.toggle(post_id, alice.principal)
    assert await like_keys(world, post_id) == set()


async def test_a_loader_overtaken_by_the_end_of_a_post_puts_nothing_in_place(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    likes = LikeStore(world.runtime.redis)
    await likes.epoch(begin="first")
    assert await likes.begin_load(post_id, "slow")  # and reads the likes of a post that is still there
    await alice.send("DELETE", f"/posts/{post_id}")
    assert not await likes.stage(post_id, "slow", [1], compact=False)
    assert not await likes.finish_load(post_id, "slow", {}, staged=0, compact=False)
    assert await like_keys(world, post_id) == set()


async def test_hidden_post_cannot_be_liked_and_shown_again_has_every_like(world: World) -> None:
    admin, alice, bob = await make_admin(world, await world.person()), await world.person(), await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await world.write_back()
    await bob.toggle(post_id)  # not written back yet
    assert (await admin.send("POST", f"/admin/posts/{post_id}/hide")).status_code == 204
    for method in ("POST", "PUT", "DELETE"):
        assert_problem(await alice.send(method, f"/posts/{post_id}/likes"), 404, "E404-1")
    assert (await alice.get("/users/me/likes")).json()["items"] == []
    assert (await admin.send("POST", f"/admin/posts/{post_id}/show")).status_code == 204
    assert await world.shown_likes(post_id) == 2
    assert (await bob.get(f"/posts/{post_id}")).json()["stats"]["isLiked"]
    await world.write_back()
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (2, 2)


async def test_write_back_while_a_post_is_hidden_loses_nothing(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await admin.send("POST", f"/admin/posts/{post_id}/hide")
    assert (await world.write_back()).added == 1
    await admin.send("POST", f"/admin/posts/{post_id}/show")
    assert await world.shown_likes(post_id) == 1
    await alice.toggle(post_id)
    assert await world.shown_likes(post_id) == 0


async def test_likes_racing_with_hiding_and_showing_stay_exact(world: World) -> None:
    admin = await make_admin(world, await world.person())
    crowd = [await world.person() for _ in range(6)]
    post_id = await crowd[0].write_post()
    wanted: dict[str, bool] = {}

    async def click(person: Person) -> None:
        for number in range(12):
            answer = await person.send("PUT" if number % 3 else "DELETE", f"/posts/{post_id}/likes")
            assert answer.status_code in {204, 404}
            if answer.status_code == 204:
                wanted[person.user_id] = bool(number % 3)

    async def moderate() -> None:
        for _ in range(6):
            for act in ("hide", "show"):
                assert (await admin.send("POST", f"/admin/posts/{post_id}/{act}")).status_code == 204
            await world.write_back()

    await asyncio.gather(moderate(), *(click(person) for person in crowd))
    assert await world.shown_likes(post_id) == sum(wanted.values())
    await world.write_back()
    likers = await world.rows("SELECT user_id FROM user_post_likes WHERE post_id = :p", p=post_id)
    assert {user_id for (user_id,) in likers} == {user_id for user_id, liked in wanted.items() if liked}
    assert await world.like_count_column(post_id) == sum(wanted.values())


async def scroll(person: Person, path: str, size: int) -> list[str]:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        body = (await person.get(path, params={"size": size, **cursor})).json()
        seen += [item["postId"] for item in body["items"]]
        assert body["hasMore"] == (body["nextCursor"] is not None)
        if not body["hasMore"]:
            return seen
        cursor = {"cursorId": body["nextCursor"]["id"], "cursorCreatedAt": body["nextCursor"]["createdAt"]}


async def test_my_posts_are_mine_alone_newest_first(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    mine = [await alice.write_post(f"글 {number}") for number in range(5)]
    await bob.write_post()
    assert await scroll(alice, "/users/me/posts", 2) == mine[::-1]
    newest = (await world.http.get(f"{API}/posts?size=2")).json()["items"][1]
    assert (await alice.get("/users/me/posts?size=1")).json()["items"] == [{**newest, "state": "PUBLISHED"}]
    assert_problem(await world.http.get(f"{API}/users/me/posts"), 401, "T001")


async def test_posts_i_like_come_last_liked_first_with_live_counts(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    posts = [await alice.write_post(f"글 {number}") for number in range(5)]
    for post_id in (posts[2], posts[0], posts[4]):
        await bob.toggle(post_id)
        await world.write_back()
    await bob.toggle(posts[0])
    await alice.toggle(posts[2])
    await world.write_back()
    assert await scroll(bob, "/users/me/likes", 1) == [posts[4], posts[2]]
    assert (await bob.get(f"/posts/{posts[2]}")).status_code == 200
    (listed,) = (await alice.get("/users/me/likes")).json()["items"]
    assert (listed["stats"]["likeCount"], listed["stats"]["viewCount"]) == (2, 1)
    assert listed["author"]["nickname"] == alice.nickname
    assert_problem(await world.http.get(f"{API}/users/me/likes"), 401, "T001")


@pytest.mark.parametrize("path", ["/users/me/posts", "/users/me/likes"])
async def test_bad_cursor_is_refused_on_my_lists(world: World, path: str) -> None:
    alice = await world.person()
    answer = await alice.get(path, params={"cursorCreatedAt": "yesterday"})
    assert assert_problem(answer, 400, "E400-1")["errors"][0]["field"] == "cursorCreatedAt"
