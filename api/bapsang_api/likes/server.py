"""What likes need of the Redis server, checked when a process starts."""

import logging
from typing import Final, cast

import redis.exceptions
from redis.asyncio import Redis

from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.likes.store import COMPACT_FROM

log = logging.getLogger(__name__)

# Keys that may expire are those that are also in the database, so evicting them loses nothing.
_KEEPS_LIKES: Final = frozenset({"noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"})


class UnsuitableRedisError(Exception):
    """A Redis that loses likes without a sign; the text says which setting does it."""


async def check_redis(client: Redis) -> None:
    """Raise UnsuitableRedisError when Redis may evict likes or refuses this client for good, as with a database number that
    it has not; log a warning for each setting that is merely worse.

    Says nothing about a Redis that does not answer or does not tell its settings: it is not refused for that.
    """
    try:
        settings = ("maxmemory-policy", "appendonly", "appendfsync", "set-max-intset-entries")
        found = cast(dict[str, str], await client.config_get(*settings))
    except OUTAGE as error:
        log.info("likes.redis_settings_unknown", extra={"error": type(error).__name__})
        return
    except redis.exceptions.ResponseError as error:
        await _insist_on_answers(client)
        log.info("likes.redis_settings_unknown", extra={"error": type(error).__name__})
        return
    policy = found.get("maxmemory-policy", "noeviction")
    if policy not in _KEEPS_LIKES:
        raise UnsuitableRedisError(
            f"has maxmemory-policy {policy}, which evicts likes that are not yet in the database"
        )
    for setting, wanted, effect in _worse(found):
        log.warning(
            "likes.redis_setting",
            extra={"setting": setting, "found": found[setting], "wanted": wanted, "effect": effect},
        )


async def _insist_on_answers(client: Redis) -> None:
    """Raise UnsuitableRedisError when it is not only its settings that Redis does not tell."""
    try:
        await client.ping()
    except OUTAGE:
        return
    except redis.exceptions.ResponseError as error:
        raise UnsuitableRedisError(f"refuses every command: {error}") from error


def _worse(found: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return (setting, wanted value, effect of the present one)."""
    worse = []
    if found.get("appendonly") == "no":
        worse.append(("appendonly", "yes", "a restart of Redis loses the likes since the last write-back"))
    elif found.get("appendfsync") == "no":
        worse.append(("appendfsync", "everysec", "a power loss takes likes of up to half a minute"))
    if int(found.get("set-max-intset-entries", COMPACT_FROM)) < COMPACT_FROM:
        worse.append(("set-max-intset-entries", str(COMPACT_FROM), "popular posts take ten times the memory"))
    return worse
