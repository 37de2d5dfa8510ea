"""What `bapsang-api` does once to people: `erase-user` removes who somebody was, `replay-erasures` does that again for everybody
after a backup was restored."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.jobs import PATIENT
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.logs import describe
from bapsang_api.kit.problem import NotFound, Unavailable
from bapsang_api.kit.redis.client import OUTAGE, open_redis
from bapsang_api.kit.redis.pipeline import Pipeline
from bapsang_api.likes.service import LikeService
from bapsang_api.likes.store import LikeStore
from bapsang_api.posts.queries import SOURCE
from bapsang_api.privacy.journal import Journal
from bapsang_api.readmodel.feed import ChangeFeed
from bapsang_api.settings import Settings, SettingsError
from bapsang_api.upkeep.erasure import Erasure
from bapsang_api.uploads.storage import Storage
from bapsang_api.users.models import Extent
from bapsang_api.users.numbers import UserNumbers
from bapsang_api.users.service import user_id_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Tools:
    database: Database
    erasure: Erasure


@asynccontextmanager
async def _tools(settings: Settings) -> AsyncIterator[_Tools]:
    clock = SystemClock()
    redis = open_redis(settings.shared_redis)
    pipeline = Pipeline(redis)
    database = Database(settings.database_url, PATIENT)
    database.publish = ChangeFeed(database, SOURCE, redis, pipeline).publish
    likes = LikeService(database, LikeStore(redis, pipeline), UserNumbers(database), clock)
    revoked = RevokedSessions(redis, clock)
    try:
        yield _Tools(database, Erasure(database, revoked, likes, clock, Ids(clock)))
    finally:
        await database.close()
        await pipeline.close()
        await redis.aclose()


async def erase_user(settings: Settings, *, user: str, with_posts: bool, reason: str | None) -> bool:
    """Erase a person, named by id or e-mail. Returns False when it could not be done or not to the end.

    Redis need not take it: servers read ended sessions from the database.
    """
    async with _tools(settings) as tools:
        try:
            user_id = await user_id_of(tools.database, user)
            extent = Extent.WORDS if with_posts else Extent.TRACES
            erased = await tools.erasure.erase(user_id, extent, reason=reason)
        except (NotFound, Unavailable, *OUTAGE) as error:
            known = "unknown user" if isinstance(error, NotFound) else describe(error)
            log.error("erase_user.failed", extra={"error": known})
            return False
    log.info("erase_user.done", extra={"user_id": user_id, **asdict(erased)})
    return True


async def replay_erasures(settings: Settings, *, dry_run: bool) -> bool:
    """Do every erasure again that the bucket knows of and the database does not. Returns False when it was not done to the end.

    Raises SettingsError when there is no bucket.
    """
    if settings.bucket is None:
        raise SettingsError("BAPSANG_S3_BUCKET", "is not set", "give the name of the bucket that holds the journal")
    storage = Storage(settings.bucket)
    async with _tools(settings) as tools:
        try:
            journal = Journal(tools.database, storage, SystemClock())
            report = await journal.replay(tools.erasure, dry_run=dry_run)
        except (Unavailable, *OUTAGE) as error:
            log.error("replay_erasures.failed", extra={"error": describe(error)})
            return False
        finally:
            await storage.close()
    log.info("replay_erasures.done", extra={**asdict(report), "dry_run": dry_run})
    return True
