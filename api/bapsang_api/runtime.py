"""Puts the process together: every object that lives as long as it does, made from the settings in one place."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from redis.asyncio import Redis
from starlette.applications import Starlette

from bapsang_api.admin import create_admin_app
from bapsang_api.app import REPLAYS, create_app
from bapsang_api.auth.account import AccountService
from bapsang_api.auth.devices import KnownDevices
from bapsang_api.auth.discovery import Discovery
from bapsang_api.auth.linkpages.service import LinkPages
from bapsang_api.auth.links.issue import Links
from bapsang_api.auth.links.service import RecoveryService
from bapsang_api.auth.notices import Notices
from bapsang_api.auth.passwords import Passwords
from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.auth.service import AuthService
from bapsang_api.comments.service import CommentService
from bapsang_api.comments.wire import page_of
from bapsang_api.feed.service import FeedService
from bapsang_api.home.lists import HomeLists
from bapsang_api.home.service import PeopleService
from bapsang_api.http.gateway import Gateway
from bapsang_api.http.idempotency import Idempotency
from bapsang_api.http.ratelimit import RateLimiter
from bapsang_api.http.shedding import Shedder
from bapsang_api.http.wire import API
from bapsang_api.importing.moved import MovedIds
from bapsang_api.inbox.service import InboxService
from bapsang_api.inbox.streams import InboxStreams
from bapsang_api.inbox.wire import rendered
from bapsang_api.keys import signing_keys
from bapsang_api.kit.background import Background, repeating
from bapsang_api.kit.clock import Clock, SystemClock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.replica import ReplicatedDatabase
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.redis.budget import Budget
from bapsang_api.kit.redis.client import open_redis
from bapsang_api.kit.redis.pipeline import Pipeline
from bapsang_api.kit.security.tokens import TokenIssuer, TokenVerifier
from bapsang_api.lifecycle import Lifecycle
from bapsang_api.likes.service import LikeService
from bapsang_api.likes.store import LikeStore
from bapsang_api.likes.sync import LikeSync
from bapsang_api.local_jobs import sync_for_ever
from bapsang_api.mail.outbox import Outbox
from bapsang_api.mail.seal import Seal
from bapsang_api.mail.worker import Worker as MailWorker
from bapsang_api.mail.worker import late_seconds_of
from bapsang_api.migrate import migrate
from bapsang_api.moderation.content import ContentModeration
from bapsang_api.moderation.looking import LookService
from bapsang_api.moderation.service import ModerationService
from bapsang_api.opening import open_database, require_suitable_redis
from bapsang_api.pages.layout import Layout
from bapsang_api.people.hidden import HiddenPeople
from bapsang_api.posts.queries import SOURCE
from bapsang_api.posts.service import PostService
from bapsang_api.posts.store import images_in_use as post_images
from bapsang_api.posts.store import picture_changed as post_changed
from bapsang_api.posts.telling import tell_of_refused
from bapsang_api.posts.views import ViewStore
from bapsang_api.posts.writeback import write_back_views
from bapsang_api.privacy.journal import Journal
from bapsang_api.privacy.service import ExportService
from bapsang_api.readmodel.feed import ChangeFeed
from bapsang_api.reports.service import ReportService
from bapsang_api.settings import Settings
from bapsang_api.tags.service import TagService
from bapsang_api.terms.service import Pages
from bapsang_api.upkeep.recount import Reconciliation
from bapsang_api.upkeep.store import RecountStore
from bapsang_api.uploads.service import ImageService, UploadService
from bapsang_api.uploads.storage import Storage
from bapsang_api.uploads.takedown import Takedown
from bapsang_api.uploads.worker import Worker
from bapsang_api.users.consent import Versions
from bapsang_api.users.numbers import UserNumbers
from bapsang_api.users.service import UserService
from bapsang_api.users.store import images_in_use as profile_images
from bapsang_api.users.store import picture_changed as user_changed

log = logging.getLogger(__name__)

#: Whom a worker tells that what is known of an image has changed.
CHANGED: Final = (post_changed, user_changed)
#: Whom it tells that an image was refused after it was used.
REFUSED: Final = (tell_of_refused,)
CHORES_SECONDS: Final = 2.0  # takedown of pictures, journal of erasures, exports


@dataclass(frozen=True)
class Runtime:
    """A running service: the two applications and what tests and jobs reach for."""

    app: Gateway
    admin: Starlette
    lifecycle: Lifecycle
    database: Database
    redis: Redis
    like_sync: LikeSync
    posts: PostService
    users: UserService
    metrics: Metrics
    outbox: Outbox
    revoked: RevokedSessions
    ids: Ids
    feed: ChangeFeed
    hidden: HiddenPeople
    takedown: Takedown | None  # None where there is no bucket
    write_back_views: Callable[[], Awaitable[int]]


@asynccontextmanager
async def running(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Runtime]:
    """Open everything, run the background tasks, and close everything again.

    Raises SettingsError for a signing key that cannot be used, EmbeddedRedisMissingError and (on SQLite) MigrationError. MySQL and
    Redis need not answer yet.
    """
    clock = clock or SystemClock()
    keys = signing_keys(settings)
    redis = open_redis(settings.shared_redis)
    await require_suitable_redis(settings, redis)
    ids, metrics, lifecycle = Ids(clock), Metrics(), Lifecycle()
    if settings.local_database:
        await asyncio.to_thread(migrate, settings.database_url)
    pipeline = Pipeline(redis, replica_ms=settings.redis_replica_ms)
    database = open_database(settings)
    feed = ChangeFeed(database, SOURCE, redis, pipeline)
    database.publish = feed.publish
    if isinstance(database, ReplicatedDatabase):
        database.wrote_recently = feed.wrote_recently
    metrics.watch(database)
    passwords = Passwords()
    revoked = RevokedSessions(redis, clock)
    verifier = TokenVerifier(
        keys, issuer=settings.issuer, audience=settings.audience, clock=clock, revoked=revoked.sessions
    )
    issuer = TokenIssuer(keys[0], issuer=settings.issuer, audience=settings.audience, clock=clock, ids=ids)
    seal = Seal(keys)
    outbox = Outbox(clock, ids, seal.close, on=settings.mail is not None)
    storage = Storage(settings.bucket) if settings.bucket else None
    images = ImageService(database, storage, clock, ids)
    exports = ExportService(database, storage, clock, ids)
    takedown = None
    layout = Layout(operator=settings.operator_name, contact=settings.contact_email)
    pages = Pages(layout, originals_days=settings.originals_days)
    versions = Versions(pages.terms_version, pages.privacy_version)
    users = UserService(database, images, clock, ids, feed, versions)
    links, notices = Links(outbox, clock, settings.site), Notices(outbox, clock)
    auth = AuthService(database, users, passwords, issuer, revoked, links, notices, clock, ids)
    account = AccountService(database, users, passwords, revoked, notices, clock, ids)
    recovery = RecoveryService(database, account, passwords, revoked, links, notices, clock, ids)
    like_store = LikeStore(redis, pipeline)
    likes = LikeService(database, like_store, UserNumbers(database), clock)
    moderation = ModerationService(database, revoked, likes, clock, ids)
    limiter = RateLimiter(redis, clock, settings.rate_limits)
    views = ViewStore(redis, pipeline)
    hidden = HiddenPeople(database, feed)
    posts = PostService(
        *(database, views, likes, images, clock, ids, feed, hidden),
        serving=lambda: metrics.serving,
        holds=settings.hold_posts == "on",
    )
    comments = CommentService(
        database, clock, ids, feed, hidden, lambda page: page_of(page, images).model_dump_json(by_alias=True).encode()
    )
    metrics.watch_caches(lambda: {**posts.usage(), **comments.usage(), **users.usage(), **hidden.usage()})
    streams = InboxStreams(database, revoked.sessions, clock, metrics, partial(rendered, images=images))
    feed.on_message(streams.receive)
    lifecycle.on_drain(streams.drain)
    recounting = RecountStore(redis, clock)
    like_sync = LikeSync(database, like_store, clock, Reconciliation(recounting).run)
    shedder = Shedder(settings.max_in_flight, metrics)
    app = create_app(
        (
            verifier,
            Discovery(settings.issuer, keys),
            KnownDevices(keys),
            LinkPages(layout),
            images,
            InboxService(database, clock),
            streams,
            UploadService(storage, ids),
            hidden,
            users,
            auth,
            account,
            recovery,
            likes,
            outbox,
            posts,
            TagService(database),
            FeedService(database, images, clock, settings.site),
            comments,
            PeopleService(database, hidden, clock),
            HomeLists(database, posts, hidden, clock),
            ReportService(database, clock, ids),
            moderation,
            ContentModeration(database, likes, clock, ids),
            LookService(database, clock, ids),
            exports,
            pages,
        ),
        metrics=metrics,
        cors_origins=settings.cors_origins,
        lifecycle=lifecycle,
        limiter=limiter,
        shedder=shedder,
        idempotency=Idempotency(redis, verifier, REPLAYS),
        room_to_hash=passwords.require_room,
        hops=settings.trusted_hops,
        moved=MovedIds(database, API).location,
    )
    mail_late = partial(late_seconds_of, database, clock, outbox)
    admin = create_admin_app(lifecycle, metrics, like_store, recounting, Budget(redis), clock, mail_late)
    background = Background(metrics, lifecycle.give_up)
    lifecycle.require(lambda: background.complete)
    # Before, every reader with a token needs MySQL.
    lifecycle.require(lambda: hidden.is_ready or settings.local_database)
    # Without it a revoked token works here. Whatever else stops makes answers older or limits wider, which is no reason
    # to send requests elsewhere.
    background.start("revocations", revoked.follow, needed=True)
    background.start("recall", partial(revoked.follow_database, database))
    background.start("rate_limits", limiter.follow)
    background.start("changes", feed.follow_messages)
    background.start("hidden_people", hidden.follow, ends=settings.local_database)
    background.start("poll", feed.follow_database, ends=settings.local_database)  # there is nothing to poll on SQLite
    background.start("warm_up", posts.warm_up, ends=True)
    background.start("shedding", shedder.follow)
    background.start("streams", streams.follow)
    if storage is not None and settings.local_database:
        # Nobody else works on the queue there.
        background.start("photos", Worker(database, storage, clock, CHANGED, REFUSED).run)
    if settings.mail is not None and settings.local_database:
        background.start("mail", MailWorker(database, settings.mail, seal, settings.stationery, clock).run)
    if storage is not None:
        takedown, journal = (
            Takedown(database, storage, clock, (profile_images, post_images)),
            Journal(database, storage, clock),
        )
        chores = (takedown.run, journal.run, exports.run)
        background.start("chores", partial(repeating, CHORES_SECONDS, *chores))
    write_back = partial(write_back_views, database, views)
    if settings.embedded_redis:
        # Nobody else can reach this Redis, so no CronJob can write it back.
        background.start("write_back", partial(sync_for_ever, like_sync, write_back, database, clock))
    try:
        yield Runtime(
            app,
            admin,
            lifecycle,
            database,
            redis,
            like_sync,
            posts,
            users,
            metrics,
            outbox,
            revoked,
            ids,
            feed,
            hidden,
            takedown,
            write_back,
        )
    finally:
        await background.close()
        await likes.close()
        await passwords.close()
        if storage is not None:
            await storage.close()
        await database.close()
        await pipeline.close()
        await redis.aclose()
