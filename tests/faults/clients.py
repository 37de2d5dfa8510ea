"""Users of one API process: many requests at once, every answer compared with the oracle."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.kit.security.tokens import Principal
from bapsang_api.likes.service import LikeService
from bapsang_api.likes.store import LikeStore
from bapsang_api.posts.views import View

from .board import FLYING, IN_DOUBT, ON, Board

DOWN: Final = (Unavailable, *OUTAGE)
AT_ONCE: Final = 16
# Requests of one process on one post, so that not all of them wait for a load whose process died.
ON_A_POST, ON_THE_HOT_POST = 2, 6
HOT, HOT_SHARE = 0, 0.2
# A process may die with its commands in Redis's queue; each answered PING is a turn of Redis's loop.
PINGS: Final = 6


@dataclass(frozen=True)
class Cast:
    """Where the servers are, and who acts."""

    redis_url: str
    mysql_url: str
    post_ids: Sequence[str]
    user_ids: Sequence[str]
    board: Board
    kind: str  # of the store: "sound", or one that is broken on purpose
    replica_ms: int = 0  # for which a like waits for a replica before it is answered


class Clients:
    """Requests of some users, many at once, in one API process; every answer is compared with the oracle."""

    def __init__(self, cast: Cast, slot: int, users: range, service: LikeService, likes: LikeStore, redis: Any) -> None:
        self._cast, self._board, self._slot = cast, cast.board, slot
        self._service, self._likes, self._redis = service, likes, redis
        self._everything = list(self._board.of_users(users))
        self._shares = [share for start in range(AT_ONCE) if (share := users[start::AT_ONCE])]
        self._inside = [0] * self._board.posts
        self._queued, self._passing = True, asyncio.Lock()

    async def act(self) -> None:
        """Go on until told to stop."""
        while not self._board.stopped:
            generation = await self._quiet()
            # What is in doubt may take seconds to be known (its post has to be loaded); the rest goes on meanwhile.
            settling = self.settle_all(generation)
            await asyncio.gather(settling, *(self._use(share, generation) for share in self._shares))

    async def settle_all(self, generation: int) -> bool:
        """Find out what became of everything in doubt. Returns False when the world changed meanwhile."""
        board = self._board
        board.mark_what_may_be_lost(self._slot, generation, self._everything)
        doubtful = iter([place for place in self._everything if board.cells[place[0]] & IN_DOUBT])

        async def some() -> bool:
            for cell, post, user in doubtful:
                if not await self._settle(cell, post, user, generation):
                    return False
            return True

        done = all(await asyncio.gather(*(some() for _ in range(AT_ONCE))))
        if done:
            board.settled[self._slot] = generation
        return done

    async def _quiet(self) -> int:
        """Wait while Redis is away, and return the generation in which to act."""
        while (generation := self._board.generation) % 2 and not self._board.stopped:
            self._board.idle[self._slot] = generation
            await asyncio.sleep(0.003)
        return generation

    async def _use(self, users: range, generation: int) -> None:
        board = self._board
        while not board.stopped and board.generation == generation:
            user, post = random.choice(users), self._free_post()
            if post is None or board.cells[board.cell(post, user)] & IN_DOUBT:
                await asyncio.sleep(0.02)
                continue
            self._inside[post] += 1
            try:
                if not await self._click(board.cell(post, user), post, user, generation):
                    return
            finally:
                self._inside[post] -= 1

    def _free_post(self) -> int | None:
        if random.random() < HOT_SHARE and self._inside[HOT] < ON_THE_HOT_POST:
            return HOT
        for _ in range(8):
            post = random.randrange(self._board.posts)
            if self._inside[post] < ON_A_POST:
                return post
        return None

    async def _click(self, cell: int, post: int, user: int, generation: int) -> bool:
        """One request. Returns False when the world changed meanwhile."""
        board, known = self._board, self._board.cells[cell]
        dice = random.random()
        if dice < 0.05:
            return await self._look(cell, post, user, generation)
        wanted = None if dice < 0.8 else dice < 0.9
        board.cells[cell] = known | FLYING
        try:
            if wanted is None:
                liked = await self._service.toggle(self._cast.post_ids[post], self._principal(user))
            else:
                liked = await self._service.set(self._cast.post_ids[post], self._principal(user), wanted=wanted)
        except DOWN:
            self._queued = True
            return await self._settle(cell, post, user, generation)
        if board.generation != generation:
            return False  # in doubt, and settled when all is well again
        if liked.is_liked != (wanted if wanted is not None else not known):
            self._violated(f"post {post} user {user}: {known} and {wanted} gave {liked}")
        board.changed[cell] = time.time()
        board.cells[cell] = int(liked.is_liked)
        board.toggles[self._slot] += 1
        return True

    async def _shown(self, post_id: str, user_id: str, user: int) -> bool | None:
        return (await self._likes.read(post_id, user_id, user + 1, View.of(post_id, None))).is_liked

    async def _look(self, cell: int, post: int, user: int, generation: int) -> bool:
        try:
            state = await self._shown(self._cast.post_ids[post], self._cast.user_ids[user], user)
        except DOWN:
            return True
        if self._board.generation != generation:
            return False
        known = self._board.cells[cell]
        if state is not None and state != bool(known & ON):
            self._violated(f"post {post} user {user}: {known} was shown as {state}")
        self._board.checks[self._slot] += 1
        return True

    async def _settle(self, cell: int, post: int, user: int, generation: int) -> bool:
        """Find out what became of a like in doubt. Returns False when the world changed meanwhile."""
        board, post_id, user_id = self._board, self._cast.post_ids[post], self._cast.user_ids[user]
        while not board.stopped:
            if board.generation != generation:
                return False
            try:
                await self._pass_what_is_queued()
                state = await self._shown(post_id, user_id, user)
                if state is None:
                    # What a client does that got no answer: say what is wanted, which may be repeated.
                    board.cells[cell] |= FLYING
                    wanted = random.random() < 0.5
                    state = (await self._service.set(post_id, self._principal(user), wanted=wanted)).is_liked
                elif self._cast.replica_ms:
                    # What is only read may not have reached the replica; only an answer to a change says that.
                    state = (await self._service.set(post_id, self._principal(user), wanted=state)).is_liked
            except DOWN:
                await asyncio.sleep(0.3)
                continue
            if board.generation != generation:
                return False
            board.settle(self._slot, cell, state)
            return True
        return False

    async def _pass_what_is_queued(self) -> None:
        """Let Redis do what was sent before: by a predecessor that died, or on a connection that was given up."""
        async with self._passing:
            if not self._queued:
                return
            self._queued = False
            try:
                for _ in range(PINGS):
                    await self._redis.ping()
            except DOWN:
                self._queued = True
                raise

    def _principal(self, user: int) -> Principal:
        return Principal(self._cast.user_ids[user], "USER", self._cast.user_ids[user], user + 1)

    def _violated(self, words: str) -> None:
        self._board.violations[self._slot] += 1
        sys.stderr.write(f"{words}\n")
