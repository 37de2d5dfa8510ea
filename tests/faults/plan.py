"""How much of what happens where, and when."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .points import (
    ANYWHERE,
    API_ANYWHERE,
    API_POINTS,
    FLUSHED,
    FROZEN,
    KEYS_DELETED,
    KILLED,
    MYSQLD_KILLED,
    POWER_LOST,
    PROCESS_EFFECTS,
    PROMOTED,
    REDIS_KILLED,
    REFUSALS,
    SILENCES,
    SYNC_ANYWHERE,
    SYNC_POINTS,
    Order,
)

STEPS: Final = (*API_POINTS, *SYNC_POINTS)


@dataclass(frozen=True)
class Plan:
    """The run ends when all of it is done, or the time is over."""

    seconds: float
    toggles: int
    kills: int  # of each process anywhere, of a process at each point, and of each server: half of those at points
    power: int
    flush: int
    delete: int
    freeze: int
    silence: int = 0  # of each server's network
    refuse: int = 0  # in each way
    promote: int = 0
    longest_silence: float = 15.0  # seconds
    replica_ms: int = 0  # for which each like waits for a replica before it is answered
    processes: int = 3
    rivals: int = 2
    posts: int = 32
    users: int = 240
    kind: str = "sound"
    seed: int = 1
    steps: tuple[str, ...] = STEPS

    @property
    def slots(self) -> int:
        return self.processes + self.rivals

    def users_of(self, slot: int) -> range:
        share = self.users // self.processes
        return range(slot * share, (slot + 1) * share)

    def orders(self) -> Iterator[tuple[Order, int]]:
        """Yield what is to happen how often."""
        for anywhere in (API_ANYWHERE, SYNC_ANYWHERE):
            yield Order(KILLED, anywhere), self.kills
            yield Order(FROZEN, anywhere), self.freeze // 4
        for point in self.steps:
            yield Order(KILLED, point), self.kills
        servers = {REDIS_KILLED: self.kills, MYSQLD_KILLED: self.kills, POWER_LOST: self.power, FLUSHED: self.flush}
        servers |= {PROMOTED: self.promote, **dict.fromkeys(SILENCES, self.silence)}
        servers |= dict.fromkeys(REFUSALS, self.refuse)
        for effect, count in servers.items():
            yield Order(effect, ANYWHERE), math.ceil(count / 2)
        yield Order(KEYS_DELETED, ANYWHERE), self.delete
        rng, steps = random.Random(self.seed), list(self.steps)
        for effect, count in {**servers, KEYS_DELETED: self.delete, FROZEN: self.freeze}.items():
            for number, point in enumerate(rng.sample(steps, len(steps))):
                yield Order(effect, point), len(range(number, count // 2, len(steps)))


@dataclass
class Schedule:
    """Spreads what is to happen over the run: by toggles, or by time where that is ahead."""

    plan: Plan
    rng: random.Random
    done: Counter[Order] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._wanted = {order: count for order, count in self.plan.orders() if count}
        self._phases = {order: self.rng.random() for order in self._wanted}

    def lag(self, pace: float, on_the_way: Counter[Order]) -> dict[Order, float]:
        """Return what should have happened when `pace` (0-1) of the run is over, and how much of all of it is missing (0-1)."""
        due = {order: min(wanted, int(wanted * pace + self._phases[order])) for order, wanted in self._wanted.items()}
        missing = {order: count - self.done[order] - on_the_way[order] for order, count in due.items()}
        return {order: count / self._wanted[order] for order, count in missing.items() if count > 0}

    def left(self) -> int:
        """Return how much has not happened yet."""
        return sum(max(0, wanted - self.done[order]) for order, wanted in self._wanted.items())

    def totals(self) -> dict[str, int]:
        """Return how often each kind of thing happened."""
        counts: Counter[str] = Counter()
        for order, count in self.done.items():
            role = f"{order.role} " if order.effect in PROCESS_EFFECTS else ""
            counts[role + order.effect] += count
        return dict(sorted(counts.items()))

    def steps(self) -> dict[str, dict[str, int]]:
        """Return how often each thing happened at each step."""
        return {
            point: {order.effect: self.done[order] for order in self._wanted if order.point == point}
            for point in dict.fromkeys(order.point for order in self._wanted)
        }
