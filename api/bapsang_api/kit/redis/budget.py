"""Every kind of key in Redis: what it holds, who makes it grow, how much of the memory it may take, and how much it takes.

A key of no kind is a bug: `tests/integration/api/test_redis_budget.py` runs the service with a user that may touch no other.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from bapsang_api.kit.redis.client import load_script

_PAGE: Final = 250  # keys a script call, each of which costs Redis some microseconds
_PAGES: Final = 32  # the latest of them are what is estimated from


@dataclass(frozen=True)
class Kind:
    """Keys with these exact names or prefixes.

    A unit is one key, or of named keys one entry: at most `unit_bytes`, for at most `seconds` (None: as long as there is
    something to hold). All together may take `share` of Redis's memory, in 0-1.
    """

    name: str
    holds: str
    grows: str
    unit_bytes: int
    share: float
    seconds: int | None = None
    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


KINDS: Final = (
    Kind(
        "likes",
        "the loaded likes of a post",
        "posts that are liked or read, by their likes; 7 days after the last write-back they go",
        300_000,  # one bit a user, of a million users and a half
        0.55,
        prefixes=("like:users:", "like:bits:", "like:size:"),
    ),
    Kind(
        "like_changes",
        "likes that are not yet in MySQL",
        "whoever likes: one entry for a post and a user, until the next write-back",
        300,
        0.12,
        names=("like:dirty",),
        prefixes=("like:delta:", "like:claim:"),
    ),
    Kind(
        "like_loads",
        "likes of a post while they are loaded",
        "loads under way, for seconds",
        300_000,
        0.05,
        seconds=6,
        prefixes=("like:hydrate:", "like:staged:"),
    ),
    Kind(
        "like_sync",
        "what write-backs tell each other",
        "nobody",
        300,
        0.001,
        names=("like:epoch", "like:skipped", "like:reconciled", "fence:replica"),
    ),
    Kind(
        "views",
        "views that are not yet in MySQL",
        "posts that are read: one entry each, until the next write-back",
        300,
        0.04,
        names=("view:pending", "view:claimed", "view:written"),
    ),
    Kind(
        "viewers",
        "who has seen a post within a minute",
        "whoever reads: by address 1,200 a minute at most",
        200,
        0.08,
        seconds=60,
        prefixes=("view:seen:",),
    ),
    Kind(
        "rate_limits",
        "until when an address, a user or an e-mail has paid",
        "addresses and users that send requests",
        200,
        0.05,
        seconds=3_602,
        prefixes=("rate:",),
    ),
    Kind(
        "idempotency",
        "what a request with an Idempotency-Key has made",
        "whoever sends one: 1,000 an hour each",
        512,
        0.08,
        seconds=3_600,
        prefixes=("idempotency:", "idempotency-kept:"),
    ),
    Kind(
        "revocations",
        "sessions that were ended within 30 minutes",
        "log-outs, one entry a session",
        300,
        0.029,
        names=("auth:revoked",),
    ),
)
OTHER: Final = "other"
_NAMES: Final = [(kind.name, name) for kind in KINDS for name in kind.names]
_PREFIXES: Final = [(kind.name, prefix) for kind in KINDS for prefix in kind.prefixes]


def kind_of(key: str) -> Kind | None:
    """Return the kind of a key, None for one of no kind."""
    for kind in KINDS:
        if key in kind.names or key.startswith(kind.prefixes or ("\0",)):
            return kind
    return None


@dataclass(frozen=True)
class Usage:
    """Bytes by kind, and of what has no kind by OTHER; `memory` is what Redis may use."""

    bytes: dict[str, float]
    memory: int

    @property
    def budgets(self) -> dict[str, float]:
        """Bytes that each kind may take."""
        return {kind.name: kind.share * self.memory for kind in KINDS}


@dataclass(frozen=True)
class _Page:
    keys: int
    bytes: list[int]  # by prefix, then of no prefix


class Budget:
    """Estimates what each kind takes, from some hundred keys each time: SCAN goes in the order of hashes, which is by chance.

    Named keys are measured each time, so that one large key is not missed.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = load_script(redis, __package__ or "", "usage")
        self._cursor, self._pages = "0", deque[_Page](maxlen=_PAGES)

    async def measure(self) -> Usage:
        """Raises Redis errors; also on the embedded one, which has no MEMORY USAGE."""
        prefixes = [prefix for _, prefix in _PREFIXES]
        answer = await self._script(keys=[name for _, name in _NAMES], args=[self._cursor, _PAGE, *prefixes])
        self._cursor, keys, *measured = answer
        self._pages.append(_Page(keys, measured[len(_NAMES) :]))
        total, server = await self._redis.dbsize(), await self._redis.info("memory")
        factor = total / max(1, sum(page.keys for page in self._pages))
        found = dict.fromkeys([kind.name for kind in KINDS] + [OTHER], 0.0)
        for (name, _), size in zip(_NAMES, measured, strict=False):
            found[name] += size
        for page in self._pages:
            for name, size in zip([name for name, _ in _PREFIXES] + [OTHER], page.bytes, strict=True):
                found[name] += factor * size
        return Usage(found, int(server["maxmemory"]) or int(server["total_system_memory"]))
