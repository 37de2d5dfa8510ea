"""What a process keeps of posts: right for their author at once, for everybody soon, and without a question meanwhile."""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import text

from bapsang_api.kit.db import counters
from bapsang_api.kit.db.columns import table_of
from bapsang_api.posts import queries as shown
from bapsang_api.posts import store as posts
from bapsang_api.posts.models import Post
from bapsang_api.readmodel import cache
from bapsang_api.readmodel.entry import HARD_SECONDS

from .databases import connected
from .world import API, Backend, World, eventually, make_admin, open_world


async def titles(world: World) -> list[str]:
    return [item["title"] for item in (await world.http.get(f"{API}/posts")).json()["items"]]


async def title(world: World, post_id: str) -> str | None:
    answer = await world.http.get(f"{API}/posts/{post_id}")
    return str(answer.json()["title"]) if answer.status_code == 200 else None


async def test_hits_ask_the_database_nothing(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    await bob.toggle(post_id)
    for path in ("/posts", f"/posts/{post_id}"):
        await bob.get(path)
    with world.statements() as asked:
        for _ in range(100):
            assert (await bob.get("/posts")).status_code == 200
            assert (await bob.get(f"/posts/{post_id}")).status_code == 200
    # Copies are looked at every half a second, by a statement or two, however many requests there are.
    assert len(asked) < 200, asked
    assert not [statement for statement in asked if "content" in statement], asked


async def kept(world: World) -> int:
    """Return of how many posts the process keeps a copy, as it tells Prometheus."""
    metrics = (await world.admin.get("/metrics")).text
    return int(float(next(line for line in metrics.splitlines() if 'entries{cache="posts"}' in line).split()[1]))


async def test_the_newest_posts_are_at_hand_before_anybody_asks(servers: Backend) -> None:
    async with open_world(servers) as world:
        alice = await world.person()
        post_ids = [await alice.write_post(f"밥상 {number}") for number in range(5)]
    async with open_world(servers) as world:

        async def filled() -> bool:
            return await kept(world) == len(post_ids)

        await eventually(filled)
        with world.statements() as asked:
            shown = [await title(world, post_id) for post_id in post_ids]
        assert shown == [f"밥상 {number}" for number in range(5)]
        assert not [statement for statement in asked if "content" in statement], asked


async def test_what_nobody_changes_is_not_asked_for_again(servers: Backend) -> None:
    async with open_world(servers) as world:
        alice = await world.person()
        post_id = await alice.write_post("하나")

        with world.statements() as asked:

            async def quiet() -> bool:
                """Read for a time in which everything would have been looked at twice, were it looked at by itself. A look or two are
                owed to the post's own making, more of them to a machine on which the watch is late."""
                asked.clear()
                end = time.monotonic() + 3 * HARD_SECONDS
                while not asked and time.monotonic() < end:
                    assert await title(world, post_id) == (await titles(world))[0] == "하나"
                    await asyncio.sleep(0.05)
                return not asked

            await eventually(quiet, seconds=120)


async def test_a_change_by_hand_is_seen(servers: Backend) -> None:
    async with open_world(servers) as world:
        alice = await world.person()
        post_id = await alice.write_post("하나")
        assert (await alice.get(f"/posts/{post_id}")).json()["author"]["nickname"] != "손으로"
        for statement in (
            "UPDATE posts SET comment_count = 7",
            "UPDATE users SET nickname = '손으로', updated_at = UTC_TIMESTAMP(6)",
        ):
            with connected(servers.environment["BAPSANG_DATABASE_URL"]) as connection:
                connection.execute(text(statement))
                connection.commit()

        async def seen() -> bool:
            shown = (await world.http.get(f"{API}/posts/{post_id}")).json()
            return (shown["stats"]["commentCount"], shown["author"]["nickname"]) == (7, "손으로")

        await eventually(seen)


async def test_views_are_written_without_a_word_and_likes_are_not(servers: Backend) -> None:
    """Were views told as changes, each process would look at most of its copies after each write-back."""
    async with open_world(servers) as world:
        alice = await world.person()
        seen, liked = await alice.write_post(), await alice.write_post()
    with connected(servers.environment["BAPSANG_DATABASE_URL"]) as connection:
        since = shown.ask(connection, None, 1_000).now
        posts.add_views(connection, {seen: 5})
        counters.add(connection, table_of(Post).c.like_count, {liked: 1})
        told = {change.rpartition(" ")[2] for change in shown.ask(connection, since, 1_000).changes}
        assert (seen in told, liked in told) == (False, True)
        assert connection.scalar(text("SELECT view_count FROM posts WHERE id = :id"), {"id": seen}) == 5


async def test_as_many_changes_as_may_be_told_are_not_all(servers: Backend) -> None:
    async with open_world(servers) as world:
        for number in range(3):
            await (await world.person()).write_post(f"밥상 {number}")
    with connected(servers.environment["BAPSANG_DATABASE_URL"]) as connection:
        since = datetime(2026, 1, 1, tzinfo=UTC)
        found = [shown.ask(connection, since, most) for most in (5, 1_000)]  # three people, three posts
    assert [(len(answer.changes), answer.whole) for answer in found] == [(5, False), (6, True)]


async def test_a_cold_page_is_three_statements_whatever_is_on_it(files: Backend) -> None:
    """On SQLite, where a process that starts takes no copies before it is asked."""
    async with open_world(files) as world:
        alice = await world.person()
        for number in range(20):
            await alice.write_post(f"밥상 {number}")
    async with open_world(files) as world:
        assert await kept(world) == 0
        with world.statements() as asked:
            assert len(await titles(world)) == 20
    assert len([statement for statement in asked if statement.startswith("SELECT")]) <= 3, asked


async def test_authors_see_their_changes_at_once(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post("하나")
    assert (await titles(world))[0] == "하나"
    assert await title(world, post_id) == "하나"
    await alice.send("PATCH", f"/posts/{post_id}", json={"title": "둘"})
    assert (await titles(world))[0] == await title(world, post_id) == "둘"
    await alice.send("PATCH", "/users/me", json={"nickname": "새이름"})
    listed = (await world.http.get(f"{API}/posts")).json()["items"][0]
    assert listed["author"]["nickname"] == "새이름"
    assert (await alice.get(f"/posts/{post_id}")).json()["author"]["nickname"] == "새이름"
    await alice.write_comment(post_id)
    assert (await alice.get("/posts")).json()["items"][0]["stats"]["commentCount"] == 1
    await alice.toggle(post_id)
    stats = (await alice.get(f"/posts/{post_id}")).json()["stats"]
    assert (stats["likeCount"], stats["isLiked"], stats["commentCount"]) == (1, True, 1)
    assert (await alice.get("/posts")).json()["items"][0]["stats"]["likeCount"] == 1
    await alice.send("DELETE", f"/posts/{post_id}")
    assert await title(world, post_id) is None
    assert "둘" not in await titles(world)


async def test_what_an_administrator_hides_is_gone_at_once(world: World) -> None:
    alice, admin = await world.person(), await make_admin(world, await world.person())
    post_id = await alice.write_post("하나")
    assert await title(world, post_id) == (await titles(world))[0] == "하나"
    assert (await admin.send("POST", f"/admin/posts/{post_id}/hide")).status_code < 300
    assert await title(world, post_id) is None
    assert await titles(world) == []


async def test_other_processes_see_changes_that_nobody_told_them_of(
    servers: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(servers) as here, open_world(servers) as there:
        alice = await here.person()
        post_id = await alice.write_post("하나")
        assert await title(there, post_id) == (await titles(there))[0] == "하나"

        async def deaf(_names: object) -> None: ...

        monkeypatch.setattr(here.runtime.database, "publish", deaf)
        await alice.send("PATCH", f"/posts/{post_id}", json={"title": "둘"})
        newer = await alice.write_post("셋")

        async def seen() -> bool:
            return await titles(there) == ["셋", "둘"] and await title(there, post_id) == "둘"

        await eventually(seen)
        await alice.send("DELETE", f"/posts/{newer}")

        async def gone() -> bool:
            return await titles(there) == ["둘"] and await title(there, newer) is None

        await eventually(gone)


async def test_lists_of_tags_follow_changes_that_nobody_told_of(
    servers: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "REREAD_SECONDS", 3_600.0)  # no page is read again just because it is old
    async with open_world(servers) as here, open_world(servers) as there:
        alice, admin = await here.person(), await make_admin(here, await here.person())
        first, second, _ = [await alice.write_post(name) for name in ("하나", "둘", "셋")]

        async def tag(post_id: str, *names: str) -> None:
            assert (await alice.send("PATCH", f"/posts/{post_id}", json={"tags": list(names)})).status_code == 200

        async def moderate(post_id: str, act: str) -> None:
            assert (await admin.send("POST", f"/admin/posts/{post_id}/{act}")).status_code == 204

        async def lists_are(all_of_them: list[str], tagged: list[str]) -> bool:
            answer = await there.http.get(f"{API}/posts", params={"tag": "집밥", "size": 5})
            return (await titles(there), [item["title"] for item in answer.json()["items"]]) == (all_of_them, tagged)

        await tag(second, "집밥")
        await eventually(partial(lists_are, ["셋", "둘", "하나"], ["둘"]))

        async def deaf(_names: object) -> None: ...

        monkeypatch.setattr(here.runtime.database, "publish", deaf)
        await tag(first, "집밥", "점심")
        await eventually(partial(lists_are, ["셋", "둘", "하나"], ["둘", "하나"]))
        await tag(second)
        await eventually(partial(lists_are, ["셋", "둘", "하나"], ["하나"]))
        await moderate(first, "hide")
        await eventually(partial(lists_are, ["셋", "둘"], []))
        await moderate(first, "show")  # back in their midst
        await eventually(partial(lists_are, ["셋", "둘", "하나"], ["하나"]))


async def test_other_processes_are_told(servers: Backend) -> None:
    async with open_world(servers) as here, open_world(servers) as there:
        alice = await here.person()
        post_id = await alice.write_post("하나")
        told: list[str] = []
        there.runtime.feed.on_message(told.extend)

        async def followed() -> bool:
            await alice.send("PATCH", f"/posts/{post_id}", json={"title": "둘"})
            return post_id in told

        await eventually(followed)
        assert await title(there, post_id) == "둘"
