"""What a Redis must and should be set to."""

import logging
from collections.abc import AsyncIterator
from functools import partial

import pytest
from redis.asyncio import Redis

from bapsang_api.jobs import like_sync
from bapsang_api.kit.redis.client import open_redis
from bapsang_api.likes.server import UnsuitableRedisError, check_redis
from bapsang_api.settings import SettingsError

from .world import Backend, open_world

SUITABLE = {"maxmemory-policy": "noeviction", "appendfsync": "everysec", "set-max-intset-entries": "50000"}


@pytest.fixture
async def redis(empty_redis: str) -> AsyncIterator[Redis]:
    """A Redis set up as likes need it, apart from its log; put back afterwards."""
    client = open_redis(empty_redis)
    before = {name: (await client.config_get(name))[name] for name in (*SUITABLE, "appendonly")}
    for name, value in SUITABLE.items():
        await client.config_set(name, value)
    yield client
    for name, value in before.items():
        await client.config_set(name, value)
    await client.aclose()


def warnings(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {record.setting for record in caplog.records if record.message == "likes.redis_setting"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
async def test_a_redis_that_may_evict_likes_is_refused(servers: Backend, redis: Redis, policy: str) -> None:
    await redis.config_set("maxmemory-policy", policy)
    with pytest.raises(UnsuitableRedisError, match=policy):
        await check_redis(redis)
    with pytest.raises(SettingsError, match="BAPSANG_REDIS_URL names a Redis that has maxmemory-policy"):
        async with open_world(servers):
            pass
    with pytest.raises(SettingsError):
        await like_sync(servers.settings, batch_size=1)


async def test_each_setting_that_is_worse_is_named(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    await check_redis(redis)
    assert warnings(caplog) == {"appendonly"}
    caplog.clear()
    await redis.config_set("set-max-intset-entries", 512)
    await redis.config_set("maxmemory-policy", "volatile-lru")
    await check_redis(redis)
    assert warnings(caplog) == {"appendonly", "set-max-intset-entries"}


async def test_a_redis_that_does_not_answer_is_not_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client = open_redis("redis://127.0.0.1:1/0")
    await check_redis(client)
    assert "likes.redis_settings_unknown" in caplog.text
    await client.aclose()


async def test_a_redis_without_the_database_that_is_asked_for_is_refused(servers: Backend) -> None:
    url = servers.environment["BAPSANG_REDIS_URL"].rpartition("/")[0] + "/99999"
    with pytest.raises(SettingsError, match="BAPSANG_REDIS_URL names a Redis that refuses every command: DB index"):
        async with open_world(Backend(servers.name, {**servers.environment, "BAPSANG_REDIS_URL": url})):
            pass


async def test_a_redis_that_tells_no_settings_is_not_refused(
    empty_redis: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = open_redis(empty_redis)
    client.config_get = partial(client.execute_command, "CONFIGURE")  # type: ignore[method-assign]
    await check_redis(client)
    assert "likes.redis_settings_unknown" in caplog.text
    await client.aclose()
