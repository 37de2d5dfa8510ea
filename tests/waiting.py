"""How tests wait: for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(
    probe: Callable[[], Value],
    seconds: float = 20,
    what: str = "",
    *,
    pause: float = 0.05,
    errors: tuple[type[Exception], ...] = (),
) -> Value:
    """Return the first truthy answer of `probe`; `errors` of it count as none.

    Raises AssertionError with `what`, and with what was seen last, when none comes within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        last: object
        try:
            if found := probe():
                return found
            last = found
        except errors as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or probe}. Last: {last!r}")
        time.sleep(pause)
