"""The processes: real `bapsang-api media` and `bapsang-api serve`, each behind a wire of its own, killed where it says."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Final

from .nursery import LEASE_SECONDS, Nursery
from .points import CHILD_KILLED, FROZEN, KILLED, Order, Schedule
from .wire import AFTER, BEFORE, CutError, Told, Wire

#: A process that does not come by its point in this time is given another order.
_ARMED_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.02
_CHILD_SECONDS: Final = 3.0
_DECODING_SECONDS: Final = 0.15


class Process:
    """One of the processes, which is started again whenever it has died."""

    def __init__(
        self,
        role: str,
        nursery: Nursery,
        arguments: Sequence[str],
        folder: Path,
        schedule: Schedule,
        rng: random.Random,
    ) -> None:
        self.role, self.wire = role, Wire(self._begin)
        self.environment: dict[str, str] = {}
        self.pid: int | None = None
        self.unexpected: list[str] = []  # how it ended without being killed
        self._nursery, self._arguments, self._schedule, self._rng = nursery, arguments, schedule, rng
        self._log = folder / f"{id(self)}.log"
        self._order: Order | None = None
        self._until = 0.0
        self._frozen = False
        self._number: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, environment: Mapping[str, str], mysql: tuple[str, int], s3: tuple[str, int]) -> None:
        """Lay its wires; `environment` is its own but for what they change."""
        database = f"mysql+pymysql://root:@127.0.0.1:{await self.wire.to_mysql(*mysql)}/bapsang?ssl_disabled=true"
        endpoint = f"http://127.0.0.1:{await self.wire.to_s3(*s3)}"
        self.environment = {**environment, "BAPSANG_DATABASE_URL": database, "BAPSANG_S3_ENDPOINT": endpoint}

    def tend(self) -> None:
        """Start it if it is dead, and give it an order if it has none."""
        if self.pid is not None and _is_dead(self.pid):
            self.unexpected.append(
                f"{self.role} ended with {self._nursery.bury(self.pid)}: {self._log.read_text()[-2000:]}"
            )
            self.pid = None
        if self.pid is None:
            self.pid = self._nursery.start(self._arguments, self.environment, self._log)
            self._order, self._number = None, Counter()
        if self._frozen or (self._order is not None and time.monotonic() < self._until):
            return
        self._order, self._until = self._schedule.choose(self.role), time.monotonic() + _ARMED_SECONDS
        if self._order is not None and not self._order.point.step:
            self._later(self._strike_later(self.pid, self._order))

    def calm(self) -> None:
        """Have no more orders."""
        self._order = None

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.wire.close()
        if self.pid is not None:
            self._kill(self.pid)

    def _begin(self) -> Told:
        return functools.partial(self._told, self.pid)

    async def _told(self, pid: int | None, step: str, moment: str) -> None:
        if pid != self.pid or pid is None:
            raise CutError
        if moment == BEFORE:
            self._number[step] += 1
        if (step, moment) == ("claim", AFTER):
            self._number.clear()
        order = self._order
        if order is None:
            return
        if order.fits(step, moment, self._number[step]):
            await self._strike(pid, order)
        elif order.point.step == "decode" and (step, moment) == ("get originals", AFTER):
            self._order = None
            self._later(self._strike_while_decoding(pid, order))

    async def _strike(self, pid: int, order: Order) -> None:
        self._order = None
        self._schedule.note(order)
        if order.effect == KILLED:
            self._kill(pid)
            raise CutError
        assert order.effect == FROZEN
        self._frozen = True
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(LEASE_SECONDS + self._rng.random())
        finally:
            self._frozen = False
            os.kill(pid, signal.SIGCONT)

    async def _strike_later(self, pid: int, order: Order) -> None:
        await asyncio.sleep(self._rng.random() * _ARMED_SECONDS)
        if pid == self.pid and self._order is order:
            with contextlib.suppress(CutError):
                await self._strike(pid, order)

    async def _strike_while_decoding(self, pid: int, order: Order) -> None:
        deadline = time.monotonic() + _CHILD_SECONDS
        while not (children := _children(pid)) and pid == self.pid and time.monotonic() < deadline:  # noqa: ASYNC110 - of another
            await asyncio.sleep(_LOOK_SECONDS / 4)
        await asyncio.sleep(self._rng.random() * _DECODING_SECONDS)
        children = [child for child in children if child in _children(pid)]
        if not children or pid != self.pid:
            return
        self._schedule.note(order)
        if order.effect == CHILD_KILLED:
            os.kill(children[0], signal.SIGKILL)
        else:
            self._kill(pid)

    def _kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self._nursery.bury(pid)
        self.pid = None

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


async def tending(processes: Sequence[Process]) -> None:
    """Tend all of them until cancelled."""
    while True:
        for process in processes:
            process.tend()
        await asyncio.sleep(_LOOK_SECONDS)
