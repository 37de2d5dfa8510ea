"""What the harness knows, in memory that outlives every process it kills: the oracle, and who died where."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Final

# States of a cell. In doubt: a request was on its way when somebody died, so either answer may be true.
OFF, ON, DOUBT = 0, 1, 2
POINTS: Final = (
    *(
        "api killed",
        "sync killed",
        "redis killed",
        "mysqld killed",
        "redis power lost",
        "keys deleted",
        "redis flushed",
    ),
    *("api before redis", "api after redis", "api in load"),
    *("sync before dirty", "sync before claim", "sync after claim", "sync in transaction", "sync before commit"),
    *("sync after commit", "sync before ack", "sync after ack"),
)
_COUNTERS: Final = 64
_VIOLATIONS: Final = 60


class Board:
    """One cell for each post and user. Each cell has one writer: the process that acts for its user."""

    def __init__(self, posts: int, users: int) -> None:
        self.posts, self.users = posts, users
        cells = posts * users
        self._memory = mmap.mmap(-1, 8 * _COUNTERS * 2 + 10 * cells + 64)
        view = memoryview(self._memory)
        self.counters = view[: 8 * _COUNTERS].cast("q")
        # generation, then the moment from which on answers may be lost, then: stop, violations
        self.state = view[8 * _COUNTERS : 16 * _COUNTERS].cast("d")
        start = 16 * _COUNTERS
        self.changed = view[start : start + 8 * cells].cast("d")
        self.cells = view[start + 8 * cells : start + 9 * cells]
        self.lost = view[start + 9 * cells : start + 10 * cells]

    def cell(self, post: int, user: int) -> int:
        return post * self.users + user

    def count(self, point: str) -> None:
        self.counters[POINTS.index(point)] += 1

    def counts(self) -> dict[str, int]:
        return {point: self.counters[number] for number, point in enumerate(POINTS)}

    def of_users(self, users: range) -> Iterator[tuple[int, int, int]]:
        """Yield cell, post and user of all cells of some users."""
        for post in range(self.posts):
            for user in users:
                yield self.cell(post, user), post, user

    @property
    def generation(self) -> int:
        """Even: all is well. Odd: Redis is gone or about to lose something, so nobody acts."""
        return int(self.state[0])

    @generation.setter
    def generation(self, value: int) -> None:
        self.state[0] = value

    @property
    def doubted_since(self) -> float:
        return self.state[1]

    @doubted_since.setter
    def doubted_since(self, value: float) -> None:
        self.state[1] = value

    @property
    def stopped(self) -> bool:
        return self.state[2] != 0

    def stop(self) -> None:
        self.state[2] = 1

    @property
    def violations(self) -> int:
        return self.counters[_VIOLATIONS]

    def violated(self) -> None:
        self.counters[_VIOLATIONS] += 1

    def toggles_of(self, worker: int) -> int:
        return self.counters[32 + worker]

    def toggled(self, worker: int) -> None:
        self.counters[32 + worker] += 1

    def doubt_what_is_lost(self, worker: int, generation: int, mine: list[tuple[int, int, int]]) -> None:
        """Once a generation, put in doubt whatever of the worker's the last loss may have taken."""
        if self.state[32 + worker] == generation:
            return
        for cell, _, _ in mine:
            if self.lost[cell] or self.changed[cell] >= self.doubted_since:
                self.cells[cell] |= DOUBT
                self.lost[cell] = 0
        self.state[32 + worker] = generation

    def idle(self, worker: int, generation: int) -> None:
        """Note that a worker has nothing under way since this generation began."""
        self.state[16 + worker] = generation

    def all_idle(self, workers: int) -> bool:
        return all(self.state[16 + worker] == self.generation for worker in range(workers))
