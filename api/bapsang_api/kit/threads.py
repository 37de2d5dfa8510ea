"""A thread pool with an end: a fixed number of threads, a bounded queue, and a deadline."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bapsang_api.kit.problem import Unavailable

T = TypeVar("T")


class BoundedPool:
    """Runs blocking jobs on `threads` threads; at most `queue` more may wait.

    Beyond that callers get `Unavailable` at once: a queue without end would only turn overload into time-outs for all.
    """

    def __init__(self, name: str, *, threads: int, queue: int, seconds: float) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._slots = threading.BoundedSemaphore(threads + queue)
        self._seconds = seconds

    async def run(self, job: Callable[[], T]) -> T:
        """Return what `job` returns. Raises Unavailable when the queue is full or `seconds` have passed.

        A job that has not started by then never will; one that is running goes on, so its own driver needs a time-out.
        """
        if not self._slots.acquire(blocking=False):
            raise Unavailable
        future = self._threads.submit(job)
        future.add_done_callback(lambda _: self._slots.release())
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise Unavailable from error

    def close(self) -> None:
        """Drop what waits and let running jobs end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
