"""The processes that are killed: APIs that change likes for their users, and rival write-backs. Both are the real code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.redis.client import open_redis
from bapsang_api.kit.redis.pipeline import Pipeline
from bapsang_api.likes.service import LikeService
from bapsang_api.likes.sync import LikeSync
from bapsang_api.upkeep.recount import Reconciliation
from bapsang_api.upkeep.store import RecountStore
from bapsang_api.users.numbers import UserNumbers

from .broken import STORES
from .clients import DOWN, Cast, Clients
from .points import API_CALLS, SYNC_CALLS, Fuse

# Small, so that posts of the harness become bitmaps and sets again, and the loads of frozen processes are taken over.
SMALL: Final[Mapping[str, Any]] = {"compact_from": 70, "loader_seconds": 0.5}


def fork(act: Callable[[], Any]) -> int:
    """Start a process; it ends with this one."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    random.seed(os.urandom(8))
    try:
        asyncio.run(_until_orphaned(act, parent))
    except BaseException as error:  # whatever it was, this copy of the parent must go no further
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(1)
    os._exit(0)


async def _until_orphaned(act: Callable[[], Any], parent: int) -> None:
    acting = asyncio.ensure_future(act())
    while not acting.done():
        await asyncio.wait([acting], timeout=1)
        if os.getppid() != parent:
            os._exit(1)
    acting.result()


async def api(cast: Cast, slot: int, users: range) -> None:
    """Use likes until told to stop."""
    async with _clients(cast, slot, users) as clients:
        await clients.act()


async def settle(cast: Cast, slot: int, users: range) -> None:
    """Find out what became of everything that is still in doubt."""
    async with _clients(cast, slot, users) as clients:
        while not await clients.settle_all(cast.board.generation):
            pass


async def sync(cast: Cast, slot: int) -> None:
    """Write back again and again, now and then with the reconciliation."""
    async with _opened(cast) as (database, redis):
        fuse = Fuse(cast.board, slot)
        likes = STORES[cast.kind](redis, **SMALL)
        fuse.around(likes, "sync", SYNC_CALLS)
        fuse.around_commits(database)
        reconciliation = Reconciliation(RecountStore(redis, SystemClock())).run
        while not cast.board.stopped:
            comparing = reconciliation if random.random() < 0.1 else None
            batch = random.choice((1, 3, 20))
            try:
                report = await LikeSync(database, likes, SystemClock(), comparing, batch_size=batch).run()
            except DOWN:
                await asyncio.sleep(0.05)
                continue
            cast.board.differences[slot] += report.differences
            cast.board.runs[slot] += report.ran
            await asyncio.sleep(0.2 * random.random() if report.ran else 0.04)


async def sync_to_the_end(cast: Cast, slot: int) -> None:
    """Write back and compare until nothing is pending, nor was before a whole comparison: it marks what lost its mark."""
    async with _opened(cast) as (database, redis):
        likes = STORES[cast.kind](redis, **SMALL)
        runner = LikeSync(database, likes, SystemClock(), Reconciliation(RecountStore(redis, SystemClock())).run)
        clean = 0
        while clean < 2:
            report = await runner.run()
            cast.board.differences[slot] += report.differences
            clean = clean + 1 if report.ran and not report.remaining_posts else 0


@contextlib.asynccontextmanager
async def _clients(cast: Cast, slot: int, users: range) -> AsyncIterator[Clients]:
    async with _opened(cast) as (database, redis):
        # As bapsang_api.runtime puts them together.
        likes = STORES[cast.kind](redis, Pipeline(redis, replica_ms=cast.replica_ms), **SMALL)
        Fuse(cast.board, slot).around(likes, "api", API_CALLS)
        service = LikeService(database, likes, UserNumbers(database), SystemClock())
        yield Clients(cast, slot, users, service, likes, redis)


@contextlib.asynccontextmanager
async def _opened(cast: Cast) -> AsyncIterator[tuple[Database, Any]]:
    database, redis = (
        Database(cast.mysql_url, Limits(connections=2)),
        open_redis(cast.redis_url, seconds=5.0, connections=4),
    )
    try:
        yield database, redis
    finally:
        await database.close()
        await redis.aclose()
