"""What the harness knows, in memory that outlives every process it kills: the oracle, and what each process is told to do.

Every field has one writer at a time, so nothing is ever lost to two processes adding at once.
"""

from __future__ import annotations

import math
import mmap
import time
from collections.abc import Iterator, Sequence
from typing import Final

# What may take answered likes from Redis, the worse the later.
CAUSES: Final = ("redis killed", "redis promoted", "redis power lost", "redis flushed")
# Bits of a cell. FLYING: a request was on its way when somebody died, so either answer may be true. LOSABLE times 1 to 4:
# answered, but the first to fourth of CAUSES may have taken it since.
ON, FLYING, LOSABLE = 1, 2, 4
_CAUSE: Final = 7 * LOSABLE
IN_DOUBT: Final = FLYING | _CAUSE
_NUMBERS: Final = 64


class Board:
    """One cell for each post and user, written by the process that acts for the user; a slot for each process."""

    def __init__(self, posts: int, users: int, slots: int) -> None:
        self.posts, self.users, self.slots = posts, users, slots
        cells = posts * users
        self._memory = memoryview(mmap.mmap(-1, 8 * (_NUMBERS + 22 * slots + cells) + 2 * cells))
        self._taken = 0
        self._shared = self._numbers(_NUMBERS)
        # By slot, written by its process:
        self.toggles, self.checks, self.runs = (self._numbers(slots) for _ in range(3))
        self.violations, self.differences = self._numbers(slots), self._numbers(slots)
        self.idle, self.marked, self.settled = (self._numbers(slots) for _ in range(3))
        self._losses, self._suspects = (self._numbers(slots * len(CAUSES)) for _ in range(2))
        # Seconds before the death of a primary at which the oldest of the likes was answered that a
        # promotion took.
        self._oldest, self._killed = self._numbers(slots, "d"), self._numbers(slots, "d")
        # By slot, written by the director: what to do at which point. The process moves it to its wish when it gets there.
        self.arms, self.wishes = self._numbers(slots), self._numbers(slots)
        self.losable_by, self.losable_since = self._numbers(slots), self._numbers(slots, "d")
        self.changed = self._numbers(cells, "d")
        self.cells, self.lost = (self._memory[self._taken + part * cells :][:cells] for part in (0, 1))
        for slot in range(slots):
            self.losable_since[slot] = math.inf

    def _numbers(self, count: int, code: str = "q") -> memoryview:
        part = self._memory[self._taken :][: 8 * count]
        self._taken += 8 * count
        return part.cast(code)  # type: ignore[call-overload,no-any-return]

    def toggled(self) -> int:
        """Return how many requests were answered and recorded."""
        return sum(self.toggles)

    def cell(self, post: int, user: int) -> int:
        return post * self.users + user

    def of_users(self, users: range) -> Iterator[tuple[int, int, int]]:
        """Yield cell, post and user of all cells of some users."""
        for post in range(self.posts):
            for user in users:
                yield self.cell(post, user), post, user

    @property
    def generation(self) -> int:
        """Even: all is well. Odd: Redis is gone or about to lose something, so nobody acts."""
        return int(self._shared[0])

    @property
    def stopped(self) -> bool:
        return bool(self._shared[1])

    @stopped.setter
    def stopped(self, value: bool) -> None:
        self._shared[1] = value

    def halt(self, cause: str = CAUSES[0], since: float = math.inf, killed: float = 0.0) -> None:
        """Begin an odd generation. What was answered from `since` on may be lost by `cause`.

        `killed` is when the primary died of a replica that kept up.
        """
        for slot in range(self.slots):
            # A process that was dead or frozen all the while has not marked what the loss before may have taken.
            behind = self.marked[slot] < self.generation
            self.losable_since[slot] = min(since, self.losable_since[slot]) if behind else since
            self._killed[slot] = 0.0 if behind else killed
            worst = CAUSES.index(cause) if since < math.inf else 0
            self.losable_by[slot] = max(worst, self.losable_by[slot] if behind else 0)
        self._shared[0] += 1

    def go_on(self) -> None:
        """Begin an even generation."""
        self._shared[0] += 1

    def mark_what_may_be_lost(self, slot: int, generation: int, mine: Sequence[tuple[int, int, int]]) -> None:
        """Once a generation, put in doubt whatever of the process's the last loss may have taken."""
        if self.marked[slot] == generation:
            return
        since, cause = self.losable_since[slot], self.losable_by[slot]
        for cell, _, _ in mine:
            if self.lost[cell]:
                self._suspect(slot, cell, CAUSES.index("redis flushed"))
                self.lost[cell] = 0
            elif self.changed[cell] >= since:
                self._suspect(slot, cell, cause)
        self.marked[slot] = generation

    def _suspect(self, slot: int, cell: int, cause: int) -> None:
        state = self.cells[cell]
        self._suspects[slot * len(CAUSES) + cause] += 1
        self.cells[cell] = state & (ON | FLYING) | max(state & _CAUSE, LOSABLE * (cause + 1))

    def settle(self, slot: int, cell: int, state: bool) -> None:
        """What was in doubt is known again; count it when an answer did not survive."""
        known = self.cells[cell]
        if not known & FLYING and bool(known & ON) != state:
            cause = known // LOSABLE - 1
            self._losses[slot * len(CAUSES) + cause] += 1
            if self._killed[slot] and self.changed[cell] >= self.losable_since[slot]:
                self._oldest[slot] = max(self._oldest[slot], self._killed[slot] - self.changed[cell])
        self.changed[cell] = time.time()
        self.cells[cell] = int(state)

    def losses(self) -> dict[str, int]:
        """Return how many answered likes did not survive, by what took them."""
        return self._by_cause(self._losses)

    def suspects(self) -> dict[str, int]:
        """Return how many answered likes each cause may have taken: those whose loss is no fault."""
        return self._by_cause(self._suspects)

    def oldest_lost_ms(self) -> float:
        """Return how long before the death of a primary whose replica kept up the oldest like was answered that is lost."""
        return round(max(self._oldest) * 1e3, 1)

    @staticmethod
    def _by_cause(counts: memoryview) -> dict[str, int]:
        return {cause: sum(counts[number :: len(CAUSES)]) for number, cause in enumerate(CAUSES)}
