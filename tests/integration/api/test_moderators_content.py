"""All that somebody wrote is hidden and shown again; authors are told, and moderators read what is out of sight."""

from __future__ import annotations

from typing import Any

import pytest

from bapsang_api.moderation import content

from .bucket import PhotoWorld
from .test_moderation import NOBODY, act
from .test_moderators_held import told
from .test_takedown import settle
from .world import API, PASSWORD, Person, World, assert_problem, make_admin


async def posts(world: World) -> set[str]:
    answer = await world.http.get(f"{API}/posts?size=100")
    return {item["postId"] for item in answer.json()["items"]}


async def comments(world: World, post_id: str) -> list[str | None]:
    items = (await world.http.get(f"{API}/posts/{post_id}/comments")).json()["items"]
    return [item["content"] for item in items]


async def details(world: World, action: str) -> list[str]:
    rows = await world.rows("SELECT detail FROM audit_log WHERE action = :a ORDER BY id", a=action)
    return [row[0] for row in rows]


@pytest.mark.both_databases
async def test_all_of_a_user_is_hidden_and_exactly_that_comes_back(world: World) -> None:
    admin, spammer, alice = await make_admin(world, await world.person()), await world.person(), await world.person()
    mine, first, second, hidden, last = [await person.write_post() for person in (alice, *[spammer] * 4)]
    said = [await spammer.write_comment(mine, text) for text in ("광고", "또 광고")]
    await alice.write_comment(mine, "그만")
    assert (await alice.send("PUT", f"/posts/{first}/likes")).status_code == 204
    assert await act(admin, f"posts/{hidden}/hide") == 204
    assert await act(admin, f"comments/{said[0]}/hide") == 204
    assert (await spammer.send("DELETE", f"/posts/{last}")).status_code == 204
    assert await act(admin, f"users/{spammer.user_id}/hide-content", reason="광고") == 204
    assert await posts(world) == {mine}
    assert await comments(world, mine) == ["그만"]
    assert_problem(await alice.send("DELETE", f"/posts/{first}/likes"), 404, "E404-1")
    assert (await world.http.get(f"{API}/posts/{mine}")).json()["stats"]["commentCount"] == 1
    assert await act(admin, f"posts/{second}/hide") == 204  # from now on by itself as well
    assert await act(admin, f"users/{spammer.user_id}/hide-content") == 204  # again hides nothing
    assert await act(admin, f"users/{spammer.user_id}/show-content") == 204
    assert await posts(world) == {mine, first}
    assert await comments(world, mine) == ["그만", "또 광고"]
    assert await world.shown_likes(first) == 1
    assert await details(world, "user.hide_content") == ["posts 2, comments 1", "posts 0, comments 0"]
    assert await details(world, "user.show_content") == ["posts 1, comments 1"]
    assert await act(admin, f"posts/{hidden}/show") == 204
    assert await posts(world) == {mine, first, hidden}
    assert (await told(world, spammer))[-2:] == [
        ("MODERATION", f"MODERATION:CONTENT:{spammer.user_id}", None, None, "숨겨졌던 게시글과 댓글이 다시 보입니다."),
        ("MODERATION", f"MODERATION:{hidden}", hidden, None, "숨겨졌던 게시글이 다시 보입니다."),
    ]
    assert await act(admin, f"users/{NOBODY}/hide-content") == 404


async def test_what_is_too_much_for_one_request_is_done_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BATCH", 2)
    monkeypatch.setattr(content, "MOST_BATCHES", 2)
    admin, spammer = await make_admin(world, await world.person()), await world.person()
    written = {await spammer.write_post() for _ in range(3)}
    for post_id in written:
        await spammer.write_comment(post_id)
    path = f"users/{spammer.user_id}"
    assert [await act(admin, f"{path}/hide-content") for _ in range(3)] == [202, 204, 204]
    assert await posts(world) == set()
    done = ["posts 2, comments 0", "posts 1, comments 1", "posts 0, comments 2", *["posts 0, comments 0"] * 2]
    assert await details(world, "user.hide_content") == done
    assert [await act(admin, f"{path}/show-content") for _ in range(2)] == [202, 204]
    assert await posts(world) == written
    counts = await world.rows("SELECT comment_count FROM posts")
    assert counts == [(1,)] * 3


