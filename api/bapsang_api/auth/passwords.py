"""Password hashing: argon2id in a pool of its own, so that a flood of logins can never starve reads."""

from functools import partial

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from bapsang_api.kit.threads import BoundedPool

# 19 MiB, two passes, one lane: the OWASP minimum, about 65 ms of CPU on a small core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Passwords:
    """Hashes and checks passwords on a thread that takes what processor others leave; at most `queue` callers wait, the next
    gets Unavailable.
    """

    def __init__(self, *, threads: int = 1, queue: int = 8) -> None:
        # With two threads and a niceness of 5 logins took a third of the processor from readers, who then waited for seconds.
        self._pool = BoundedPool("argon2", threads=threads, queue=queue, queue_seconds=5, seconds=10, niceness=19)
        # Checked against when there is no such user, so that both refusals take the same time.
        self._nobody = _HASHER.hash("no such user")

    def require_room(self) -> None:
        """Raise Unavailable when as many wait as may: before the database is asked for nothing."""
        self._pool.require_room()

    async def hash(self, password: str) -> str:
        return await self._pool.run(partial(_HASHER.hash, password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether `password` matches; with no hash the same work is done and the answer is False."""
        matches = await self._pool.run(partial(_matches, password_hash or self._nobody, password))
        return matches and password_hash is not None

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
