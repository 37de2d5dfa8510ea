"""What somebody does not see of people whom they block or mute, or who block them, in answers that all readers share."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from bapsang_api.people import hidden as read_model
from bapsang_api.people import service as people

from .world import API, UNKNOWN, Backend, Person, World, eventually, open_world

pytestmark = pytest.mark.both_databases
NOTICE = "차단하거나 숨긴 사용자의 댓글입니다."


async def act(world: World, change: Callable[..., None], who: Person, whom: Person) -> None:
    """Let somebody block or mute somebody, as the routes do."""
    now = {"now": world.clock.now()} if change in (people.block, people.mute) else {}

    def work(connection: Connection) -> None:
        change(connection, who.user_id, whom.user_id, **now)

    await world.runtime.database.write(work)


async def listed(reader: Person, path: str = "/posts", **parameters: Any) -> list[str]:
    answer = await reader.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


@pytest.mark.parametrize("change", [people.block, people.mute])
async def test_posts_of_hidden_people_are_in_no_list_and_no_search(world: World, change: Callable[..., None]) -> None:
    alice, bob, carol = [await world.person() for _ in range(3)]
    for writer in (alice, bob, carol):
        body = {"title": f"{writer.nickname}의 밥상", "content": "된장찌개", "tags": ["집밥"]}
        post_id = (await writer.send("POST", "/posts", json=body)).json()["postId"]
        await alice.toggle(post_id)
    await world.write_back()
    everything = [f"{writer.nickname}의 밥상" for writer in (carol, bob, alice)]
    paths: list[tuple[str, dict[str, str]]] = [
        ("/posts", {}),
        ("/posts", {"tag": "집밥"}),
        ("/search/posts", {"q": "된장찌개"}),
        ("/users/me/likes", {}),
    ]
    for path, parameters in paths:
        assert await listed(alice, path, **parameters) == everything

    await act(world, change, alice, bob)

    for path, parameters in paths:
        assert await listed(alice, path, **parameters) == [everything[0], everything[2]], path
    # The other sees the blocker no more, and the muter as before; whoever is neither sees both.
    assert await listed(bob) == (everything[:2] if change is people.block else everything)
    assert await listed(carol) == everything
    assert [item["title"] for item in (await world.http.get(f"{API}/posts")).json()["items"]] == everything


async def test_a_list_is_filled_up_and_goes_on_behind_hidden_people(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    for number in range(12):
        await (alice if number % 4 == 0 else bob).write_post(f"밥상 {number}")
    await act(world, people.mute, alice, bob)

    seen: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(6):
        page = (await alice.get("/posts", params={"size": 2, **cursor})).json()
        assert len(page["items"]) <= 2
        seen += [item["title"] for item in page["items"]]
        if not page["hasMore"]:
            break
        cursor = {"cursorId": page["nextCursor"]["id"], "cursorCreatedAt": page["nextCursor"]["createdAt"]}
    assert seen == ["밥상 8", "밥상 4", "밥상 0"]


async def test_the_tag_of_a_list_from_before_a_block_is_worth_nothing(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await bob.write_post("밥의 밥상")
    before = (await alice.get("/posts")).headers["etag"]

    await act(world, people.block, alice, bob)
    after = await alice.get("/posts", headers={"If-None-Match": before})
    assert (after.status_code, after.json()["items"]) == (200, [])
    again = await alice.get("/posts", headers={"If-None-Match": after.headers["etag"]})
    assert again.status_code == 304

    await act(world, people.unblock, alice, bob)
    assert (await alice.get("/posts", headers={"If-None-Match": after.headers["etag"]})).status_code == 200
    assert await listed(alice) == ["밥의 밥상"]


async def test_who_has_blocked_or_is_blocked_finds_no_post_by_its_link(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    of_alice, of_bob = await alice.write_post(), await bob.write_post()
    for reader, post_id in ((alice, of_bob), (bob, of_alice)):
        assert (await reader.get(f"/posts/{post_id}")).status_code == 200
    await act(world, people.block, alice, bob)

    for reader, post_id in ((alice, of_bob), (bob, of_alice)):
        for method, path in (
            ("GET", ""),
            ("GET", "/comments"),
            ("GET", f"/comments/{UNKNOWN}/replies"),
            ("POST", "/likes"),
            ("PUT", "/likes"),
        ):
            assert (await reader.send(method, f"/posts/{post_id}{path}")).status_code == 404, (method, path)
        written = await reader.send("POST", f"/posts/{post_id}/comments", json={"content": "맛있겠다"})
        assert written.status_code == 404
    assert (await world.http.get(f"{API}/posts/{of_bob}")).status_code == 200


async def test_a_muted_authors_post_is_read_by_its_link(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await bob.write_post()
    await act(world, people.mute, alice, bob)
    assert (await alice.get(f"/posts/{post_id}")).status_code == 200
    assert (await alice.get(f"/posts/{post_id}/comments")).status_code == 200
    assert (await alice.toggle(post_id)).status_code == 204


async def test_comments_of_hidden_people_are_places_at_most(world: World) -> None:
    alice, bob, carol = [await world.person() for _ in range(3)]
    post_id = await carol.write_post()
    lonely = await bob.write_comment(post_id, "혼자")
    answered = await bob.write_comment(post_id, "답이 있는 말")
    reply = await carol.write_comment(post_id, "카롤의 답", answered)
    await bob.write_comment(post_id, "밥의 답", reply)
    whole = (await alice.get(f"/posts/{post_id}/comments")).json()
    await act(world, people.block, bob, alice)

    page = (await alice.get(f"/posts/{post_id}/comments")).json()
    assert [item["commentId"] for item in page["items"]] == [answered]
    (top,) = page["items"]
    assert (top["content"], top["author"], top["replyCount"]) == (NOTICE, None, 2)
    (shown,) = top["replies"]
    assert (shown["commentId"], shown["content"], shown["replies"]) == (reply, "카롤의 답", [])
    replies = (await alice.get(f"/posts/{post_id}/comments/{answered}/replies")).json()["items"]
    assert [(item["content"], item["author"] is None) for item in replies] == [("카롤의 답", False), (NOTICE, True)]
    parent = {"content": "답", "parentId": answered}
    assert (await alice.send("POST", f"/posts/{post_id}/comments", json=parent)).status_code == 400
    # Everybody else, and the counts of the post, are as before.
    assert (await carol.get(f"/posts/{post_id}/comments")).json() == whole
    assert (await alice.get(f"/posts/{post_id}")).json()["stats"]["commentCount"] == 4
    assert lonely in {item["commentId"] for item in whole["items"]}


async def test_doing_it_again_changes_nothing_and_each_reason_ends_by_itself(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await bob.write_post("밥의 밥상")
    for change in (people.block, people.block, people.mute, people.mute):
        await act(world, change, alice, bob)
    await act(world, people.unblock, alice, bob)
    assert await listed(alice) == []
    await act(world, people.unblock, bob, alice)  # not their block
    await act(world, people.unmute, alice, bob)
    await act(world, people.unmute, alice, bob)
    assert await listed(alice) == ["밥의 밥상"]
    assert await world.rows("SELECT * FROM hidden_people") == []


async def test_other_processes_hide_whom_nobody_told_them_of(servers: Backend) -> None:
    """By the poll alone: the message of the process that wrote may be lost."""
    async with open_world(servers) as world:
        alice, bob = await world.person(), await world.person()
        await bob.write_post("밥의 밥상")
        assert await listed(alice) == ["밥의 밥상"]
        database = world.runtime.database
        database.publish = None
        await act(world, people.mute, alice, bob)

        async def hidden() -> bool:
            return await listed(alice) == []

        await eventually(hidden)


async def test_readers_who_hide_nobody_cost_no_question(servers: Backend) -> None:
    async with open_world(servers) as world:
        alice, bob, carol = [await world.person() for _ in range(3)]
        await bob.write_post("밥의 밥상")
        await act(world, people.mute, carol, bob)
        hidden = world.runtime.hidden

        async def learned() -> bool:
            return not hidden.may_hide(alice.user_id)

        await eventually(learned)
        assert hidden.may_hide(carol.user_id)
        with world.statements() as asked:
            assert await listed(alice) == ["밥의 밥상"]
        assert not [statement for statement in asked if "hidden_people" in statement]


async def test_with_more_viewers_than_are_known_everybody_is_looked_up(
    servers: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_model, "MOST_KNOWN", 1)
    async with open_world(servers) as world:
        alice, bob, carol = [await world.person() for _ in range(3)]
        await bob.write_post("밥의 밥상")
        for viewer in (alice, carol):
            await act(world, people.mute, viewer, bob)
        await world.runtime.hidden.learn()
        assert world.runtime.hidden.may_hide(bob.user_id)
        assert await listed(alice) == await listed(carol) == []
        assert await listed(bob) == ["밥의 밥상"]


async def test_two_who_block_each_other_at_once_both_succeed(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await asyncio.gather(*(act(world, people.block, *pair) for pair in ((alice, bob), (bob, alice)) for _ in range(3)))
    rows = await world.rows("SELECT COUNT(*) FROM hidden_people")
    assert rows == [(4,)]
