"""Opens what a process stands on, from the settings: Redis that keeps likes, and the database."""

from redis.asyncio import Redis

from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.replica import ReplicatedDatabase
from bapsang_api.likes.server import UnsuitableRedisError, check_redis
from bapsang_api.settings import Settings, SettingsError


async def require_suitable_redis(settings: Settings, redis: Redis) -> None:
    """Close `redis` and raise SettingsError when it would lose likes without a sign."""
    if settings.embedded_redis:
        return
    try:
        await check_redis(redis)
    except UnsuitableRedisError as error:
        await redis.aclose()
        raise SettingsError("BAPSANG_REDIS_URL", f"names a Redis that {error}", "set it to noeviction") from error


def open_database(settings: Settings) -> Database:
    """Return the database, with its replica when there is one."""
    url, limits = settings.database_url, settings.database_limits
    if settings.database_reader_url is None:
        return Database(url, limits)
    return ReplicatedDatabase(url, settings.database_reader_url, limits)
