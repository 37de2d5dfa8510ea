"""Likes while MySQL does not answer, reads while Redis does not: frozen servers, which keep connections open and say nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.api.world import API, Backend, Person, World, assert_problem, eventually, open_world

from bapsang_api.jobs import like_sync
from bapsang_api.migrate import migrate

from .servers import MysqlServer, RedisServer

# For a process that meets nothing but a frozen database.
IMPATIENT = {"BAPSANG_DATABASE_CONNECT_SECONDS": "1", "BAPSANG_DATABASE_STATEMENT_SECONDS": "3"}


@pytest.fixture
def backend(redis: RedisServer, mysql: MysqlServer, signing_key_file: Path) -> Backend:
    """Servers that may be frozen, empty but for the tables."""
    mysql.create_database()
    redis.client().flushall()
    migrate(mysql.url)
    environment = {
        "BAPSANG_DATABASE_URL": mysql.url,
        "BAPSANG_REDIS_URL": redis.url,
        "BAPSANG_SIGNING_KEY_FILE": str(signing_key_file),
        "BAPSANG_ADMIN_PORT": "0",
        "BAPSANG_RATE_LIMITS": "off",
        "BAPSANG_HOLD_POSTS": "off",
    }
    return Backend("frozen", environment)


@pytest.fixture
async def world(backend: Backend, redis: RedisServer, mysql: MysqlServer) -> AsyncIterator[World]:
    """A running service."""
    async with open_world(backend) as opened:
        yield opened
    redis.resume()
    mysql.resume()


async def liked(world: World, backend: Backend) -> tuple[Person, Person, str]:
    """Alice, who likes a post that Redis holds and the database too, and Bob, who has never liked anything."""
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    assert await like_sync(backend.settings, batch_size=500)
    return alice, bob, post_id


async def test_likes_go_on_while_mysql_is_frozen_and_are_written_when_it_wakes(
    world: World, backend: Backend, mysql: MysqlServer
) -> None:
    alice, bob, post_id = await liked(world, backend)
    mysql.pause()
    try:
        for _ in range(3):
            assert (await bob.toggle(post_id)).status_code == 204
        assert (await alice.send("DELETE", f"/posts/{post_id}/likes")).status_code == 204
        assert await world.runtime.redis.scard(f"like:users:{post_id}") == 1
        # A post that Redis does not hold has to be loaded: that is refused, within the time-outs, here short ones.
        await world.runtime.redis.delete(f"like:size:{post_id}")
        async with open_world(Backend("impatient", {**backend.environment, **IMPATIENT})) as other:
            answer = await other.http.post(f"{API}/posts/{post_id}/likes", headers=bob.headers)
            assert_problem(answer, 503, "E503-1")
    finally:
        mysql.resume()

    async def written() -> bool:
        answer = await bob.send("PUT", f"/posts/{post_id}/likes")
        return answer.status_code == 204

    await eventually(written, seconds=30)
    assert await like_sync(backend.settings, batch_size=500)
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (1, 1)
    assert await world.shown_likes(post_id) == 1


async def test_reads_go_on_while_redis_is_frozen_from_what_is_written(
    world: World, backend: Backend, redis: RedisServer
) -> None:
    alice, bob, post_id = await liked(world, backend)
    redis.pause()
    try:
        detail = await alice.get(f"/posts/{post_id}")
        assert (detail.status_code, detail.json()["stats"]["isLiked"], detail.json()["stats"]["likeCount"]) == (
            200,
            True,
            1,
        )
        page = await bob.get("/posts")
        assert (page.status_code, page.json()["items"][0]["stats"]["likeCount"]) == (200, 1)
        assert_problem(await bob.toggle(post_id), 503, "E503-1")
    finally:
        redis.resume()

    async def answered() -> bool:
        return (await bob.send("PUT", f"/posts/{post_id}/likes")).status_code == 204

    await eventually(answered, seconds=30)
    assert await world.shown_likes(post_id) == 2


async def test_likes_survive_a_kill_of_redis(world: World, backend: Backend, redis: RedisServer) -> None:
    alice, bob, post_id = await liked(world, backend)
    await bob.toggle(post_id)
    redis.kill()
    assert (await alice.get(f"/posts/{post_id}")).json()["stats"]["likeCount"] == 1  # of the row
    redis.start()
    await eventually(lambda: _shows(world, post_id, 2), seconds=30)
    assert await like_sync(backend.settings, batch_size=500)
    assert await world.like_count_column(post_id) == 2


async def _shows(world: World, post_id: str, count: int) -> bool:
    return await world.shown_likes(post_id) == count
