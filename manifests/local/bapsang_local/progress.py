"""What the user sees while long work goes on: a line when a step starts to matter, a line when it is done, a sign of life between."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEARTBEAT_SECONDS = 20.0

_running: dict[str, float] = {}
_lock = threading.Lock()
_started = time.monotonic()
_heart: threading.Thread | None = None


def say(text: str) -> None:
    """Print one line with the time since the start of the command."""
    elapsed = int(time.monotonic() - _started)
    with _lock:
        print(f"{elapsed // 60:3d}:{elapsed % 60:02d}  {text}", flush=True)


@contextmanager
def step(name: str, *, quiet_below: float = 0.0) -> Iterator[None]:
    """Show `name` as running and then as done with its seconds. Steps shorter than `quiet_below` seconds print nothing."""
    _beat()
    begin = time.monotonic()
    with _lock:
        _running[name] = begin
    try:
        yield
    except BaseException:
        with _lock:
            _running.pop(name, None)
        raise
    with _lock:
        _running.pop(name, None)
    seconds = time.monotonic() - begin
    if seconds >= quiet_below:
        say(f"✓ {name} ({_span(seconds)})")


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def _beat() -> None:
    global _heart
    if _heart is None:
        _heart = threading.Thread(target=_heartbeat, daemon=True)
        _heart.start()


def _heartbeat() -> None:
    while True:
        time.sleep(HEARTBEAT_SECONDS)
        now = time.monotonic()
        with _lock:
            long = [
                f"{name} ({_span(now - begin)})"
                for name, begin in _running.items()
                if now - begin > HEARTBEAT_SECONDS / 2
            ]
        if long:
            say("… " + ", ".join(long))
            sys.stdout.flush()
