"""The admin listener: probes and metrics on a port of their own, which no ingress publishes."""

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

from prometheus_client import CONTENT_TYPE_LATEST
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.redis.budget import Budget
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.lifecycle import Lifecycle
from bapsang_api.likes.store import LikeStore
from bapsang_api.upkeep.store import RecountStore


def create_admin_app(
    lifecycle: Lifecycle,
    metrics: Metrics,
    likes: LikeStore,
    recounting: RecountStore,
    budget: Budget,
    clock: Clock,
    mail_late: Callable[[], Awaitable[float]],
) -> Starlette:
    """Return the app with /livez, /readyz and /metrics. `mail_late`: for how long the oldest letter has been due, in seconds."""

    async def livez(_: Request) -> Response:
        # That this is answered at all is the check: the event loop turns. Only what cannot recover says no.
        return PlainTextResponse("OK") if lifecycle.alive else PlainTextResponse("given up", 503)

    async def readyz(_: Request) -> Response:
        return PlainTextResponse("OK") if lifecycle.ready else PlainTextResponse("not ready", 503)

    async def expose(_: Request) -> Response:
        try:
            backlog = await likes.backlog(clock.now())
            metrics.like_dirty_posts.set(backlog.posts)
            metrics.like_oldest_dirty_seconds.set(backlog.oldest_age_seconds)
            progress = await recounting.progress()
            metrics.like_differences.set(progress.differences)
            metrics.like_posts_reconciled.set(progress.posts)
            metrics.redis_up.set(1)
        except OUTAGE:
            metrics.like_dirty_posts.set(math.nan)
            metrics.like_oldest_dirty_seconds.set(math.nan)
            metrics.like_differences.set(math.nan)
            metrics.like_posts_reconciled.set(math.nan)
            metrics.redis_up.set(0)
        metrics.mail_oldest_due_seconds.set(await mail_late())
        for gauge in (metrics.redis_bytes, metrics.redis_budget):
            gauge.clear()
        with suppress(RedisError):  # a Redis that is gone, or one that does not tell: no samples
            usage = await budget.measure()
            for gauge, values in ((metrics.redis_bytes, usage.bytes), (metrics.redis_budget, usage.budgets)):
                for kind, value in values.items():
                    gauge.labels(kind).set(value)
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", expose)])
