"""What `bapsang-api` does once and ends: `like-sync` writes likes and views back and clears away what has expired,
`image-collector` deletes images that nobody shows, `admin` acts as an administrator."""

import logging
from datetime import timedelta
from typing import Final

from bapsang_api.auth.purge import purge_sessions
from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.logs import describe
from bapsang_api.kit.problem import NotFound, Unavailable
from bapsang_api.kit.redis import OUTAGE, open_redis
from bapsang_api.likes.service import LikeService
from bapsang_api.likes.store import LikeStore
from bapsang_api.likes.sync import LikeSync
from bapsang_api.moderation.service import Actor, ModerationService
from bapsang_api.posts.service import PostService
from bapsang_api.posts.store import ViewStore
from bapsang_api.posts.store import images_in_use as post_images
from bapsang_api.settings import Settings, SettingsError
from bapsang_api.uploads.collector import ImageCollector
from bapsang_api.uploads.service import ImageService
from bapsang_api.uploads.storage import Storage
from bapsang_api.users.service import UserService
from bapsang_api.users.store import images_in_use as profile_images

log = logging.getLogger(__name__)

POST_ACTS: Final = ("hide", "show")
COMMENT_ACTS: Final = ("hide-comment", "show-comment")
USER_ACTS: Final = ("grant", "revoke", "block", "unblock")


async def like_sync(settings: Settings, *, batch_size: int) -> bool:
    """Write back pending likes and views once, then purge; log a summary line. Returns False when database or Redis failed.

    That another run is at work is a success: it does the same. Raises SettingsError on the embedded Redis.
    """
    if settings.embedded_redis:
        raise SettingsError(
            "BAPSANG_REDIS_URL", "is embedded://", "`serve` writes back by itself there; nothing else can"
        )
    clock = SystemClock()
    # Patient: nobody waits for an answer, and a slow batch is better than one that is given up and done again.
    database = Database(settings.database_url, pool_size=2, statement_seconds=30)
    redis = open_redis(settings.redis_url, seconds=5.0, connections=4)
    likes = LikeStore(redis)
    images = ImageService(database, None, clock, Ids(clock))
    posts = PostService(database, ViewStore(redis), LikeService(database, likes, clock), images, clock, Ids(clock))
    try:
        report = await LikeSync(database, likes, clock, batch_size=batch_size).run()
        views = await posts.flush_views() if report.ran else 0
        sessions = await purge_sessions(database, clock) if report.ran else 0
        withdrawn = await UserService(database, images, clock, Ids(clock)).forget_withdrawn() if report.ran else 0
    except (Unavailable, *OUTAGE) as error:
        log.error("like_sync.failed", exc_info=error)
        return False
    finally:
        database.close()
        await redis.aclose()
    extra = {**report.fields(), "views": views, "purged_sessions": sessions, "forgotten_users": withdrawn}
    log.info("like_sync.done" if report.ran else "like_sync.skipped", extra=extra)
    return True


async def collect_images(settings: Settings, *, grace: timedelta, dry_run: bool) -> bool:
    """Delete images that were not shown for longer than `grace`; log a summary line. Returns False when database or S3 failed.

    Raises SettingsError when there is no bucket.
    """
    if settings.bucket is None:
        raise SettingsError("BAPSANG_S3_BUCKET", "is not set", "give the name of the bucket that holds the images")
    database = Database(settings.database_url, pool_size=2, statement_seconds=30)
    storage = Storage(settings.bucket)
    collector = ImageCollector(database, storage, SystemClock(), references=(profile_images, post_images), grace=grace)
    try:
        report = await collector.run(dry_run=dry_run)
    except Unavailable as error:
        log.error("image_collector.failed", extra={"error": describe(error)})
        return False
    finally:
        storage.close()
        database.close()
    log.info("image_collector.done", extra={**report.fields(), "dry_run": dry_run})
    return True


async def administer(settings: Settings, *, act: str, target: str, reason: str | None) -> bool:
    """Do one of the acts to a post or comment (by id) or a user (by id or e-mail). Returns False when it could not be done.

    On the embedded Redis a running server cannot be told: access tokens of ended sessions live on for up to 30 minutes.
    """
    clock = SystemClock()
    database = Database(settings.database_url, pool_size=1)
    redis = open_redis(settings.redis_url)
    likes = LikeService(database, LikeStore(redis), clock)
    moderation = ModerationService(database, RevokedSessions(redis, clock), likes, clock, Ids(clock))
    acts = {
        "grant": moderation.grant,
        "revoke": moderation.revoke,
        "block": moderation.block,
        "unblock": moderation.unblock,
        "hide": moderation.hide,
        "show": moderation.show,
        "hide-comment": moderation.hide_comment,
        "show-comment": moderation.show_comment,
    }
    try:
        target_id = await moderation.user_id_of(target) if act in USER_ACTS else target
        await acts[act](Actor(None, reason), target_id)
    except (NotFound, Unavailable, *OUTAGE) as error:
        log.error("admin.failed", extra={"act": act, "error": type(error).__name__})
        return False
    finally:
        database.close()
        await redis.aclose()
    log.info("admin.done", extra={"act": act, "target_id": target_id})
    return True
