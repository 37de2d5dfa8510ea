"""People as others see them: profiles, following, blocking and muting."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from bapsang_api.home import service
from bapsang_api.people import service as people

from .test_erasure import erase
from .world import API, PASSWORD, UNKNOWN, Person, World, assert_problem, make_admin


async def done(person: Person, method: str, path: str) -> None:
    answer = await person.send(method, path)
    assert answer.status_code == 204, answer.text


async def follow(person: Person, other: Person) -> None:
    await done(person, "PUT", f"/users/{other.user_id}/follow")


async def block(person: Person, other: Person) -> None:
    await done(person, "PUT", f"/users/{other.user_id}/block")


async def mute(person: Person, other: Person) -> None:
    await done(person, "PUT", f"/users/{other.user_id}/mute")


async def profile(viewer: Person, of: Person) -> dict[str, Any]:
    answer = await viewer.get(f"/users/{of.user_id}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def listed(viewer: Person, path: str, size: int = 20) -> list[str]:
    """Return the nicknames of a list of people, page by page."""
    found: list[str] = []
    query: dict[str, Any] = {"size": size}
    while True:
        answer = await viewer.get(path, params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [item["nickname"] for item in page["items"]]
        assert page["hasMore"] is (page["nextCursor"] is not None)
        if not page["hasMore"]:
            return found
        assert len(page["items"]) == size
        query |= {"cursorId": page["nextCursor"]["id"], "cursorCreatedAt": page["nextCursor"]["createdAt"]}


def names(people: Collection[Person]) -> list[str]:
    return [person.nickname for person in people]


async def told(world: World, person: Person) -> list[tuple[Any, ...]]:
    return await world.rows(
        "SELECT kind, actor_id FROM notifications WHERE user_id = :u ORDER BY number", u=person.user_id
    )


@pytest.mark.both_databases
async def test_a_profile_says_who_somebody_is_and_what_they_are_to_the_caller(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await alice.write_post()
    await alice.send("DELETE", f"/posts/{await alice.write_post()}")
    await follow(bob, alice)
    shown = await profile(bob, alice)
    assert shown == {
        "userId": alice.user_id,
        "nickname": alice.nickname,
        "profileImageUrl": None,
        "profileImage": None,
        "joinedOn": shown["joinedOn"],
        "counts": {"posts": 1, "followers": 1, "following": 0},
        "relation": {"follows": True, "followedBy": False, "mutes": False},
    }
    assert len(shown["joinedOn"]) == len("2026-11-23")
    back = await profile(alice, bob)
    assert back["relation"] == {"follows": False, "followedBy": True, "mutes": False}
    assert back["counts"] == {"posts": 0, "followers": 0, "following": 1}
    anonymous = (await world.http.get(f"{API}/users/{alice.user_id}")).json()
    assert anonymous == {**shown, "relation": None}
    assert (await profile(alice, alice))["relation"] is None


async def test_who_left_is_suspended_or_never_was_has_no_profile(world: World) -> None:
    alice, gone, suspended = await world.person(), await world.person(), await world.person()
    await follow(alice, suspended)
    admin = await make_admin(world, await world.person())
    await done(admin, "POST", f"/admin/users/{suspended.user_id}/block")
    assert (await gone.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})).status_code == 204
    for user_id in (gone.user_id, suspended.user_id, UNKNOWN, "me0"):
        for path in ("", "/posts", "/followers", "/following"):
            assert_problem(await alice.get(f"/users/{user_id}{path}"), 404, "E404-1")
        assert_problem(await alice.send("PUT", f"/users/{user_id}/follow"), 404, "E404-1")
    assert await listed(alice, f"/users/{alice.user_id}/following") == []
    await done(alice, "DELETE", f"/users/{suspended.user_id}/follow")


@pytest.mark.both_databases
async def test_following_is_idempotent_counted_and_told_once(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    for _ in range(2):
        await follow(bob, alice)
    assert (await profile(bob, alice))["counts"]["followers"] == 1
    assert await told(world, alice) == [("FOLLOW", bob.user_id)]
    for _ in range(2):
        await done(bob, "DELETE", f"/users/{alice.user_id}/follow")
    assert (await profile(bob, alice))["counts"]["followers"] == 0
    assert await told(world, alice) == []


async def test_counts_stay_exact_while_many_follow_and_unfollow_at_once(world: World) -> None:
    alice, *others = [await world.person() for _ in range(6)]
    acts = [
        *(person.send("PUT", f"/users/{alice.user_id}/follow") for person in others),
        *(person.send("PUT", f"/users/{alice.user_id}/follow") for person in others),
        *(person.send("DELETE", f"/users/{alice.user_id}/follow") for person in others[:2]),
        *(alice.send("PUT", f"/users/{person.user_id}/follow") for person in others),
        alice.send("PUT", f"/users/{others[2].user_id}/block"),
    ]
    answers = await asyncio.gather(*acts)
    assert {answer.status_code for answer in answers} <= {204, 404}
    rows = await world.rows("SELECT followed_id, COUNT(*) FROM follows GROUP BY followed_id")
    counted = await world.rows("SELECT id, follower_count FROM users WHERE follower_count <> 0")
    assert sorted(counted) == sorted(rows)
    pair = "SELECT 1 FROM follows WHERE follower_id IN (:a, :b) AND followed_id IN (:a, :b)"
    assert await world.rows(pair, a=alice.user_id, b=others[2].user_id) == []


async def test_a_follow_leaves_what_is_kept_of_people_as_it_is(world: World) -> None:
    """A change of their row would have every process read all posts of somebody anew whom many follow."""
    alice, bob = await world.person(), await world.person()
    changed = "SELECT changed_at FROM users WHERE id = :u"
    before = await world.rows(changed, u=alice.user_id)
    await follow(bob, alice)
    await done(bob, "DELETE", f"/users/{alice.user_id}/follow")
    assert await world.rows(changed, u=alice.user_id) == before


async def test_nobody_follows_blocks_or_mutes_themselves(world: World) -> None:
    alice = await world.person()
    for act in ("follow", "block", "mute"):
        problem = assert_problem(await alice.send("PUT", f"/users/{alice.user_id}/{act}"), 400, "E400-1")
        assert [error["field"] for error in problem["errors"]] == ["userId"]
    assert await listed(alice, "/users/me/blocks") == []


async def test_one_person_follows_and_hides_only_so_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_FOLLOWED", 2)
    monkeypatch.setattr(people, "MOST_HIDDEN", 2)
    alice, *others = [await world.person() for _ in range(4)]
    for other in others[:2]:
        await follow(alice, other)
    assert_problem(await alice.send("PUT", f"/users/{others[2].user_id}/follow"), 409, "E409-1")
    await follow(alice, others[0])  # whom they follow already
    assert (await profile(alice, others[2]))["counts"]["followers"] == 0
    assert await told(world, others[2]) == []
    await block(alice, others[0])
    await mute(alice, others[1])
    for act in ("block", "mute"):
        assert_problem(await alice.send("PUT", f"/users/{others[2].user_id}/{act}"), 409, "E409-1")
    await done(alice, "DELETE", f"/users/{others[1].user_id}/mute")
    await mute(alice, others[2])


@pytest.mark.both_databases
async def test_lists_of_people_page_while_they_change(world: World) -> None:
    alice, *others = [await world.person() for _ in range(7)]
    for other in others[:5]:
        await follow(other, alice)
        await follow(alice, other)
    last_first = names(others[4::-1])
    for path in ("followers", "following"):
        assert await listed(alice, f"/users/{alice.user_id}/{path}", size=2) == last_first
    first = (await alice.get(f"/users/{alice.user_id}/followers", params={"size": 2})).json()
    await follow(others[5], alice)
    await done(others[3], "DELETE", f"/users/{alice.user_id}/follow")  # where the next page goes on
    cursor = first["nextCursor"]
    query = {"size": 2, "cursorId": cursor["id"], "cursorCreatedAt": cursor["createdAt"]}
    second = (await alice.get(f"/users/{alice.user_id}/followers", params=query)).json()
    shown = [item["nickname"] for page in (first, second) for item in page["items"]]
    assert shown == last_first[:4]
    anonymous = (await world.http.get(f"{API}/users/{alice.user_id}/following")).json()
    assert [item["nickname"] for item in anonymous["items"]] == last_first


async def test_a_block_takes_two_people_from_each_others_sight(world: World) -> None:
    alice, bob, carol = await world.person(), await world.person(), await world.person()
    for one, other in ((alice, bob), (bob, alice), (alice, carol), (bob, carol), (carol, alice), (carol, bob)):
        await follow(one, other)
    await block(alice, bob)
    for viewer, other in ((alice, bob), (bob, alice)):
        for path in ("", "/posts", "/followers", "/following"):
            assert_problem(await viewer.get(f"/users/{other.user_id}{path}"), 404, "E404-1")
        for method in ("PUT", "DELETE"):
            assert_problem(await viewer.send(method, f"/users/{other.user_id}/follow"), 404, "E404-1")
        for path in ("followers", "following"):
            assert await listed(viewer, f"/users/{carol.user_id}/{path}") == [viewer.nickname]
        shown = await profile(carol, viewer)
        assert shown["counts"] == {"posts": 0, "followers": 1, "following": 1}
        assert await told(world, viewer) == [("FOLLOW", carol.user_id)]
        assert (await world.http.get(f"{API}/users/{viewer.user_id}")).status_code == 200
    assert sorted(await listed(carol, f"/users/{carol.user_id}/followers")) == sorted(names([alice, bob]))


async def test_a_block_holds_where_the_database_that_answers_does_not_know_it_yet(world: World) -> None:
    """A replica that lags: whom the viewer does not see is known to the process."""
    alice, bob, carol = await world.person(), await world.person(), await world.person()
    for person in (alice, bob):
        await follow(person, carol)
        await follow(carol, person)
    await block(alice, bob)
    await world.runtime.feed.poll()  # so that nothing has to be read anew when the rows are gone
    for person in (alice, bob):
        assert (await world.runtime.hidden.of(person.user_id)).blocked
    await world.change("DELETE FROM hidden_people")
    for viewer, other in ((alice, bob), (bob, alice)):
        for path in ("", "/posts", "/followers", "/following"):
            assert_problem(await viewer.get(f"/users/{other.user_id}{path}"), 404, "E404-1")
        for path in ("followers", "following"):
            page = (await viewer.get(f"/users/{carol.user_id}/{path}")).json()
            assert [item["userId"] for item in page["items"]] == [viewer.user_id]


async def test_only_who_blocked_can_end_it_and_nobody_learns_that_they_are_blocked(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await block(alice, bob)
    await block(alice, bob)
    assert await listed(alice, "/users/me/blocks") == [bob.nickname]
    assert await listed(bob, "/users/me/blocks") == []
    unknown = (await bob.get(f"/users/{UNKNOWN}")).json()
    for method, act in (("PUT", "block"), ("DELETE", "block"), ("PUT", "mute"), ("DELETE", "mute"), ("PUT", "follow")):
        problem = assert_problem(await bob.send(method, f"/users/{alice.user_id}/{act}"), 404, "E404-1")
        assert problem["detail"] == unknown["detail"]
    assert_problem(await bob.get(f"/users/{alice.user_id}"), 404, "E404-1")
    for _ in range(2):
        await done(alice, "DELETE", f"/users/{bob.user_id}/block")
    assert await listed(alice, "/users/me/blocks") == []
    assert (await profile(bob, alice))["relation"]["follows"] is False
    await follow(bob, alice)


async def test_two_who_block_each_other_see_each_other_again_when_both_have_ended_it(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    answers = await asyncio.gather(
        alice.send("PUT", f"/users/{bob.user_id}/block"), bob.send("PUT", f"/users/{alice.user_id}/block")
    )
    first = [answer.status_code for answer in answers]
    assert sorted(first) in ([204, 404], [204, 204])  # whoever comes second is told that there is nobody
    blocker, other = (alice, bob) if first[0] == 204 else (bob, alice)
    await done(blocker, "DELETE", f"/users/{other.user_id}/block")
    await block(other, blocker)
    assert_problem(await blocker.get(f"/users/{other.user_id}"), 404, "E404-1")
    await done(other, "DELETE", f"/users/{blocker.user_id}/block")
    await profile(blocker, other)


async def test_administrators_can_be_blocked_like_others(world: World) -> None:
    alice, admin = await world.person(), await make_admin(world, await world.person())
    await block(alice, admin)
    assert_problem(await alice.get(f"/users/{admin.user_id}"), 404, "E404-1")


@pytest.mark.both_databases
async def test_muting_is_one_way_and_leaves_profile_and_follows(world: World) -> None:
    alice, bob, carol = await world.person(), await world.person(), await world.person()
    for one, other in ((alice, bob), (bob, alice), (bob, carol)):
        await follow(one, other)
    for _ in range(2):
        await mute(alice, bob)
    assert (await profile(alice, bob))["relation"] == {"follows": True, "followedBy": True, "mutes": True}
    assert (await profile(bob, alice))["relation"]["mutes"] is False
    assert await listed(alice, "/users/me/mutes") == [bob.nickname]
    assert await listed(alice, f"/users/{carol.user_id}/followers") == []
    assert await listed(bob, f"/users/{alice.user_id}/followers") == [bob.nickname]
    await done(bob, "DELETE", f"/users/{alice.user_id}/follow")
    await follow(bob, alice)
    assert await told(world, alice) == []  # of somebody they have muted
    for _ in range(2):
        await done(alice, "DELETE", f"/users/{bob.user_id}/mute")
    assert (await profile(alice, bob))["relation"]["mutes"] is False


async def test_somebody_muted_who_blocks_is_in_no_list_any_more(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await mute(alice, bob)
    await block(bob, alice)
    assert await listed(alice, "/users/me/mutes") == []
    assert_problem(await alice.send("DELETE", f"/users/{bob.user_id}/mute"), 404, "E404-1")
    await done(bob, "DELETE", f"/users/{alice.user_id}/block")
    assert await listed(alice, "/users/me/mutes") == [bob.nickname]


@pytest.mark.parametrize("erased", [False, True])
async def test_who_leaves_takes_along_their_follows_bookmarks_and_whom_they_hid(world: World, erased: bool) -> None:
    alice, bob, carol, dave = [await world.person() for _ in range(4)]
    post_id = await bob.write_post()
    for one, other in ((alice, bob), (bob, alice), (carol, bob)):
        await follow(one, other)
    await done(alice, "PUT", f"/posts/{post_id}/bookmark")
    await mute(alice, bob)
    await block(alice, dave)
    await block(carol, alice)
    if erased:
        await erase(world, alice, with_posts=False)
    else:
        assert (await alice.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})).status_code == 204
    assert await world.rows("SELECT follower_id, followed_id FROM follows") == [(carol.user_id, bob.user_id)]
    assert await world.rows("SELECT 1 FROM bookmarks") == []
    # Carol goes on not seeing what Alice wrote: that is Carol's choice.
    hidden = await world.rows("SELECT viewer_id, hidden_id, reason FROM hidden_people")
    assert hidden == [(carol.user_id, alice.user_id, "BLOCKS")]
    assert await listed(carol, "/users/me/blocks") == []
    assert (await profile(carol, bob))["counts"] == {"posts": 1, "followers": 1, "following": 0}
