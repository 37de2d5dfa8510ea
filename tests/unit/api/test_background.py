"""Background tasks: one that fails is started again, is seen from outside, and in the end takes the process with it."""

import asyncio
import logging
import math
from collections.abc import Callable

import httpx
import pytest
from prometheus_client import CollectorRegistry

from bapsang_api.admin import create_admin_app
from bapsang_api.kit import background
from bapsang_api.kit.background import MOST_FAILURES, Background, repeating
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.budget import Budget
from bapsang_api.kit.redis.client import EMBEDDED, open_redis
from bapsang_api.kit.redis.pipeline import Pipeline
from bapsang_api.lifecycle import Lifecycle
from bapsang_api.likes.store import LikeStore
from bapsang_api.upkeep.store import RecountStore


class Process:
    """What `runtime` makes of background tasks and probes, with pauses of no length until a test says so."""

    def __init__(self, *, first_pause: float = 0.0) -> None:
        self.lifecycle, self.metrics = Lifecycle(), Metrics()
        self.background = Background(self.metrics, self.lifecycle.give_up, first_pause=first_pause)
        self.lifecycle.require(lambda: self.background.complete)
        self.lifecycle.start()
        redis = open_redis(EMBEDDED)
        likes = LikeStore(redis, Pipeline(redis))
        clock = SystemClock()
        admin = create_admin_app(
            self.lifecycle, self.metrics, likes, RecountStore(redis, clock), Budget(redis), clock, _no_mail
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(admin), base_url="http://testserver")

    async def status(self, path: str) -> int:
        return (await self.http.get(path)).status_code

    def value(self, name: str, task: str) -> float | None:
        registry: CollectorRegistry = self.metrics.registry
        return registry.get_sample_value(name, {"task": task})


async def _no_mail() -> float:
    return math.nan


class Task:
    """Work that fails so often, then runs for ever."""

    def __init__(self, failures: int, *, ends: bool = False) -> None:
        self.started, self._failures, self._ends = 0, failures, ends

    async def run(self) -> None:
        self.started += 1
        if self.started <= self._failures:
            raise ValueError("a bug")
        if not self._ends:
            await asyncio.Event().wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the tasks tell nobody when they are started
            await asyncio.sleep(0)


async def test_a_task_that_fails_is_started_again_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    process, task = Process(), Task(failures=3)
    process.background.start("revocations", task.run, needed=True)
    await until(lambda: task.started == 4)
    assert process.value("bapsang_task_failures_total", "revocations") == 3
    assert process.value("bapsang_task_running", "revocations") == 1
    failed = [record for record in caplog.records if record.message == "task.failed"]
    assert [record.__dict__["failures"] for record in failed] == [1, 2, 3]
    assert all(record.exc_info and record.levelno == logging.ERROR for record in failed)
    await process.background.close()
    assert process.value("bapsang_task_running", "revocations") == 0


@pytest.mark.parametrize(("needed", "ready"), [(True, 503), (False, 200)])
async def test_only_a_needed_task_makes_the_process_unready_while_it_does_not_run(needed: bool, ready: int) -> None:
    process, task = Process(first_pause=60), Task(failures=1)
    assert await process.status("/readyz") == 200
    process.background.start("task", task.run, needed=needed)
    await until(lambda: process.value("bapsang_task_failures_total", "task") == 1)
    assert await process.status("/readyz") == ready
    assert await process.status("/livez") == 200
    await process.background.close()


async def test_a_needed_task_that_runs_again_makes_the_process_ready_again() -> None:
    process, task = Process(), Task(failures=2)
    process.background.start("task", task.run, needed=True)
    await until(lambda: task.started == 3)
    assert await process.status("/readyz") == 200
    await process.background.close()


@pytest.mark.parametrize(("needed", "alive"), [(True, 503), (False, 200)])
async def test_a_process_whose_needed_task_never_runs_is_given_up(needed: bool, alive: int) -> None:
    process, task = Process(), Task(failures=1_000_000)
    process.background.start("task", task.run, needed=needed)
    await until(lambda: task.started == MOST_FAILURES)
    assert await process.status("/livez") == alive
    await process.background.close()


async def test_a_task_that_should_run_for_ever_and_returns_has_failed() -> None:
    process, endless, short = Process(first_pause=60), Task(failures=0, ends=True), Task(failures=0, ends=True)
    process.background.start("endless", endless.run)
    process.background.start("short", short.run, ends=True)
    await until(lambda: process.value("bapsang_task_failures_total", "endless") == 1)
    assert process.value("bapsang_task_failures_total", "short") == 0
    await process.background.close()


def test_pauses_double_up_to_half_a_minute() -> None:
    pauses = [background.pause_after(failures, 0.5) for failures in range(1, MOST_FAILURES + 1)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


async def test_a_run_that_is_refused_holds_none_of_the_others_up() -> None:
    done = asyncio.Event()

    async def refused() -> None:
        raise Unavailable

    async def fine() -> None:
        done.set()

    chores = asyncio.create_task(repeating(0, refused, fine))
    try:
        await asyncio.wait_for(done.wait(), 5)
    finally:
        chores.cancel()
