"""Two hundred at once on real servers: every count exact, nobody refused."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator

import httpx
import pytest

from .world import API, Backend, Person, World, eventually, open_world

pytestmark = pytest.mark.both_databases

CROWD = 200
USERS = 8  # each with a request under way all the time


@pytest.fixture
async def server_world(servers: Backend) -> AsyncIterator[World]:
    async with open_world(servers, queue_seconds=60) as opened:
        yield opened


async def stats(world: World, post_id: str) -> dict[str, int]:
    return dict((await world.http.get(f"{API}/posts/{post_id}")).json()["stats"])


def statuses(answers: list[httpx.Response]) -> set[int]:
    return {answer.status_code for answer in answers}


async def people(world: World, number: int) -> list[Person]:
    return [await world.person() for _ in range(number)]


async def test_parallel_comments_and_replies_are_counted_exactly(
    server_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world, crowd = server_world, await people(server_world, 5)
    post_id = await crowd[0].write_post()
    tops = [await crowd[0].write_comment(post_id) for _ in range(2)]
    caplog.set_level(logging.INFO, "bapsang_api.kit.db.database")

    def body(number: int) -> dict[str, str]:
        return {"content": f"{number}"} | ({} if number % 2 else {"parentId": tops[number % 4 // 2]})

    answers = await asyncio.gather(
        *(crowd[number % 5].send("POST", f"/posts/{post_id}/comments", json=body(number)) for number in range(CROWD))
    )
    assert statuses(answers) == {201}
    assert not [line for line in caplog.records if line.message == "db.write_retried"]  # the locks are in one order
    assert (await stats(world, post_id))["commentCount"] == CROWD + 2
    assert await world.rows("SELECT reply_count FROM comments WHERE reply_count > 0") == [(50,), (50,)]
    assert await world.rows("SELECT COUNT(*) FROM comments") == [(CROWD + 2,)]


async def test_comments_written_deleted_and_hidden_at_once_leave_exact_counts_and_no_lost_reply(
    server_world: World,
) -> None:
    world, crowd = server_world, await people(server_world, 4)
    post_id = await crowd[0].write_post()
    rng = random.Random(7)

    async def act(person: Person) -> None:
        mine = [await person.write_comment(post_id)]
        for _ in range(25):
            target = rng.choice(mine)
            if rng.random() < 0.6:
                sent = {"content": "답글", "parentId": target}
                answer = await person.send("POST", f"/posts/{post_id}/comments", json=sent)
                assert answer.status_code in {201, 400}
                mine += [answer.json()["commentId"]] if answer.status_code == 201 else []
            else:
                answer = await person.send("DELETE", f"/posts/{post_id}/comments/{target}")
                assert answer.status_code in {204, 404}

    await asyncio.gather(*(act(person) for person in crowd for _ in range(3)), world.runtime.like_sync.run())
    active = await world.rows("SELECT COUNT(*) FROM comments WHERE comment_status = 'ACTIVE'")
    assert (await stats(world, post_id))["commentCount"] == active[0][0]
    wrong = await world.rows(
        "SELECT comment_id FROM comments AS c WHERE listed <> (comment_status = 'ACTIVE' OR EXISTS"
        " (SELECT 1 FROM comments AS r WHERE r.parent_id = c.comment_id AND r.listed))"
        " UNION ALL SELECT comment_id FROM comments AS c WHERE depth = 0 AND reply_count <>"
        " (SELECT COUNT(*) FROM comments AS r WHERE r.comment_group = c.comment_id AND r.depth > 0 AND r.listed)"
    )
    assert wrong == []


async def test_parallel_views_by_distinct_viewers_are_counted_exactly(server_world: World) -> None:
    world = server_world
    (alice,) = await people(world, 1)
    post_id = await alice.write_post()
    answers = await asyncio.gather(
        *(
            world.http.get(f"{API}/posts/{post_id}", headers={"X-Forwarded-For": f"203.0.113.{number}"})
            for number in range(CROWD)
        )
    )
    assert statuses(answers) == {200}
    assert await world.runtime.write_back_views() == CROWD

    async def shown() -> bool:
        return bool((await stats(world, post_id))["viewCount"] == CROWD)

    await eventually(shown)


async def test_parallel_toggles_are_counted_exactly(server_world: World) -> None:
    world, crowd = server_world, await people(server_world, 8)
    post_id = await crowd[0].write_post()
    clicks = [person for person in crowd for _ in range(CROWD // 8)]
    random.Random(3).shuffle(clicks)
    answers = await asyncio.gather(*(person.toggle(post_id) for person in clicks))
    assert statuses(answers) == {204}
    assert (await stats(world, post_id))["likeCount"] == 8  # 25 clicks each
    await world.write_back()
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (8, 8)


async def test_comments_views_likes_and_write_backs_of_one_post_do_not_get_into_each_others_way(
    server_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world, crowd = server_world, await people(server_world, USERS)
    post_id = await crowd[0].write_post()
    caplog.set_level(logging.INFO, "bapsang_api.kit.db.database")
    writing = True

    async def write_back() -> None:
        while writing:
            await world.write_back()
            await world.runtime.write_back_views()

    async def use(person: Person) -> None:
        for number in range(15):
            await person.write_comment(post_id, f"{number}")
            assert (await person.toggle(post_id)).status_code == 204
            assert (await person.get(f"/posts/{post_id}")).status_code == 200

    background = asyncio.create_task(write_back())
    await asyncio.gather(*(use(person) for person in crowd))
    writing = False
    await background
    await world.write_back()
    await world.runtime.write_back_views()

    async def exact() -> bool:
        return await stats(world, post_id) == {
            "likeCount": USERS,
            "commentCount": 15 * USERS,
            "viewCount": USERS,
            "isLiked": False,
        }

    await eventually(exact)
    assert await world.like_count_column(post_id) == await world.liked_rows(post_id) == USERS
    assert not [line for line in caplog.records if line.message == "db.write_retried"]
