"""Posts of new accounts that are held back: who sees them, and what moderators make of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from .bucket import Bucket, open_photo_world
from .test_moderation import act, audit
from .test_moderators_users import found
from .world import API, Backend, Person, World, assert_problem, make_admin, open_world

LINKS = "a.com b.net https://c.example"


def holding(backend: Backend) -> Backend:
    return replace(backend, environment={**backend.environment, "BAPSANG_HOLD_POSTS": "on"})


@pytest.fixture
async def world(backend: Backend) -> AsyncIterator[World]:
    async with open_world(holding(backend)) as opened:
        yield opened


async def write(person: Person, title: str = "제목", content: str = LINKS, **more: Any) -> dict[str, Any]:
    answer = await person.send("POST", "/posts", json={"title": title, "content": content, **more})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def state(person: Person, **body: Any) -> str:
    return str((await write(person, **body))["state"])


async def told(world: World, person: Person) -> list[tuple[Any, ...]]:
    return await world.rows(
        "SELECT kind, bundle, post_id, comment_id, detail FROM notifications WHERE user_id = :u ORDER BY number",
        u=person.user_id,
    )


@pytest.mark.both_databases
async def test_held_post_is_seen_by_its_author_and_by_nobody_else(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    held = await write(alice, tags=["집밥"])
    post_id = held["postId"]
    assert held["state"] == "HELD"
    shown = await alice.get(f"/posts/{post_id}")
    assert (shown.status_code, shown.json()) == (200, held)
    (mine,) = (await alice.get("/users/me/posts")).json()["items"]
    assert (mine["postId"], mine["state"]) == (post_id, "HELD")
    for person in (bob, None):
        for path in (f"/posts/{post_id}", f"/posts/{post_id}/comments"):
            answer = await person.get(path) if person else await world.http.get(f"{API}{path}")
            assert_problem(answer, 404, "E404-1")
    for method, path, body in (
        ("PUT", "likes", None),
        ("POST", "comments", {"content": "누구"}),
        ("POST", "reports", {"reason": "SPAM"}),
    ):
        assert_problem(await bob.send(method, f"/posts/{post_id}/{path}", json=body), 404, "E404-1")
    for method in ("PATCH", "DELETE"):
        body = {"json": {"title": "x"}} if method == "PATCH" else {}
        assert_problem(await bob.send(method, f"/posts/{post_id}", **body), 404, "E404-1")
    for person in (alice, bob):
        for path in ("/posts", "/posts?tag=집밥", "/tags", "/search/posts?q=net", "/users/me/likes"):
            assert (await person.get(path)).json()["items"] == []
    assert post_id not in (await world.http.get("/feed.xml")).text


@pytest.mark.both_databases
async def test_approved_post_comes_on_top_and_its_author_is_told(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    held = await write(alice, tags=["집밥"])
    published = await write(alice, content="된장찌개")
    (waiting,) = await found(admin, "held-posts")
    author = {"userId": alice.user_id, "nickname": alice.nickname}
    assert waiting == {
        "postId": held["postId"],
        "title": "제목",
        "createdAt": held["createdAt"],
        "heldAt": held["createdAt"],
        "heldFor": "LINKS",
        "author": author,
    }
    inspected = (await admin.get(f"/admin/posts/{held['postId']}")).json()
    more = {"status": "HELD", "heldAt": held["createdAt"], "heldFor": "LINKS", "author": author}
    assert inspected == {"post": held, **more}
    assert (await admin.get("/admin/queue")).json()["heldPosts"] == 1
    world.clock.passed += timedelta(minutes=5)
    assert await act(admin, f"posts/{held['postId']}/approve", reason="괜찮음") == 204
    assert await found(admin, "held-posts") == []
    for path in ("/posts", "/users/me/posts"):
        assert [one["postId"] for one in (await alice.get(path)).json()["items"]] == [
            *(held["postId"], published["postId"])
        ]
    assert [one["postId"] for one in (await alice.get("/posts?tag=집밥")).json()["items"]] == [held["postId"]]
    assert (await alice.send("PUT", f"/posts/{held['postId']}/likes")).status_code == 204
    assert await told(world, alice) == [
        *(("MODERATION", f"MODERATION:{held['postId']}", held["postId"], None, "확인이 끝나 게시글이 게시되었습니다."),)
    ]
    created_at = (await alice.get(f"/posts/{held['postId']}")).json()["createdAt"]
    assert await act(admin, f"posts/{held['postId']}/approve") == 204  # again changes nothing
    assert (await alice.get(f"/posts/{held['postId']}")).json()["createdAt"] == created_at
    assert len(await told(world, alice)) == 1
    assert (await audit(world))[0] == (admin.user_id, "post.approve", held["postId"], "괜찮음")


async def test_refused_post_is_hidden_and_can_still_be_approved(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    post_id = (await write(alice))["postId"]
    assert await act(admin, f"posts/{post_id}/refuse") == 204
    assert_problem(await alice.get(f"/posts/{post_id}"), 404, "E404-1")
    assert (await alice.get("/users/me/posts")).json()["items"] == []
    assert (await admin.get(f"/admin/posts/{post_id}")).json()["status"] == "HIDDEN"
    assert [one[-1] for one in await told(world, alice)] == ["확인한 결과 게시글을 게시할 수 없습니다."]
    assert await act(admin, f"posts/{post_id}/approve") == 204
    assert (await world.http.get(f"{API}/posts/{post_id}")).status_code == 200


async def test_author_changes_and_deletes_what_is_held_and_it_stays_so(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    post_id = (await write(alice))["postId"]
    changed = await alice.send("PATCH", f"/posts/{post_id}", json={"content": "된장찌개", "tags": ["집밥"]})
    assert (changed.status_code, changed.json()["state"]) == (200, "HELD")
    for path in ("/posts?tag=집밥", "/tags"):
        assert (await alice.get(path)).json()["items"] == []
    assert (await alice.send("DELETE", f"/posts/{post_id}")).status_code == 204
    assert await found(admin, "held-posts") == []
    assert_problem(await admin.get(f"/admin/posts/{post_id}"), 404, "E404-1")
    assert await act(admin, f"posts/{post_id}/approve") == 404


async def test_published_post_that_gets_links_is_held_and_keeps_its_place(world: World) -> None:
    admin, alice, bob = await make_admin(world, await world.person()), await world.person(), await world.person()
    post = await write(alice, content="된장찌개", tags=["집밥"])
    path = f"/posts/{post['postId']}"
    await bob.write_comment(post["postId"])
    assert (await bob.send("PUT", f"{path}/likes")).status_code == 204
    assert (await alice.send("PATCH", path, json={"tags": ["집밥", "찌개"]})).json()["state"] == "PUBLISHED"
    assert (await alice.send("PATCH", path, json={"content": LINKS})).json()["state"] == "HELD"
    assert_problem(await bob.get(path), 404, "E404-1")
    assert_problem(await bob.send("DELETE", f"{path}/likes"), 404, "E404-1")
    assert (await bob.get("/posts?tag=집밥")).json()["items"] == []
    world.clock.passed += timedelta(minutes=5)
    assert await act(admin, f"posts/{post['postId']}/approve") == 204
    back = (await bob.get(path)).json()
    assert (back["createdAt"], back["stats"]["likeCount"], back["stats"]["commentCount"]) == (post["createdAt"], 1, 1)
    assert len((await bob.get("/posts?tag=찌개")).json()["items"]) == 1


async def test_repeats_and_haste_are_held_but_not_of_accounts_that_are_older(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    assert [await state(alice, content="밥 한 그릇"), await state(alice, content="밥  한\n그릇")] == [
        "PUBLISHED",
        "HELD",
    ]
    other = await write(alice, content="국 한 그릇")
    changed = await alice.send("PATCH", f"/posts/{other['postId']}", json={"content": "밥 한 그릇"})
    assert changed.json()["state"] == "HELD"
    assert await state(bob, content="밥 한 그릇") == "PUBLISHED"  # somebody else's
    assert [await state(bob, content=f"글 {n}") for n in range(10)] == ["PUBLISHED"] * 9 + ["HELD"]
    world.clock.passed += timedelta(hours=1)
    bob.token, _ = await world.log_in(bob.email)
    assert await state(bob, content="한 시간 뒤") == "PUBLISHED"
    world.clock.passed += timedelta(hours=71)
    bob.token, _ = await world.log_in(bob.email)
    assert [await state(bob) for _ in range(12)] == ["PUBLISHED"] * 12


async def test_deleted_post_may_be_written_again(world: World) -> None:
    alice = await world.person()
    post = await write(alice, content="밥 한 그릇")
    assert (await alice.send("DELETE", f"/posts/{post['postId']}")).status_code == 204
    assert await state(alice, content="밥 한 그릇") == "PUBLISHED"


async def test_of_the_same_text_at_the_same_moment_one_is_published(world: World) -> None:
    alice = await world.person()
    states = await asyncio.gather(*(state(alice, content="밥 한 그릇") for _ in range(4)))
    assert sorted(states) == ["HELD"] * 3 + ["PUBLISHED"]


async def test_repeated_request_is_answered_with_the_held_post(world: World) -> None:
    alice = await world.person()
    headers = {**alice.headers, "Idempotency-Key": "again"}
    body = {"title": "제목", "content": LINKS}
    first, again = [await world.http.post(f"{API}/posts", headers=headers, json=body) for _ in range(2)]
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json() == again.json()
    assert first.json()["state"] == "HELD"


async def test_nothing_is_held_where_that_is_off(backend: Backend) -> None:
    async with open_world(backend) as world:
        alice = await world.person()
        assert [await state(alice) for _ in range(12)] == ["PUBLISHED"] * 12


async def test_author_sees_and_changes_pictures_of_what_is_held(backend: Backend, bucket: Bucket) -> None:
    async with open_photo_world(holding(backend), bucket) as photos:
        admin, alice = await make_admin(photos.world, await photos.world.person()), await photos.world.person()
        keys = [await photos.upload(alice) for _ in range(2)]
        post = await write(alice, images=[{"key": key} for key in keys])
        assert post["state"] == "HELD"
        shown = [image["key"] for image in post["contentDetail"]["images"]]
        body = {"images": [{"key": key} for key in reversed(shown)]}
        changed = (await alice.send("PATCH", f"/posts/{post['postId']}", json=body)).json()
        assert [image["key"] for image in changed["contentDetail"]["images"]] == shown[::-1]
        assert await act(admin, f"posts/{post['postId']}/refuse") == 204
        rows = await photos.world.rows("SELECT COUNT(*) FROM images WHERE withheld_at IS NOT NULL")
        assert rows == [(2,)]