async def test_content_of_who_has_withdrawn_is_hidden_and_nobody_is_told(world: World) -> None:
    admin, spammer = await make_admin(world, await world.person()), await world.person()
    await spammer.write_post()
    assert (await spammer.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})).status_code == 204
    assert await act(admin, f"users/{spammer.user_id}/hide-content") == 204
    assert await posts(world) == set()
    assert await told(world, spammer) == []


async def test_pictures_of_all_that_is_hidden_are_withheld(photos: PhotoWorld) -> None:
    admin, alice = await make_admin(photos.world, await photos.person()), await photos.person()
    _, shown = await photos.show_photo(alice)
    for name, loads in (("hide", False), ("show", True)):
        assert await act(admin, f"users/{alice.user_id}/{name}-content") == 204
        await settle(photos)
        assert await photos.loads(shown["url"]) is loads


async def test_authors_are_told_once_what_became_of_a_post_and_a_comment(world: World) -> None:
    admin, alice, bob = await make_admin(world, await world.person()), await world.person(), await world.person()
    post_id = await alice.write_post()
    comment_id = await bob.write_comment(post_id)
    for path, person, texts in (
        (f"posts/{post_id}", alice, ("게시글이 숨겨졌습니다.", "숨겨졌던 게시글이 다시 보입니다.")),
        (f"comments/{comment_id}", bob, ("댓글이 숨겨졌습니다.", "숨겨졌던 댓글이 다시 보입니다.")),
    ):
        for name, said in zip(("hide", "show"), texts, strict=True):
            assert [await act(admin, f"{path}/{name}", reason="비밀") for _ in range(2)] == [204, 204]
            (one,) = [row for row in await told(world, person) if row[0] == "MODERATION"]
            of_comment = comment_id if person is bob else None
            assert one == ("MODERATION", f"MODERATION:{of_comment or post_id}", post_id, of_comment, said)
    numbers = await world.rows("SELECT last_number FROM inboxes WHERE user_id = :u", u=bob.user_id)
    assert numbers == [(2,)]  # of nothing that was done again


async def test_moderators_read_what_is_hidden_but_not_what_is_deleted(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    post_id = await alice.write_post("제목", "된장찌개")
    comment_id = await alice.write_comment(post_id, "광고")
    assert await act(admin, f"comments/{comment_id}/hide") == 204
    assert await act(admin, f"posts/{post_id}/hide") == 204

    async def read(path: str) -> dict[str, Any]:
        answer = await admin.get(f"/admin/{path}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-store")
        body: dict[str, Any] = answer.json()
        return body

    post = await read(f"posts/{post_id}")
    author = {"userId": alice.user_id, "nickname": alice.nickname}
    assert {name: post[name] for name in ("status", "heldAt", "heldFor", "author")} == {
        **{"status": "HIDDEN", "heldAt": None, "heldFor": None},
        "author": author,
    }
    assert (post["post"]["contentDetail"]["content"], post["post"]["state"]) == ("된장찌개", "HIDDEN")
    comment = await read(f"comments/{comment_id}")
    assert comment == {
        **{"commentId": comment_id, "postId": post_id, "parentId": None, "content": "광고", "status": "HIDDEN"},
        **{"createdAt": comment["createdAt"], "updatedAt": None, "author": author},
    }
    assert await act(admin, f"posts/{post_id}/show") == 204
    assert (await world.http.get(f"{API}/posts/{post_id}")).json()["stats"]["viewCount"] == 0
    assert (await alice.send("DELETE", f"/posts/{post_id}")).status_code == 204
    for path in (f"posts/{post_id}", f"comments/{comment_id}", f"posts/{NOBODY}", "comments/x"):
        assert_problem(await admin.get(f"/admin/{path}"), 404, "E404-1")


async def test_who_is_no_administrator_changes_nothing(world: World) -> None:
    bob: Person = await world.person()
    post_id = await bob.write_post()
    for path in (f"users/{bob.user_id}/hide-content", f"posts/{post_id}/approve", f"posts/{post_id}/refuse"):
        assert await act(bob, path) == 403
    assert await posts(world) == {post_id}
