"""Opens what a process stands on, from the settings: Redis that keeps likes, the database, the signing keys."""

import logging

from redis.asyncio import Redis

from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.replica import ReplicatedDatabase
from bapsang_api.kit.security.tokens import SigningKey, SigningKeyError
from bapsang_api.likes.server import UnsuitableRedisError, check_redis
from bapsang_api.settings import Settings, SettingsError

log = logging.getLogger(__name__)


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


def signing_keys(settings: Settings) -> list[SigningKey]:
    """Return the keys of access tokens, first the one that signs. Raises SettingsError.

    Without a file one is made up, but only on a local database: replicas with different keys would refuse each other's
    tokens.
    """
    variable, remedy = (
        "BAPSANG_SIGNING_KEY_FILE",
        "give the path of RSA private keys of at least 2048 bits (PEM, PKCS#8), first the one that signs",
    )
    if settings.signing_key_file is None:
        if not settings.local_database:
            raise SettingsError(variable, "is not set", remedy)
        log.info("start.signing_key_generated", extra={"effect": "access tokens end with this process"})
        return [SigningKey.generate()]
    try:
        return SigningKey.load_all(settings.signing_key_file)
    except SigningKeyError as error:
        raise SettingsError(variable, f"names a file that {error}", remedy) from error
