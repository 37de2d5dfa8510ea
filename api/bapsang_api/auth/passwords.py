"""Password hashing: argon2id in a pool of its own, so that a flood of logins can never starve reads.

Passwords of an older server are still bcrypt's (`bapsang-api import`) until their users log in for the first time.
"""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

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

_ARGON2: Final = "$argon2"
_BCRYPT: Final = ("$2a$", "$2b$", "$2y$")

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
        # The same for where bcrypt hashes are left, made with the cost of the last one that was met: see `_of_nobody`.
        self._bcrypt_nobody: str | None = None
        self._secret = secrets.token_bytes(16)

    def require_room(self) -> None:
        """Raise Unavailable when as many wait as may: before Redis and the database are asked for nothing."""
        self._pool.require_room()

    async def hash(self, password: str) -> str:
        return await self._run(partial(_HASHER.hash, password))

    async def verify(self, password_hash: str | None, password: str, *, name: str = "") -> bool:
        """Return whether `password` matches; with no hash the same work is done and the answer is False.

        `name`: the e-mail that somebody gave, where it may be nobody's.
        """
        if password_hash is not None and password_hash.startswith(_BCRYPT):
            self._met(password_hash)
        checked = self._of_nobody(name) if password_hash is None else password_hash
        matches = await self._run(partial(_matches, checked, password))
        return matches and password_hash is not None

    def _met(self, bcrypt_hash: str) -> None:
        if self._bcrypt_nobody is None or self._bcrypt_nobody[4:6] != bcrypt_hash[4:6]:
            # A salt and a checksum that are nobody's; that it matches nothing takes as long to find out.
            self._bcrypt_nobody = f"$2b${bcrypt_hash[4:6]}$" + "." * 53

    def _of_nobody(self, name: str) -> str:
        """Return what is checked in place of a hash that is not there.

        A bcrypt hash takes another time than argon2's: if only accounts took it, the time would tell that there is one.
        So half of the names that are nobody's take it too, always the same ones.
        """
        if self._bcrypt_nobody is None:
            return self._nobody
        drawn = hashlib.blake2b(name.lower().encode("utf-8", "surrogatepass"), key=self._secret, digest_size=1).digest()
        return self._bcrypt_nobody if drawn[0] & 1 else self._nobody

    async def _run(self, job: Callable[[], T]) -> T:
        return await self._pool.run(partial(self._budget.run, job))

    @staticmethod
    def is_outdated(password_hash: str) -> bool:
        """Return whether the hash was made by another algorithm, or with other parameters, than those of today."""
        return not password_hash.startswith(_ARGON2) or _HASHER.check_needs_rehash(password_hash)

    async def close(self) -> None:
        await self._pool.close()


def bcrypt_cost(password_hash: str) -> int | None:
    """Return the cost of a bcrypt hash (2 to the power of it rounds), None for what is no such hash."""
    scheme, cost, rest = password_hash[:4], password_hash[4:6], password_hash[6:]
    if scheme not in _BCRYPT or len(password_hash) != 60 or not (cost.isascii() and cost.isdigit()) or rest[0] != "$":
        return None
    return int(cost) if 4 <= int(cost) <= 31 and password_hash.isascii() else None


def _matches(password_hash: str, password: str) -> bool:
    try:
        if password_hash.startswith(_BCRYPT):
            return bcrypt.checkpw(password.encode("utf-8", "surrogatepass"), password_hash.encode())
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError, ValueError):  # ValueError: longer than bcrypt takes, or no hash
        return False
