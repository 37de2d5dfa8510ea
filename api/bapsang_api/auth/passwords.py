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

# What hashing takes of one processor for long, and the CPU seconds that it takes at once after a pause: some six logins a second
# of a process. A priority alone keeps other threads of the process from waiting, but not its database, its Redis and its
# neighbours, which share the processors by groups: a flood that hashed all the time made read p99 6.7 times as long.
SHARE: Final = 0.2
BURST: Final = 0.1

T = TypeVar("T")


class Budget:
    """CPU seconds that jobs may take: `share` of a processor for long, and `burst` at once after a pause."""

    def __init__(self, share: float, burst: float) -> None:
        self._share, self._burst = share, burst
        self._left, self._at = burst, time.monotonic()
        self._lock = threading.Lock()

    def run(self, job: Callable[[], T]) -> T:
        """Return what `job` returns. Waits before until what others took of the budget is earned again, at most a job's time / share."""
        time.sleep(self._owed() / self._share)
        begun = time.thread_time()
        try:
            return job()
        finally:
            with self._lock:
                self._left -= time.thread_time() - begun

    def _owed(self) -> float:
        with self._lock:
            now = time.monotonic()
            self._left = min(self._burst, self._left + (now - self._at) * self._share)
            self._at = now
            return max(0.0, -self._left)


class Passwords:
    """Hashes and checks passwords on a thread that takes what processor others leave, and SHARE of one at most; at most `queue`
    callers wait, the next gets Unavailable.
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
