"""The processes that are killed: APIs that toggle likes for their users, and rival write-backs.

Both are the real code. Crash points are put around it here; the program knows nothing of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db import Database, Limits
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis import OUTAGE, open_redis
from bapsang_api.kit.tokens import Principal
from bapsang_api.likes import sync as write_back
from bapsang_api.likes.service import LikeService
from bapsang_api.likes.store import Claim, LikeStore
from bapsang_api.users.numbers import UserNumbers

from .board import DOUBT, Board

# Small, so that posts of the harness become bitmaps and sets again.
COMPACT_FROM = 70
DOWN = (Unavailable, *OUTAGE)


@dataclass(frozen=True)
class Cast:
    """Where the servers are, who acts, and how often a crash point kills."""

    redis_url: str
    mysql_url: str
    post_ids: Sequence[str]
    user_ids: Sequence[str]
    board: Board
    risk: float

    def die_maybe(self, point: str) -> None:
        # A write-back passes its points once a second, when Redis's log is synced; an API process all the time.
        if random.random() < self.risk * (20 if point.startswith("sync") else 1):
            self.board.count(point)
            os.kill(os.getpid(), signal.SIGKILL)


class FragileStore(LikeStore):
    """Dies around the Redis calls of an API process."""

    def __init__(self, redis: Any, cast: Cast) -> None:
        super().__init__(redis, compact_from=COMPACT_FROM)
        self._cast = cast

    async def set(self, *arguments: Any) -> Any:
        self._cast.die_maybe("api before redis")
        answer = await super().set(*arguments)
        self._cast.die_maybe("api after redis")
        return answer

    async def stage(self, *arguments: Any, **options: Any) -> bool:
        self._cast.die_maybe("api in load")
        return await super().stage(*arguments, **options)

    async def finish_load(self, *arguments: Any, **options: Any) -> bool:
        self._cast.die_maybe("api in load")
        return await super().finish_load(*arguments, **options)


class FragileSyncStore(LikeStore):
    """Dies around the Redis calls of a write-back."""

    def __init__(self, redis: Any, cast: Cast) -> None:
        super().__init__(redis, compact_from=COMPACT_FROM)
        self._cast, self._client = cast, redis

    async def dirty(self, *arguments: Any) -> list[str]:
        self._cast.die_maybe("sync before dirty")
        return await super().dirty(*arguments)

    async def claim(self, *arguments: Any, **options: Any) -> list[Claim]:
        self._cast.die_maybe("sync before claim")
        claims = await super().claim(*arguments, **options)
        self._cast.die_maybe("sync after claim")
        return claims

    async def acknowledge(self, *arguments: Any) -> None:
        self._cast.die_maybe("sync after commit")
        self._cast.die_maybe("sync before ack")
        await super().acknowledge(*arguments)
        self._cast.die_maybe("sync after ack")


class TakesWithoutClaiming(FragileSyncStore):
    """Broken on purpose, in the usual way: what is pending is read and deleted, then written."""

    async def claim(self, post_ids: Sequence[str], claim_id: str, **_: Any) -> list[Claim]:
        claims = []
        for post_id in post_ids:
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.hgetall(f"like:delta:{post_id}")
                pipeline.delete(f"like:delta:{post_id}")
                fields, _ = await pipeline.execute()
            claims.append(Claim(post_id, claim_id, {user: state == "1" for user, state in fields.items()}))
        self._cast.die_maybe("sync after claim")
        return claims


class DoesNotWaitForTheDisk(FragileSyncStore):
    """Broken on purpose: writes to the database what Redis may still forget."""

    async def keeps_a_log(self) -> bool:
        return False


SYNCS = {"sound": FragileSyncStore, "takes": TakesWithoutClaiming, "hasty": DoesNotWaitForTheDisk}


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


async def api(cast: Cast, worker: int, users: range, at_once: int) -> None:
    """Toggle likes of some users until told to stop, and check every answer against the oracle."""
    board = cast.board
    async with _opened(cast, connections=at_once + 2) as (database, redis):
        likes = FragileStore(redis, cast)
        service = LikeService(database, likes, UserNumbers(database), SystemClock())
        users_now = [users[start::at_once] for start in range(at_once)]
        everything = list(board.of_users(users))
        while not board.stopped:
            generation = await _quiet(board, worker)
            board.doubt_what_is_lost(worker, generation, everything)
            doubtful = iter([place for place in everything if board.cells[place[0]] & DOUBT])
            settling = (_settle_all(cast, service, likes, doubtful, generation) for _ in range(at_once))
            if all(await asyncio.gather(*settling)):
                acting = (_toggle_on(cast, service, likes, mine, worker, generation) for mine in users_now)
                await asyncio.gather(*acting)


async def _settle_all(
    cast: Cast, service: LikeService, likes: LikeStore, places: Iterator[tuple[int, int, int]], generation: int
) -> bool:
    for cell, post, user in places:
        if not await _settle(cast, service, likes, cell, post, user, generation):
            return False
    return True


async def _toggle_on(
    cast: Cast, service: LikeService, likes: LikeStore, users: range, worker: int, generation: int
) -> None:
    board = cast.board
    while not board.stopped and board.generation == generation:
        user, post = random.choice(users), random.randrange(board.posts)
        if random.random() < 0.2:
            post = 0  # one hot post
        cell = board.cell(post, user)
        known = board.cells[cell]
        wanted = None if random.random() < 0.8 else random.random() < 0.5
        who = Principal(cast.user_ids[user], "USER", cast.user_ids[user], user + 1)
        board.cells[cell] = known | DOUBT
        try:
            if wanted is None:
                liked = await service.toggle(cast.post_ids[post], who)
            else:
                liked = await service.set(cast.post_ids[post], who, wanted=wanted)
        except DOWN:
            if not await _settle(cast, service, likes, cell, post, user, generation):
                return
            continue
        if board.generation != generation:
            return  # in doubt, and settled when all is well again
        if liked.is_liked != (wanted if wanted is not None else not known):
            board.violated()
            sys.stderr.write(f"post {post} user {user}: {known} and {wanted} gave {liked}\n")
        board.changed[cell] = time.time()
        board.cells[cell] = int(liked.is_liked)
        board.toggled(worker)


async def _settle(
    cast: Cast, service: LikeService, likes: LikeStore, cell: int, post: int, user: int, generation: int
) -> bool:
    """Find out what became of a like in doubt. Returns False when the world changed meanwhile."""
    post_id, user_id = cast.post_ids[post], cast.user_ids[user]
    while not cast.board.stopped:
        if cast.board.generation != generation:
            return False
        try:
            state = await likes.liked(post_id, user_id, user + 1)
            if state is None:
                # What a client does that got no answer: say what is wanted, which may be repeated.
                who = Principal(user_id, "USER", user_id, user + 1)
                state = (await service.set(post_id, who, wanted=random.random() < 0.5)).is_liked
        except DOWN:
            await asyncio.sleep(0.02)
            continue
        if cast.board.generation != generation:
            return False
        cast.board.changed[cell] = time.time()
        cast.board.cells[cell] = int(state)
        return True
    return False


async def _quiet(board: Board, worker: int) -> int:
    """Wait while Redis is away, and return the generation in which to act."""
    while (generation := board.generation) % 2 and not board.stopped:
        board.idle(worker, generation)
        await asyncio.sleep(0.005)
    return generation


async def sync(cast: Cast, kind: str) -> None:
    """Write back again and again."""
    async with _opened(cast, connections=4) as (database, redis):
        if cast.risk:
            listen = event.listen
            listen(database.engine, "after_cursor_execute", lambda *_: cast.die_maybe("sync in transaction"))
            listen(database.engine, "commit", lambda *_: cast.die_maybe("sync before commit"))
        likes = SYNCS[kind](redis, cast)
        while not cast.board.stopped:
            runner = write_back.LikeSync(database, likes, SystemClock(), batch_size=random.choice((1, 3, 20)))
            try:
                report = await runner.run()
                if not report.ran:
                    await asyncio.sleep(0.01)
            except DOWN:
                await asyncio.sleep(0.02)


async def sync_to_the_end(cast: Cast, kind: str) -> None:
    """Write back until nothing is pending."""
    async with _opened(cast, connections=4) as (database, redis):
        runner = write_back.LikeSync(database, SYNCS[kind](redis, cast), SystemClock())
        while (report := await runner.run()).remaining_posts or not report.ran:
            pass


@contextlib.asynccontextmanager
async def _opened(cast: Cast, connections: int) -> AsyncIterator[tuple[Database, Any]]:
    database = Database(cast.mysql_url, Limits(connections=2))
    redis = open_redis(cast.redis_url, seconds=5.0, connections=connections)
    try:
        for _ in range(3):  # what a dead predecessor had sent is done before this is answered
            with contextlib.suppress(*OUTAGE):
                await redis.ping()
        yield database, redis
    finally:
        database.close()
        await redis.aclose()
