"""One account and a small Redis: whatever it sends, the likes, logins and log-outs of all others go on."""

import random
from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis

from bapsang_api.http.idempotency import MOST_KEPT
from bapsang_api.kit.redis.client import open_redis

from .world import API, Backend, Person, open_world

MEMORY = 5_000_000  # bytes
FREE = 1_500_000  # of them, when the account begins
# What nothing can pack: 40 kB each.
TEXTS = ["".join(map(chr, random.Random(seed).choices(range(0x20000, 0x2A6D0), k=10_000))) for seed in range(36)]


@pytest.fixture
async def small_redis(empty_redis: str) -> AsyncIterator[Redis]:
    client = open_redis(empty_redis)
    settings = {"maxmemory": str(MEMORY), "maxmemory-policy": "noeviction"}
    before = {name: (await client.config_get(name))[name] for name in settings}
    for name, value in settings.items():
        await client.config_set(name, value)
    while int((await client.info("memory"))["used_memory"]) < MEMORY - FREE:
        await client.append("others", "x" * 50_000)
    yield client
    for name, value in before.items():
        await client.config_set(name, value)
    await client.aclose()


async def publish(person: Person, number: int) -> httpx.Response:
    headers = {**person.headers, "Idempotency-Key": f"key-{number}"}
    body = {"title": "밥", "content": TEXTS[number]}
    return await person.http.post(f"{API}/posts", json=body, headers=headers)


async def test_one_account_cannot_fill_redis(files: Backend, small_redis: Redis, empty_redis: str) -> None:
    environment = {**files.environment, "BAPSANG_REDIS_URL": empty_redis, "BAPSANG_RATE_LIMITS": "login_ip=9999/60"}
    async with open_world(Backend("sqlite+redis", environment)) as world:
        mallory, bob = await world.person(), await world.person()
        post_id = await bob.write_post()
        for number in range(len(TEXTS)):
            await publish(mallory, number)
        _, refresh_token = await world.log_in(mallory.email)
        listed = (await mallory.get("/users/me/sessions")).json()["items"]
        (other,) = [device["sessionId"] for device in listed if not device["isCurrent"]]
        for _ in range(20):
            await world.log_out(cookie=refresh_token)
            await mallory.send("DELETE", f"/users/me/sessions/{other}")

        assert (await bob.send("PUT", f"/posts/{post_id}/likes")).status_code == 204
        token, refresh_token = await world.log_in(bob.email)
        assert (await world.log_out(cookie=refresh_token, token=token)).status_code == 204
        assert [(await publish(bob, 0)).status_code for _ in range(2)] == [201, 201]

        # One entry a session, however often it is ended.
        assert await small_redis.xlen("auth:revoked") == 2
        records = [str(name) for name in await small_redis.keys("idempotency:*")]
        assert len(records) == len(TEXTS) + 1
        largest = max([int(await small_redis.memory_usage(name) or 0) for name in records])
        # Twice, because the hour of one count may end in the middle of the hour that a record is kept.
        assert largest * 2 * MOST_KEPT < MEMORY / 10
