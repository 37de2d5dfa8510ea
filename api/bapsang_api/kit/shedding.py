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
# Four times the service level of reads: whoever comes now would be answered too late.
LATE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.1


class Kind(StrEnum):
    """What has a budget of its own: no flood of logins or posts can keep anybody from reading."""

    READ = "read"
    WRITE = "write"


class Shedder:
    """Counts the requests that are being worked on; at most `most` reads, and half as many of everything else."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._free = {Kind.READ: most, Kind.WRITE: max(1, most // _READS_PER_WRITE)}
        self._metrics = metrics
        self._late = self._was_late = False

    async def follow(self) -> None:
        """Measure for ever how late the event loop is; cancelled when the process ends."""
        while True:
            due = time.monotonic() + _LOOK_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
            self.note_delay(time.monotonic() - due)

    def note_delay(self, seconds: float) -> None:
        """Take note of how long what is ready to run waits for its turn. Nothing counts the requests that wait there.

        Twice in a row is overload; once, a stall that is over by now.
        """
        was_late, self._was_late = self._was_late, seconds > LATE_SECONDS
        self._late = was_late and self._was_late

    def enter(self, kind: Kind) -> None:
        """Count a request in. Raises Unavailable when the budget of its kind is used up, or the process far behind."""
        if self._late or not self._free[kind]:
            self._metrics.shed.labels(kind).inc()
            raise Unavailable
        self._free[kind] -= 1

    def leave(self, kind: Kind) -> None:
        self._free[kind] += 1
