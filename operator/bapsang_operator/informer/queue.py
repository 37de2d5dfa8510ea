"""The work queue: what is to be reconciled, each key once, never twice at a time, later and later while it fails."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Final, Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)

_log = logging.getLogger(__name__)

FIRST_DELAY = 0.2
LONGEST_DELAY = 60.0


def backoff(failures: int, jitter: float) -> float:
    """Return the seconds to wait after the given number of failures in a row; `jitter` in 0-1 takes off up to half, so
    that what failed together does not come back together."""
    delay: float = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(failures - 1, 20))
    return delay * (1 - jitter / 2)


class Patience:
    """Pauses in seconds between attempts, without an end. kopf gives up after the last one of a list and ends, and with
    it would end every replica at once, just because etcd had no leader for ten seconds. `/livez` reports a
    watch that stays away."""

    _FIRST: Final = (0.5, 1.0, 2.0)
    _LASTING: Final = 5.0

    def __iter__(self) -> Iterator[float]:
        """Yield growing pauses, then the same for ever."""
        return itertools.chain(self._FIRST, itertools.repeat(self._LASTING))


class WorkQueue(Generic[Item]):
    """Keys waiting for a worker. A key added while a worker has it is handed out again afterwards."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._waiting: OrderedDict[Item, float] = OrderedDict()
        self._active: dict[Item, float] = {}
        self._again: set[Item] = set()
        self._failures: dict[Item, int] = {}
        self._timers: dict[Item, asyncio.TimerHandle] = {}
        self._added = asyncio.Event()

    @property
    def depth(self) -> int:
        """Number of keys that wait."""
        return len(self._waiting)

    def oldest_active(self) -> float:
        """Return the seconds that the longest-running key has been worked on; 0 when none is."""
        now = asyncio.get_running_loop().time()
        return max((now - since for since in self._active.values()), default=0.0)

    def add(self, item: Item) -> None:
        """Ask for a key to be handled soon."""
        if item in self._active:
            self._again.add(item)
        elif item not in self._waiting:
            self._waiting[item] = asyncio.get_running_loop().time()
            self._added.set()

    def add_after(self, item: Item, seconds: float) -> None:
        """Ask for a key to be handled in a while; of two requests of this sort the sooner one stands."""
        if seconds <= 0:
            self.add(item)
            return
        loop = asyncio.get_running_loop()
        known = self._timers.get(item)
        if known is None or known.when() > loop.time() + seconds:
            if known is not None:
                known.cancel()
            self._timers[item] = loop.call_later(seconds, self._elapsed, item)

    def forget(self, item: Item) -> None:
        """Drop the memory of a key's failures."""
        self._failures.pop(item, None)

    async def work(self, handle: Callable[[Item], Awaitable[bool]]) -> None:
        """Handle keys for ever. `handle` returns False to see the key again after a growing delay; raising means that
        too, because a worker that ends takes the process, and every other key, with it."""
        while True:
            item = await self._next()
            try:
                succeeded = await handle(item)
            except Exception:
                _log.exception("handling a key raised", extra={"key": str(item)})
                succeeded = False
            finally:
                del self._active[item]
            self._settle(item, succeeded)

    async def _next(self) -> Item:
        while not self._waiting:
            self._added.clear()
            await self._added.wait()
        item, _ = self._waiting.popitem(last=False)
        self._active[item] = asyncio.get_running_loop().time()
        return item

    def _settle(self, item: Item, succeeded: bool) -> None:
        if succeeded:
            self._failures.pop(item, None)
        else:
            self._failures[item] = self._failures.get(item, 0) + 1
            self.add_after(item, backoff(self._failures[item], self._jitter()))
        if item in self._again:
            self._again.discard(item)
            self.add(item)

    def _elapsed(self, item: Item) -> None:
        del self._timers[item]
        self.add(item)
