"""What `bapsang-api migrate` asks before it changes anything: whether the servers that this configuration verifies by TLS are
the ones that it means.

The operator rolls no pod before the migration has passed. Without this a rollout met a Redis or a replica that cannot be
verified only in its new pods.
"""

import asyncio

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from bapsang_api import endings
from bapsang_api.kit import tls
from bapsang_api.kit.db.connections import Limits, open_engine
from bapsang_api.kit.redis.client import REDIS_CA, open_redis, speaks_plainly
from bapsang_api.migrate import MigrationError
from bapsang_api.settings import Settings


def require_verified(settings: Settings) -> None:
    """Raise MigrationError when Redis or the replica is not what its setting asks for. One that is merely down is no matter."""
    if settings.redis_tls_ca is not None and not settings.embedded_redis:
        asyncio.run(_require_redis(settings.redis_url))
    if settings.database_tls_ca is not None and settings.database_reader_url is not None:
        _require_replica(settings.database_reader_url)


async def _require_redis(url: str) -> None:
    redis = open_redis(url, connections=1)
    try:
        await redis.ping()
    except RedisError as error:
        _raise_refusal(error)
        if await speaks_plainly(url):
            _raise_refusal(tls.UnverifiedServerError(REDIS_CA, tls.NO_TLS))
    finally:
        await redis.aclose()


def _require_replica(url: str) -> None:
    engine = open_engine(url, Limits(connections=1))
    try:
        engine.connect().close()
    except DBAPIError as error:
        _raise_refusal(error)
    finally:
        engine.dispose()


def _raise_refusal(error: Exception) -> None:
    if (refusal := tls.refusal_in(error)) is not None:
        raise MigrationError(endings.of(refusal), str(refusal)) from error
