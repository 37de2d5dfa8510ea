"""A thread pool with an end: a fixed number of threads, a bounded queue, and a deadline."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from bapsang_api.kit.problem import Unavailable

T = TypeVar("T")


class BoundedPool:
    """Runs blocking jobs on `threads` threads; at most `queue` more may wait.

    Beyond that callers get `Unavailable` at once, and those who wait get it after `queue_seconds`: a queue without end
    would only turn overload into time-outs for all. With a `niceness` (0-19) the jobs leave the processor to others, as far
    as the system can tell threads apart.
    """

    def __init__(
        self, name: str, *, threads: int, queue: int, queue_seconds: float, seconds: float, niceness: int = 0
    ) -> None:
        self._executor = ThreadPoolExecutor(
            threads, thread_name_prefix=name, initializer=partial(_be_nice, niceness) if niceness else None
        )
        self._threads, self._most = threads, threads + queue
        self._queue_seconds, self._seconds = queue_seconds, seconds
        self._lock = threading.Lock()
        self._jobs = 0  # running and waiting
        self.refused = 0  # since the start, by a full queue or a deadline

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return max(0, self._jobs - self._threads)

    def require_room(self) -> None:
        """Raise Unavailable when the queue is full: before work that would be for nothing then."""
        if self._jobs >= self._most:
            self.refused += 1
            raise Unavailable

    async def run(self, job: Callable[[], T]) -> T:
        """Return what `job` returns. Raises Unavailable when the queue is full, when the job has not begun within
        `queue_seconds`, and when `seconds` have passed.

        A job that is given up before it has begun never will; a running one goes on, so its driver needs a time-out.
        """
        with self._lock:
            self.require_room()
            self._jobs += 1
        future = self._executor.submit(job)
        future.add_done_callback(self._leave)
        # Cancelling does nothing to a job that has begun.
        giving_up = asyncio.get_running_loop().call_later(self._queue_seconds, future.cancel)
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            self.refused += 1
            raise Unavailable from error
        except asyncio.CancelledError as error:
            caller = asyncio.current_task()
            if future.cancelled() and not (caller and caller.cancelling()):
                self.refused += 1
                raise Unavailable from error
            raise
        finally:
            giving_up.cancel()

    async def close(self) -> None:
        """Drop what waits, and wait for running jobs: what they use can be closed then."""
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)

    def _leave(self, _: object) -> None:
        with self._lock:
            self._jobs -= 1


def _be_nice(niceness: int) -> None:
    if sys.platform == "linux":  # elsewhere it would be the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
