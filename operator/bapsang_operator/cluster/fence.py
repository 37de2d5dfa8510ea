"""The fence in front of every write: open up to a moment that the lease moves on, shut from then on.

A process that was paused wakes up without knowing it, while another one has taken over. So the clock is asked again at
the very last moment, when the bytes of a request are about to be handed to the socket.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Final

import aiohttp

#: Seconds since boot; goes on while the process, or the whole machine, is suspended (where the system can tell).
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class FencedError(Exception):
    """A write that was held back, because this process may no longer be the one that writes."""


def clock() -> float:
    """Return the seconds since boot, pauses included."""
    return time.clock_gettime(_CLOCK)


class Fence:
    """Holds back writes outside of the time in which this process is known to be the only writer."""

    def __init__(self, now: Callable[[], float] = clock) -> None:
        self._now = now
        self._until = float("-inf")
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_open(self) -> bool:
        """Whether a write may leave now."""
        return self._now() < self._until

    def open_until(self, moment: float) -> None:
        """Let writes through up to a moment of `clock`."""
        self._until = moment

    def close(self) -> None:
        """Hold back every write from now on."""
        self._until = float("-inf")

    def check(self) -> None:
        """Raise FencedError unless a write may leave now."""
        if not self.is_open:
            raise FencedError("held back: this process does not hold the lease")

    @contextmanager
    def write(self) -> Iterator[None]:
        """Surround one write, so that `idle` can wait for its answer. Raises FencedError."""
        self.check()
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until no write is under way."""
        await self._idle.wait()


def trace() -> aiohttp.TraceConfig:
    """Return hooks for the session that writes: they check, just before the bytes leave, the fence that a request was
    given as its `trace_request_ctx`. aiohttp sends headers together with the first piece of the body."""
    config = aiohttp.TraceConfig()

    async def leaving(
        _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestChunkSentParams
    ) -> None:
        if context.trace_request_ctx is not None:
            context.trace_request_ctx.check()

    config.on_request_chunk_sent.append(leaving)
    return config
