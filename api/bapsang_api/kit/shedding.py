"""Load shedding: a process that has as much to do as it can answer in time refuses the rest at once.

A queue without end makes everybody wait longer than they will; the time spent on answers that nobody waits for any more
is then missing for those that somebody does.
"""

from enum import StrEnum
from typing import Final

from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import Unavailable

# A write holds a connection and locks for longer than a read, and a login costs 65 ms of CPU.
_READS_PER_WRITE: Final = 2


class Kind(StrEnum):
    """What has a budget of its own: no flood of logins or posts can keep anybody from reading."""

    READ = "read"
    WRITE = "write"


class Shedder:
    """Counts the requests that are being worked on; at most `most` reads, and half as many of everything else."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._free = {Kind.READ: most, Kind.WRITE: max(1, most // _READS_PER_WRITE)}
        self._metrics = metrics

    def enter(self, kind: Kind) -> None:
        """Count a request in. Raises Unavailable when the budget of its kind is used up."""
        if not self._free[kind]:
            self._metrics.shed.labels(kind).inc()
            raise Unavailable
        self._free[kind] -= 1

    def leave(self, kind: Kind) -> None:
        self._free[kind] += 1
