"""Load shedding: a process that has as much to do as it can answer in time refuses the rest at once.

A queue without end makes everybody wait longer than they will; the time spent on answers that nobody waits for any more
is then missing for those that somebody does.
"""

import asyncio
import time
from enum import StrEnum
from typing import Final

from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import Unavailable

# A write holds a connection and locks for longer than a read, and a login costs 65 ms of CPU.
_READS_PER_WRITE: Final = 2
# Requests take a handful of turns of the event loop each: when turns take this long, answers take a second.
LATE_SECONDS: Final = 0.15
# Late this often in a row is overload; once or twice is a stall, such as a processor that others used.
_LOOKS: Final = 3
# Refusing helps only where there is a queue: with less than half of what may be worked on at once, something else keeps the
# process from its work.
_FEW: Final = 0.5
# What is refused grows fast, the faster the later it is, and falls slowly, so that the rate settles where the process keeps up.
_MORE, _LESS, _MOST_REFUSED = 0.1, 0.02, 0.95
_LOOK_SECONDS: Final = 0.1


class Kind(StrEnum):
    """What has a budget of its own: no flood of logins or posts can keep anybody from reading."""

    READ = "read"
    WRITE = "write"


class Shedder:
    """Counts the requests that are being worked on; at most `most` reads, and half as many of everything else.

    Of a process that falls behind all the same, a share of what comes is refused.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self.free = {Kind.READ: most, Kind.WRITE: max(1, most // _READS_PER_WRITE)}
        self._metrics = metrics
        self._few = sum(self.free.values()) - most * _FEW  # free, from which on few are in use
        self._late_looks = 0
        self.refused = 0.0  # share of what comes
        self._due = 0.0  # refusals, of which each whole one is carried out

    async def follow(self) -> None:
        """Measure for ever how late the event loop is; cancelled when the process ends."""
        while True:
            due = time.monotonic() + _LOOK_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
            self.note_delay(time.monotonic() - due)

    def note_delay(self, seconds: float) -> None:
        """Take note of how long what is ready to run waits for its turn. Nothing counts the requests that wait there."""
        self._late_looks = self._late_looks + 1 if seconds > LATE_SECONDS else 0
        if self._late_looks >= _LOOKS or (self._late_looks > 1 and seconds > _LOOKS * LATE_SECONDS):
            self.refused = min(_MOST_REFUSED, self.refused + _MORE * seconds / LATE_SECONDS)
        elif not self._late_looks:
            self.refused = max(0.0, self.refused - _LESS)

    def enter(self, kind: Kind) -> None:
        """Count a request in. Raises Unavailable when the budget of its kind is used up, or the process behind."""
        if self.refused or not self.free[kind]:
            self.check(kind)
        self.free[kind] -= 1

    def check(self, kind: Kind) -> None:
        """Raise Unavailable when a request of that kind is refused."""
        if not self.free[kind] or (self.refused and self._is_refused()):
            self._metrics.shed.labels(kind).inc()
            raise Unavailable

    def leave(self, kind: Kind) -> None:
        self.free[kind] += 1

    def _is_refused(self) -> bool:
        if sum(self.free.values()) > self._few:
            return False
        self._due += self.refused
        if self._due < 1:
            return False
        self._due -= 1
        return True
