"""Password hashing: argon2id in a pool of its own, so that a flood of logins can never starve reads."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from bapsang_api.kit.threads import BoundedPool

# 19 MiB, two passes, one lane: the OWASP minimum, about 65 ms of CPU on a small core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# The part of the time in which a hash may be under way, and the seconds at once after a pause: nine logins a second of a process
# with a processor to spare. A hash has a low priority, so it takes the longer the more others have to do, and fewer are let in
# before answers to readers get slow. Counted in CPU seconds alone, a flood made read p99 ten times as long.
SHARE: Final = 0.2
BURST: Final = 0.1
# A hash counts as so many times its CPU seconds at most: four logins a second are let in however busy the processors are.
_MOST_STRETCHED: Final = 2

T = TypeVar("T")


class Budget:
    """Seconds that jobs may take, working or waiting for a processor: a `share` of the time for long, `burst` at once after a pause."""

    def __init__(self, share: float, burst: float) -> None:
        self._share, self._burst = share, burst
        self._left, self._at = burst, time.monotonic()
        self._lock = threading.Lock()

    def run(self, job: Callable[[], T]) -> T:
        """Return what `job` returns. Waits before until what others took of the budget is earned again, at most a job's time / share."""
        time.sleep(self._owed() / self._share)
        begun, worked = time.monotonic(), time.thread_time()
        try:
            return job()
        finally:
            taken = min(time.monotonic() - begun, _MOST_STRETCHED * (time.thread_time() - worked))
            with self._lock:
                self._left -= taken

    def _owed(self) -> float:
        with self._lock:
            now = time.monotonic()
            self._left = min(self._burst, self._left + (now - self._at) * self._share)
            self._at = now
            return max(0.0, -self._left)


class Passwords:
    """Hashes and checks passwords on a thread that takes what processor others leave, for SHARE of the time at most; at most
    `queue` callers wait, the next gets Unavailable.
    """

    def __init__(self, *, threads: int = 1, queue: int = 8) -> None:
        # With two threads and a niceness of 5 logins took a third of the processor from readers, who then waited for seconds.
        self._pool = BoundedPool("argon2", threads=threads, queue=queue, queue_seconds=5, seconds=10, niceness=19)
        self._budget = Budget(SHARE, BURST)
        # Checked against when there is no such user, so that both refusals take the same time.
        self._nobody = _HASHER.hash("no such user")

    def require_room(self) -> None:
        """Raise Unavailable when as many wait as may: before Redis and the database are asked for nothing."""
        self._pool.require_room()

    async def hash(self, password: str) -> str:
        return await self._run(partial(_HASHER.hash, password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether `password` matches; with no hash the same work is done and the answer is False."""
        matches = await self._run(partial(_matches, password_hash or self._nobody, password))
        return matches and password_hash is not None

    async def _run(self, job: Callable[[], T]) -> T:
        return await self._pool.run(partial(self._budget.run, job))

    @staticmethod
    def is_outdated(password_hash: str) -> bool:
        """Return whether the hash was made with other parameters than those of today."""
        return _HASHER.check_needs_rehash(password_hash)

    async def close(self) -> None:
        await self._pool.close()


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except VerifyMismatchError:
        return False
