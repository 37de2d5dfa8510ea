"""The workers: real `bapsang-api mail`, each behind a wire of its own, killed at a step of a letter."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.faults.photos.nursery import Nursery
from tests.faults.photos.wire import AFTER, BEFORE, HALF, CutError, Told, Wire

from .wire import CONTENT, carrying

#: A worker that does not come by its point in this time is given another.
_ARMED_SECONDS: Final = 3.0
#: For how long a new worker may send before it is given one, at most.
_CALM_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.02
Point = tuple[str, str]
#: The steps of a letter at which a worker dies.
POINTS: Final[Mapping[str, Point]] = {
    "before the claim is committed": ("mail claimed", BEFORE),
    "claimed": ("mail claimed", AFTER),
    "before the sender": ("mail", BEFORE),
    "before DATA": ("data", BEFORE),
    "before the content": (CONTENT, BEFORE),
    "within the content": (CONTENT, HALF),
    "answered, not heard": (CONTENT, AFTER),
    "answered, not committed": ("mail sent", BEFORE),
    "committed": ("mail sent", AFTER),
}
#: Where the server has the letter and the database does not say so: it is sent again, and nowhere else.
REPEATING: Final = frozenset({POINTS["answered, not heard"], POINTS["answered, not committed"]})


@dataclass
class Schedule:
    """How often a worker is still to die at each point, and how often one has."""

    left: Counter[str]
    rng: random.Random
    done: Counter[str]
    is_paused: bool = False

    @classmethod
    def of(cls, kills: int, rng: random.Random) -> Schedule:
        """Return one of so many kills, spread over all points."""
        names = [name for name, _ in zip(_endless(list(POINTS)), range(kills), strict=False)]
        return cls(Counter(names), rng, Counter())

    def choose(self) -> str | None:
        fit = {name: left for name, left in self.left.items() if left > 0}
        if self.is_paused or not fit:
            return None
        return self.rng.choices(list(fit), weights=list(fit.values()))[0]

    @property
    def open(self) -> int:
        return sum(left for left in self.left.values() if left > 0)


def _endless(names: Sequence[str]) -> Any:
    while True:
        yield from names


class Worker:
    """One of the workers, started again whenever it has died."""

    def __init__(self, nursery: Nursery, folder: Path, schedule: Schedule) -> None:
        self.pid: int | None = None
        self.sent: list[str] = []  # ids of the letters that the server has taken from it
        self.repeated: Counter[str] = Counter()  # ids of those that it died with before the commit
        self.unexpected: list[str] = []
        self._nursery, self._schedule, self._log = nursery, schedule, folder / f"{id(self)}.log"
        self._wire = Wire(self._begin)
        self._environment: dict[str, str] = {}
        self._order: str | None = None
        self._until = 0.0

    async def open(self, environment: Mapping[str, str], mysql: tuple[str, int], smtp_port: int) -> None:
        database = f"mysql+pymysql://root:@127.0.0.1:{await self._wire.to_mysql(*mysql)}/bapsang?ssl_disabled=true"
        smtp = await self._wire.listen(carrying(self.sent), "127.0.0.1", smtp_port)  # type: ignore[arg-type]
        url = f"smtp://127.0.0.1:{smtp}?tls=none"
        self._environment = {**environment, "BAPSANG_DATABASE_URL": database, "BAPSANG_SMTP_URL": url}

    def tend(self) -> None:
        """Start it if it is dead, and give it a point to die at if it has none."""
        if self.pid is not None and _is_dead(self.pid):
            self.unexpected.append(f"ended with {self._nursery.bury(self.pid)}: {self.log[-2000:]}")
            self.pid = None
        if self.pid is None:
            self.pid = self._nursery.start(["mail"], self._environment, self._log)
            self._order, self._until = None, time.monotonic() + self._schedule.rng.random() * _CALM_SECONDS
        if time.monotonic() > self._until:
            self._order, self._until = self._schedule.choose(), time.monotonic() + _ARMED_SECONDS

    async def close(self) -> None:
        await self._wire.close()
        if self.pid is not None:
            self._kill(self.pid)

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def _begin(self) -> Told:
        return functools.partial(self._told, self.pid)

    async def _told(self, pid: int | None, step: str, moment: str) -> None:
        if pid is None or pid != self.pid:
            raise CutError
        order = self._order
        if order is None or POINTS[order] != (step, moment) or self._schedule.is_paused:
            return
        self._order = None
        self._schedule.left[order] -= 1
        self._schedule.done[order] += 1
        if POINTS[order] in REPEATING:
            self.repeated[self.sent[-1]] += 1
        self._kill(pid)
        raise CutError

    def _kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self._nursery.bury(pid)
        self.pid = None


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


async def tending(workers: Sequence[Worker]) -> None:
    """Tend all of them until cancelled."""
    while True:
        for one in workers:
            one.tend()
        await asyncio.sleep(_LOOK_SECONDS)


@contextlib.asynccontextmanager
async def at_work(workers: Sequence[Worker]) -> Any:
    """Keep the workers at work; whatever fails in that ends the block."""
    task = asyncio.create_task(tending(workers))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        for one in workers:
            await one.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
