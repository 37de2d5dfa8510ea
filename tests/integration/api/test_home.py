"""Lists that somebody has for themselves: the home feed, bookmarks, and the posts of a person."""

from datetime import timedelta
from typing import Any

import pytest

from bapsang_api.home import lists
from bapsang_api.privacy.retention import purge

from .test_people import block, done, follow, mute
from .world import API, PASSWORD, UNKNOWN, Person, World, assert_problem, make_admin

HOME, BOOKMARKS = "/users/me/home", "/users/me/bookmarks"


async def titles(reader: Person, path: str, size: int = 20) -> list[str]:
    """Return the titles of a list, page by page."""
    found: list[str] = []
    query: dict[str, Any] = {"size": size}
    while True:
        answer = await reader.get(path, params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [item["title"] for item in page["items"]]
        if not page["hasMore"]:
            assert page["nextCursor"] is None
            return found
        assert len(page["items"]) == size
        query |= after(page)


def after(page: dict[str, Any]) -> dict[str, Any]:
    return {"cursorId": page["nextCursor"]["id"], "cursorCreatedAt": page["nextCursor"]["createdAt"]}


async def keep(person: Person, post_id: str) -> None:
    await done(person, "PUT", f"/posts/{post_id}/bookmark")


@pytest.mark.both_databases
async def test_the_home_feed_has_the_posts_of_whom_one_follows_and_ones_own(world: World) -> None:
    alice, bob, carol, stranger = [await world.person() for _ in range(4)]
    for number, person in enumerate((bob, carol, stranger, alice, bob, carol, bob)):
        await person.write_post(f"글{number}")
    assert await titles(alice, HOME) == ["글3"]
    await follow(alice, bob)
    await follow(alice, carol)
    expected = ["글6", "글5", "글4", "글3", "글1", "글0"]
    for size in (1, 2, 20):
        assert await titles(alice, HOME, size) == expected
    item = (await alice.get(HOME)).json()["items"][0]
    assert item == next(one for one in (await alice.get("/posts")).json()["items"] if one["title"] == "글6")
    await done(alice, "DELETE", f"/users/{bob.user_id}/follow")
    assert await titles(alice, HOME) == ["글5", "글3", "글1"]
    assert_problem(await world.http.get(f"{API}{HOME}"), 401, "T001")


@pytest.mark.both_databases
async def test_a_page_of_the_home_feed_is_by_the_people_who_wrote_last(world: World) -> None:
    """More people than a page has posts: those whose newest post is older than the page's last are left out, and come later."""
    alice, *others = [await world.person() for _ in range(8)]
    written = []
    for turn in range(3):
        for number, person in enumerate(others):
            if turn == 0:
                await follow(alice, person)
            if (turn + number) % 3 != 1:
                written.append(f"글{turn}-{number}")
                await person.write_post(written[-1])
    for size in (1, 2, 3, 5):
        assert await titles(alice, HOME, size) == written[::-1]


@pytest.mark.both_databases
async def test_posts_of_one_moment_are_in_the_order_of_their_ids(world: World) -> None:
    alice, bob, carol = [await world.person() for _ in range(3)]
    await follow(alice, bob)
    await follow(alice, carol)
    world.clock.stop()
    posts = {await person.write_post(f"글{number}"): f"글{number}" for number, person in enumerate((bob, carol) * 3)}
    expected = [posts[post_id] for post_id in sorted(posts, reverse=True)]
    for size in (1, 2, 20):
        assert await titles(alice, HOME, size) == expected
        assert await titles(alice, f"/users/{bob.user_id}/posts", size) == [
            title for title in expected if int(title[1]) % 2 == 0
        ]


async def test_the_home_feed_pages_while_posts_and_follows_change(world: World) -> None:
    alice, bob, carol, dave = [await world.person() for _ in range(4)]
    for person in (bob, carol):
        await follow(alice, person)
    ids = [await person.write_post(f"글{number}") for number, person in enumerate((dave, bob, carol, bob, carol))]
    first = (await alice.get(HOME, params={"size": 2})).json()
    assert [item["title"] for item in first["items"]] == ["글4", "글3"]
    await bob.write_post("새글")
    await bob.send("DELETE", f"/posts/{ids[3]}")  # where the next page goes on
    await done(alice, "DELETE", f"/users/{carol.user_id}/follow")
    await follow(alice, dave)
    second = (await alice.get(HOME, params={"size": 2} | after(first))).json()
    assert [item["title"] for item in second["items"]] == ["글1", "글0"]
    assert second["hasMore"] is False


@pytest.mark.parametrize("who", ["viewer", "author"])
async def test_a_block_takes_posts_from_home_bookmarks_and_profile(world: World, who: str) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await bob.write_post("글")
    await follow(alice, bob)
    await keep(alice, post_id)
    assert await titles(alice, HOME) == await titles(alice, BOOKMARKS) == ["글"]
    blocker, other = (alice, bob) if who == "viewer" else (bob, alice)
    await block(blocker, other)
    assert await titles(alice, HOME) == await titles(alice, BOOKMARKS) == []
    assert_problem(await alice.get(f"/users/{bob.user_id}/posts"), 404, "E404-1")
    assert_problem(await alice.send("PUT", f"/posts/{post_id}/bookmark"), 404, "E404-1")
    await done(blocker, "DELETE", f"/users/{other.user_id}/block")
    assert await titles(alice, BOOKMARKS) == await titles(alice, f"/users/{bob.user_id}/posts") == ["글"]
    assert await titles(alice, HOME) == []


async def test_a_mute_takes_posts_from_home_and_bookmarks_but_not_from_the_profile(world: World) -> None:
    alice, bob, carol = [await world.person() for _ in range(3)]
    for person in (bob, carol):
        await follow(alice, person)
    await mute(alice, bob)
    for number, person in enumerate((carol, bob, carol, bob)):
        await keep(alice, await person.write_post(f"글{number}"))  # by its link it is read, and kept
    for size in (1, 20):  # pages are full all the same
        assert await titles(alice, HOME, size) == await titles(alice, BOOKMARKS, size) == ["글2", "글0"]
        assert await titles(alice, f"/users/{bob.user_id}/posts", size) == ["글3", "글1"]
    await done(alice, "DELETE", f"/users/{bob.user_id}/mute")
    assert await titles(alice, HOME) == await titles(alice, BOOKMARKS) == ["글3", "글2", "글1", "글0"]


async def test_what_is_hidden_or_deleted_is_in_no_list(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    admin = await make_admin(world, await world.person())
    await follow(alice, bob)
    ids = [await bob.write_post(f"글{number}") for number in range(3)]
    for post_id in ids:
        await keep(alice, post_id)
    await bob.send("DELETE", f"/posts/{ids[1]}")
    await done(admin, "POST", f"/admin/posts/{ids[2]}/hide")
    for path in (HOME, BOOKMARKS, f"/users/{bob.user_id}/posts"):
        for size in (1, 20):
            assert await titles(alice, path, size) == ["글0"]
    assert (await alice.get(f"/users/{bob.user_id}")).json()["counts"]["posts"] == 1
    for post_id in ids[1:]:
        assert_problem(await bob.send("PUT", f"/posts/{post_id}/bookmark"), 404, "E404-1")
        assert_problem(await bob.send("DELETE", f"/posts/{post_id}/bookmark"), 404, "E404-1")
        await done(alice, "DELETE", f"/posts/{post_id}/bookmark")  # it was kept


async def test_who_has_left_is_in_no_home_feed(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await bob.write_post()
    await follow(alice, bob)
    assert len(await titles(alice, HOME)) == 1
    assert (await bob.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})).status_code == 204
    assert await titles(alice, HOME) == []


@pytest.mark.both_databases
async def test_bookmarks_are_the_last_kept_first_and_nobody_elses(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    ids = [await bob.write_post(f"글{number}") for number in range(4)]
    for number in (2, 0, 3, 1, 0):
        await keep(alice, ids[number])
    for size in (1, 3, 20):
        assert await titles(alice, BOOKMARKS, size) == ["글1", "글3", "글0", "글2"]
    first = (await alice.get(BOOKMARKS, params={"size": 2})).json()
    for _ in range(2):
        await done(alice, "DELETE", f"/posts/{ids[3]}/bookmark")  # where the next page goes on
    second = (await alice.get(BOOKMARKS, params={"size": 2} | after(first))).json()
    assert [item["title"] for item in second["items"]] == ["글0", "글2"]
    assert await titles(bob, BOOKMARKS) == []
    for post_id in (UNKNOWN, "글"):
        for method in ("PUT", "DELETE"):
            assert_problem(await alice.send(method, f"/posts/{post_id}/bookmark"), 404, "E404-1")


async def test_one_person_keeps_only_so_many_posts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MOST_BOOKMARKS", 2)
    alice = await world.person()
    ids = [await alice.write_post(f"글{number}") for number in range(3)]
    for post_id in (*ids[:2], ids[1]):
        await keep(alice, post_id)
    assert_problem(await alice.send("PUT", f"/posts/{ids[2]}/bookmark"), 409, "E409-1")
    assert await titles(alice, BOOKMARKS) == ["글1", "글0"]


async def test_bookmarks_go_with_the_words_of_a_deleted_post(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    gone, kept = await bob.write_post(), await bob.write_post()
    await keep(alice, gone)
    await keep(alice, kept)
    await bob.send("DELETE", f"/posts/{gone}")
    world.clock.passed += timedelta(days=31)
    assert (await purge(world.runtime.database, world.clock))["destroyed_posts"] == 1
    assert await world.rows("SELECT post_id FROM bookmarks") == [(kept,)]


async def test_a_list_asks_the_database_once_and_takes_its_posts_from_the_read_model(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await follow(alice, bob)
    for _ in range(5):
        await bob.write_post()
    for path in (HOME, f"/users/{bob.user_id}/posts"):
        await alice.get(path)
        with world.statements() as asked:
            assert len((await alice.get(path)).json()["items"]) == 5
        assert len(asked) == (1 if path == HOME else 2)  # and whether there is such a person
