"""How far a long run is: a bar on a terminal, a log line every few seconds elsewhere."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

log = logging.getLogger(__name__)

_BAR_SECONDS: Final = 0.2
_LOG_SECONDS: Final = 10.0
_WIDTH: Final = 30


class Progress:
    """Counts rows towards `total`."""

    def __init__(
        self,
        total: int,
        *,
        job: str = "seed",
        out: TextIO = sys.stderr,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """`job`: what a line of the log says it is of."""
        self._job = job
        self._total, self._out, self._timer = max(1, total), out, timer
        self._bar = out.isatty()
        self._started = self._shown = timer()
        self.done = 0

    @property
    def seconds(self) -> float:
        return self._timer() - self._started

    @property
    def rate(self) -> float:
        """Rows a second so far."""
        return self.done / max(self.seconds, 1e-9)

    def add(self, rows: int) -> None:
        self.done += rows
        now = self._timer()
        if now - self._shown < (_BAR_SECONDS if self._bar else _LOG_SECONDS):
            return
        self._shown = now
        left = max(0.0, (self._total - self.done) / max(self.rate, 1e-9))
        if self._bar:
            self._draw(f"about {_clock(left)} left")
        else:
            extra = {
                "job": self._job,
                "rows": self.done,
                "total": self._total,
                "rows_per_second": round(self.rate),
                "eta": _clock(left),
            }
            log.info("job.progress", extra=extra)

    def end(self) -> None:
        if self._bar:
            self._draw(f"in {_clock(self.seconds)}")
            self._out.write("\n")

    def _draw(self, time_text: str) -> None:
        share = min(1.0, self.done / self._total)
        bar = ("█" * int(share * _WIDTH)).ljust(_WIDTH, "·")
        self._out.write(f"\r{bar} {share:4.0%}  {self.done:,} rows  {self.rate:,.0f}/s  {time_text}\x1b[K")
        self._out.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
