"""The tasks that a process runs beside its requests. One that ends by an error is started again.

Nobody awaits such a task, so without this its end would be silent: limits would no longer be settled, revocations no
longer be read, and every probe would answer OK.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from bapsang_api.kit.concurrency import ended
from bapsang_api.kit.logs import describe
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import Unavailable

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.5  # seconds, doubled with each failure in a row
LONGEST_PAUSE: Final = 30.0
HEALTHY_SECONDS: Final = 60.0  # a task that ran this long has recovered: its failures count from one again
# Failures in a row of a task that readiness depends on, after which the process is given up: two and a half minutes.
MOST_FAILURES: Final = 10
Work = Callable[[], Coroutine[Any, Any, None]]


class EndedError(Exception):
    """A task that should run for ever returned."""


class Background:
    """Starts the tasks, and starts one again, after a pause, that has failed.

    `give_up` is called when a task that readiness depends on fails again and again: the process is of no use then, and
    a new one may do better.
    """

    def __init__(self, metrics: Metrics, give_up: Callable[[], None], *, first_pause: float = FIRST_PAUSE) -> None:
        self._metrics, self._give_up, self._first_pause = metrics, give_up, first_pause
        self._tasks: list[asyncio.Task[None]] = []
        self._missing: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether every task that readiness depends on is running."""
        return not self._missing

    def start(self, name: str, work: Work, *, ends: bool = False, needed: bool = False) -> None:
        """Run `work` until `close`. `ends`: it may return, and is done then. `needed`: readiness depends on it."""
        self._tasks.append(asyncio.create_task(self._supervise(name, work, ends=ends, needed=needed), name=name))

    async def close(self) -> None:
        await ended(self._tasks)

    async def _supervise(self, name: str, work: Work, *, ends: bool, needed: bool) -> None:
        running, failed = self._metrics.task_running.labels(name), self._metrics.task_failures.labels(name)
        failures = 0
        while True:
            began = time.monotonic()
            self._missing.discard(name)
            running.set(1)
            try:
                await work()
                if ends:
                    return
                raise EndedError(name)
            except Exception:
                failures = 1 if time.monotonic() - began >= HEALTHY_SECONDS else failures + 1
                pause = pause_after(failures, self._first_pause)
                log.exception("task.failed", extra={"task": name, "failures": failures, "again_in": pause})
            finally:
                running.set(0)
            failed.inc()
            if needed:
                self._missing.add(name)
                if failures == MOST_FAILURES:
                    self._give_up()
            await asyncio.sleep(pause)


async def repeating(seconds: float, *runs: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Do these runs one after the other, for ever, with a pause before each round.

    A run that a dependency refuses is logged, holds none of the others up, and is made up for in the next round.
    """
    while True:
        await asyncio.sleep(seconds)
        for run in runs:
            try:
                await run()
            except Unavailable as error:
                log.warning("chores.delayed", extra={"error": describe(error.__cause__ or error)})


def pause_after(failures: int, first: float = FIRST_PAUSE) -> float:
    """Return the seconds until a task is started again that has failed so often in a row."""
    return min(LONGEST_PAUSE, math.ldexp(first, min(failures - 1, 16)))
