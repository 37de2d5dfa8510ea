"""Work of many callers: asked for together (Coalescer), shared (SingleFlight), ended (`ended`)."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextvars import Context
from itertools import chain
from typing import Final, Generic, TypeVar

from bapsang_api.kit.problem import Unavailable

K = TypeVar("K")
V = TypeVar("V")

_MOST: Final = 200  # keys a look-up
_LANES: Final = 2  # look-ups at once: one that is slow does not hold up all others
# A look-up has its price whatever it is for. Waiting this long for company makes it a hundred a second at most, and nobody
# notices; what nobody waits for yet may wait longer.
_GATHER_SECONDS: Final = 0.01
_LATER_SECONDS: Final = 0.1


class Coalescer(Generic[K, V]):
    """Looks keys up with `load`, which answers for many at once and leaves out what there is not.

    A key is asked for once, however many wait for it. At most `queue` keys may wait; one more is Unavailable.
    """

    def __init__(self, load: Callable[[Collection[K]], Awaitable[Mapping[K, V]]], *, queue: int = 5_000) -> None:
        self._load, self._queue = load, queue
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def get(self, key: K) -> V | None:
        """Return what is found for the key from now on, None where there is nothing. Raises what `load` raises, and Unavailable.

        A look-up that is under way already is not waited for: it may have missed what has just changed.
        """
        # A future of its own for each: whoever goes away must not cancel what others wait for.
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._ask(key, _GATHER_SECONDS).append(future)
        return await future

    def prefetch(self, key: K) -> None:
        """Have the key looked up before long. Whatever fails is for those who get it to find out."""
        if len(self._waiting) < self._queue:
            self._ask(key, _LATER_SECONDS)

    def _ask(self, key: K, seconds: float) -> list[asyncio.Future[V | None]]:
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= self._queue:
                raise Unavailable
            waiting = self._waiting[key] = []
        self._start_within(seconds)
        return waiting

    def _start_within(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        # In a context of its own: it works for many callers and must not act as one of them.
        self._timer = loop.call_later(seconds, self._start, context=Context())

    def _start(self) -> None:
        self._timer = None
        while self._waiting and len(self._running) < _LANES:
            asked = {key: self._waiting.pop(key) for key in list(self._waiting)[:_MOST]}
            task = asyncio.get_running_loop().create_task(self._answer(asked))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._waiting:
            self._start_within(_GATHER_SECONDS)

    async def _answer(self, asked: dict[K, list[asyncio.Future[V | None]]]) -> None:
        try:
            found = await self._load(asked)
        except BaseException as error:
            for future in _left(chain.from_iterable(asked.values())):
                future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for key, waiting in asked.items():
            for future in _left(waiting):
                future.set_result(found.get(key))


def _left(futures: Iterable[asyncio.Future[V | None]]) -> Iterable[asyncio.Future[V | None]]:
    """Return those that somebody still waits for."""
    return (future for future in futures if not future.done())


class SingleFlight:
    """Runs `work` once per key at a time."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Wait until the work for `key` is done; errors reach every waiter.

        The task is shielded: a caller that goes away must not cancel the work of the others.
        """
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(self._call(work))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        await asyncio.shield(task)

    async def close(self) -> None:
        """End what is running: nobody waits for it any more."""
        await ended(self._running.values())

    @staticmethod
    async def _call(work: Callable[[], Awaitable[None]]) -> None:
        await work()


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until they have ended: on Python 3.11 `asyncio.wait_for` inside a library can lose a cancellation."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)
