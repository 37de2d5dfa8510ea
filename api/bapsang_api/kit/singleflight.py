"""One call for many waiters: concurrent callers with the same key share a single piece of work."""

import asyncio
from collections.abc import Awaitable, Callable


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

    @staticmethod
    async def _call(work: Callable[[], Awaitable[None]]) -> None:
        await work()
