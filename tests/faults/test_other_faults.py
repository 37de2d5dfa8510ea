"""Likes while the network is silent, Redis refuses writes and a replica takes its place: on Redis and on Valkey."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.integration.api.world import API, Backend, World, assert_problem, eventually, open_world

from bapsang_api.kit.redis.client import open_redis
from bapsang_api.likes.durability import Durability, durability_of
from bapsang_api.likes.server import UnsuitableRedisError, check_redis
from bapsang_api.migrate import migrate

from .run import FAULTS
from .servers import IMAGES, MysqlServer, RedisServer, redis_server
from .test_likes_survive import harness

QUIET = ("--kills", "0", "--power", "0", "--flush", "0", "--delete", "0", "--freeze", "0")
NEW = (
    *("redis silent", "mysql silent", "redis full", "redis disk fails", "redis read-only"),
    "redis promoted",
)


@pytest.fixture(scope="module")
def valkey() -> Iterator[RedisServer]:
    with redis_server("valkey") as server:
        yield server


def test_no_answered_like_is_lost_on_valkey_by_silence_refusals_and_a_promotion(
    valkey: RedisServer, mysql: MysqlServer
) -> None:
    report = harness(
        *(valkey, mysql, "--seconds", "240", "--toggles", "1000", *QUIET),
        *("--silence", "1", "--longest-silence", "1.5", "--refuse", "1", "--promote", "2"),
    )
    assert report["engine"].startswith("valkey 8.1"), report
    assert {fault: report[fault] for fault in FAULTS} == dict.fromkeys(FAULTS, 0), report
    assert all(report["happened"][fault] > 0 for fault in NEW), report


async def test_valkey_is_checked_as_redis_is(valkey: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """It calls itself Redis 7.2.4, whatever its own version."""
    client = open_redis(valkey.url)
    await check_redis(client)
    assert [record.setting for record in caplog.records] == ["set-max-intset-entries"]  # type: ignore[attr-defined]
    assert (await durability_of(client)).log
    await client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(UnsuitableRedisError, match="allkeys-lru"):
            await check_redis(client)
    finally:
        await client.config_set("maxmemory-policy", "noeviction")
        await client.aclose()


@pytest.mark.nightly("faults")
@pytest.mark.parametrize("replica_ms", [0, 300])
@pytest.mark.parametrize("engine", sorted(IMAGES))
def test_no_answered_like_is_lost_whatever_happens(engine: str, replica_ms: int, mysql: MysqlServer) -> None:
    with redis_server(engine) as server:
        report = harness(
            *(server, mysql, "--seconds", "100", "--toggles", "150000", "--kills", "4", "--power", "4", "--flush", "4"),
            *("--delete", "40", "--freeze", "8", "--silence", "8", "--refuse", "6", "--promote", "10"),
            *("--replica-ms", str(replica_ms)),
        )
    assert {fault: report[fault] for fault in FAULTS} == dict.fromkeys(FAULTS, 0), report
    assert all(report["happened"][fault] > 0 for fault in NEW), report
    assert not (replica_ms and report["answered_and_lost"]["redis promoted"]), report


@pytest.mark.nightly("faults")
@pytest.mark.parametrize(
    ("store", "fault", "found"),
    [
        ("repeats", ("--silence", "6", "--longest-silence", "2"), "violations"),
        ("deaf", ("--refuse", "2"), "violations"),
        # Written to the database before the replica has it, which has been frozen for a second when it takes over.
        ("hasty", ("--promote", "8"), "differences"),
    ],
)
def test_the_harness_finds_what_a_broken_store_does_then(
    redis: RedisServer, mysql: MysqlServer, store: str, fault: tuple[str, ...], found: str
) -> None:
    others = ("--silence", "0", "--refuse", "0", "--promote", "0")
    report = harness(redis, mysql, "--seconds", "240", "--toggles", "1500", "--store", store, *QUIET, *others, *fault)
    assert report[found] > 0, report


@pytest.fixture
def pair(valkey: RedisServer) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A primary and its replica."""
    with redis_server("valkey") as replica:
        valkey.client().flushall()
        replica.follow(valkey)
        yield valkey, replica


@pytest.fixture
async def services(
    pair: tuple[RedisServer, RedisServer], mysql: MysqlServer, signing_key_file: Path
) -> AsyncIterator[tuple[World, World]]:
    """A service whose likes wait for the replica, and one whose likes do not."""
    mysql.create_database()
    migrate(mysql.url)
    environment = {
        "BAPSANG_DATABASE_URL": mysql.url,
        "BAPSANG_REDIS_URL": pair[0].url,
        "BAPSANG_SIGNING_KEY_FILE": str(signing_key_file),
        "BAPSANG_ADMIN_PORT": "0",
        "BAPSANG_RATE_LIMITS": "off",
        "BAPSANG_HOLD_POSTS": "off",
    }
    patient = {**environment, "BAPSANG_REDIS_REPLICA_MS": "800"}
    async with open_world(Backend("patient", patient)) as one, open_world(Backend("hasty", environment)) as other:
        yield one, other


async def test_a_like_is_answered_when_the_replica_has_it(
    services: tuple[World, World], pair: tuple[RedisServer, RedisServer]
) -> None:
    (waiting, hasty), (primary, replica) = services, pair

    async def follows() -> bool:
        return await durability_of(waiting.runtime.redis) == Durability(log=True, replicas=1)

    await eventually(follows)
    alice, bob = await waiting.person(), await waiting.person()
    post_id = await alice.write_post()
    assert (await alice.send("PUT", f"/posts/{post_id}/likes")).status_code == 204
    replica.pause()
    try:
        likes = f"{API}/posts/{post_id}/likes"
        assert (await hasty.http.put(likes, headers=bob.headers)).status_code == 204
        # It is there already, but by another process, and not on the replica.
        assert_problem(await bob.send("PUT", f"/posts/{post_id}/likes"), 503, "E503-1")
        assert_problem(await alice.send("DELETE", f"/posts/{post_id}/likes"), 503, "E503-1")
        assert (await bob.get(f"/posts/{post_id}")).json()["stats"]["isLiked"] is True  # reads wait for nobody
    finally:
        replica.resume()
    for person in (alice, bob):
        assert (await person.send("PUT", f"/posts/{post_id}/likes")).status_code == 204
    primary.kill()
    with contextlib.closing(replica.client()) as client:
        assert client.scard(f"like:users:{post_id}") == 2
    primary.start()
