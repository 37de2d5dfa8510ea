"""What `bapsang-api` does once and ends: `like-sync` writes likes and views back and clears away what has expired,
`image-collector` deletes images that nobody shows, `admin` acts as an administrator, `recount` and `reindex` are
upkeep, `seed` fills an empty database. What erases people is in `erasing`."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy.exc import DBAPIError

from bapsang_api import endings
from bapsang_api.auth.passwords import Passwords
from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.logs import describe
from bapsang_api.kit.problem import NotFound, Unavailable
from bapsang_api.kit.redis.client import OUTAGE, open_redis
from bapsang_api.kit.redis.pipeline import Pipeline
from bapsang_api.likes.service import LikeService
from bapsang_api.likes.store import LikeStore
from bapsang_api.likes.sync import DEADLINE_SECONDS, STUCK_SECONDS, LikeSync
from bapsang_api.migrate import migrate
from bapsang_api.moderation.acts import Actor
from bapsang_api.moderation.service import ModerationService
from bapsang_api.opening import require_suitable_redis
from bapsang_api.posts.queries import SOURCE
from bapsang_api.posts.store import images_in_use as post_images
from bapsang_api.posts.views import ViewStore
from bapsang_api.posts.writeback import write_back_views
from bapsang_api.privacy.retention import purge
from bapsang_api.readmodel.feed import ChangeFeed
from bapsang_api.schema_gate import UnfitDatabaseError, require_fit
from bapsang_api.seed.plan import Sizes
from bapsang_api.seed.service import PASSWORD, Seeder
from bapsang_api.seed.store import forget
from bapsang_api.settings import Settings, SettingsError
from bapsang_api.tables import METADATA
from bapsang_api.upkeep.recount import Reconciliation, Recount
from bapsang_api.upkeep.reindex import index_posts
from bapsang_api.upkeep.store import RecountStore
from bapsang_api.uploads.collector import ImageCollector
from bapsang_api.uploads.storage import Storage
from bapsang_api.users.numbers import UserNumbers
from bapsang_api.users.service import user_id_of
from bapsang_api.users.store import images_in_use as profile_images

log = logging.getLogger(__name__)

# Nobody waits for an answer, and a slow batch is better than one that is given up and done again.
PATIENT: Final = Limits(connections=2, statement_seconds=30)


class Act(StrEnum):
    """What an administrator does: the first four to a user, the others to a post or a comment."""

    GRANT = "grant"
    REVOKE = "revoke"
    BLOCK = "block"
    UNBLOCK = "unblock"
    HIDE = "hide"
    SHOW = "show"
    HIDE_COMMENT = "hide-comment"
    SHOW_COMMENT = "show-comment"


_USER_ACTS: Final = frozenset({Act.GRANT, Act.REVOKE, Act.BLOCK, Act.UNBLOCK})


def _failed(error: Exception) -> bool:
    """Note how the process ends, for the status of its pod."""
    endings.write(endings.of(error))
    return False


async def like_sync(settings: Settings, *, batch_size: int, deadline_seconds: float = DEADLINE_SECONDS) -> bool:
    """Write back pending likes and views once, then purge; log a summary line. Returns False when database or Redis failed.

    That another run is at work is a success: it does the same; that the lock is taken for longer than runs last is none.
    Raises SettingsError on the embedded Redis.
    """
    if settings.embedded_redis:
        raise SettingsError(
            "BAPSANG_REDIS_URL", "is embedded://", "`serve` writes back by itself there; nothing else can"
        )
    clock = SystemClock()
    redis = open_redis(settings.shared_redis, seconds=5.0, connections=4)
    await require_suitable_redis(settings, redis)
    database = Database(settings.database_url, PATIENT)
    pipeline = Pipeline(redis)
    database.publish = ChangeFeed(database, SOURCE, redis, pipeline).publish
    likes = LikeStore(redis, pipeline)
    try:
        await require_fit(database)
        reconcile = Reconciliation(RecountStore(redis, clock)).run
        sync = LikeSync(database, likes, clock, reconcile, batch_size=batch_size, deadline_seconds=deadline_seconds)
        report = await sync.run()
        views = await write_back_views(database, ViewStore(redis, pipeline)) if report.ran else 0
        purged = await purge(database, clock) if report.ran else {}
    except (Unavailable, UnfitDatabaseError, *OUTAGE) as error:
        log.error("like_sync.failed", exc_info=error)
        return _failed(error)
    finally:
        await database.close()
        await pipeline.close()
        await redis.aclose()
    if report.skipped_seconds >= STUCK_SECONDS:
        log.error("like_sync.stuck", extra={"seconds": round(report.skipped_seconds)})
        endings.write(endings.Ending(endings.Code.WRITE_BACK_STUCK))
        return False
    extra = {**report.fields(), "views": views, **purged}
    log.info("like_sync.done" if report.ran else "like_sync.skipped", extra=extra)
    return True


async def collect_images(settings: Settings, *, grace: timedelta, dry_run: bool) -> bool:
    """Delete images that were not shown for longer than `grace`; log a summary line. Returns False when database or S3 failed.

    Raises SettingsError when there is no bucket.
    """
    if settings.bucket is None:
        raise SettingsError("BAPSANG_S3_BUCKET", "is not set", "give the name of the bucket that holds the images")
    database = Database(settings.database_url, PATIENT)
    storage = Storage(settings.bucket)
    originals = timedelta(days=settings.originals_days)
    references = profile_images, post_images
    collector = ImageCollector(
        database, storage, SystemClock(), references=references, grace=grace, originals=originals
    )
    try:
        # First of all: an image that this database does not know counts as unused, and is deleted.
        await require_fit(database)
        report = await collector.run(dry_run=dry_run)
    except (Unavailable, UnfitDatabaseError) as error:
        log.error("image_collector.failed", extra={"error": describe(error)})
        return _failed(error)
    finally:
        await storage.close()
        await database.close()
    log.info("image_collector.done", extra={**report.fields(), "dry_run": dry_run})
    return True


async def administer(settings: Settings, *, act: Act, target: str, reason: str | None) -> bool:
    """Do one of the acts to a post or comment (by id) or a user (by id or e-mail). Returns False when it could not be done.

    Redis need not take it: servers read ended sessions from the database.
    """
    clock = SystemClock()
    redis = open_redis(settings.shared_redis)
    pipeline = Pipeline(redis)
    database = Database(settings.database_url, Limits(connections=1))
    database.publish = ChangeFeed(database, SOURCE, redis, pipeline).publish
    likes = LikeService(database, LikeStore(redis, pipeline), UserNumbers(database), clock)
    revoked = RevokedSessions(redis, clock)
    moderation = ModerationService(database, revoked, likes, clock, Ids(clock))
    acts = {
        Act.GRANT: moderation.grant,
        Act.REVOKE: moderation.revoke,
        Act.BLOCK: moderation.block,
        Act.UNBLOCK: moderation.unblock,
        Act.HIDE: moderation.hide,
        Act.SHOW: moderation.show,
        Act.HIDE_COMMENT: moderation.hide_comment,
        Act.SHOW_COMMENT: moderation.show_comment,
    }
    try:
        target_id = await user_id_of(database, target) if act in _USER_ACTS else target
        await acts[act](Actor(None, reason), target_id)
    except (NotFound, Unavailable, *OUTAGE) as error:
        found = type(error).__name__ if isinstance(error, NotFound) else describe(error)
        log.error("admin.failed", extra={"act": act, "error": found})
        return False
    finally:
        await database.close()
        await pipeline.close()
        await redis.aclose()
    log.info("admin.done", extra={"act": act, "target_id": target_id})
    return True


async def recount(settings: Settings, *, post_ids: Sequence[str] | None, dry_run: bool) -> bool:
    """Compare counters with their rows and correct them; log each difference and a summary line.

    Returns False when it failed or when a dry run found a difference. The embedded Redis belongs to the server's process
    alone, so there only the database is compared.
    """
    database = Database(settings.database_url, PATIENT)
    redis = open_redis(settings.shared_redis, seconds=5.0, connections=4)
    try:
        counting = Recount(database, None if settings.embedded_redis else RecountStore(redis, SystemClock()))
        report = await counting.run(post_ids, dry_run=dry_run)
    except (NotFound, Unavailable, *OUTAGE) as error:
        log.error("recount.failed", extra={"error": "unknown post" if isinstance(error, NotFound) else describe(error)})
        return False
    finally:
        await database.close()
        await redis.aclose()
    log.info("recount.done", extra=report.fields())
    return not (dry_run and report.differences)


async def reindex(settings: Settings) -> bool:
    """Make every post found by the search that is not yet; log a summary line. Returns False when the database failed."""
    database = Database(settings.database_url, PATIENT)
    try:
        report = await index_posts(database)
    except Unavailable as error:
        log.error("reindex.failed", extra={"error": describe(error)})
        return False
    finally:
        await database.close()
    log.info("reindex.done", extra=asdict(report))
    return True


async def seed(settings: Settings, sizes: Sizes, *, wipe: bool, append: bool) -> bool:
    """Fill the database with a made-up community. Returns False when database or Redis failed.

    Raises SeedError when it must not be filled, and (on SQLite) MigrationError.
    """
    if settings.local_database:
        await asyncio.to_thread(migrate, settings.database_url)
    passwords = Passwords(threads=1)
    redis = open_redis(settings.shared_redis, seconds=5.0, connections=1)
    seeder = Seeder(settings.database_url, METADATA.sorted_tables)
    try:
        if wipe:
            await asyncio.to_thread(seeder.wipe)
            await forget(redis)
        elif not append:
            await asyncio.to_thread(seeder.require_empty)
        progress, login = await asyncio.to_thread(seeder.fill, sizes, await passwords.hash(PASSWORD))
    except (DBAPIError, *OUTAGE) as error:
        log.error("seed.failed", extra={"error": describe(error)})
        return False
    finally:
        seeder.close()
        await passwords.close()
        await redis.aclose()
    done = {"rows": progress.done, "seconds": round(progress.seconds, 1), "rows_per_second": round(progress.rate)}
    log.info("seed.done", extra={**done, "login": login})
    return True
