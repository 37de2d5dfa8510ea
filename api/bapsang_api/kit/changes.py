"""What has just been changed: noted by stores within a transaction, told to every process after its commit.

A note is the id of a row that others may have kept a copy of, or a word for a list. Telling is by Redis's publish, which
is quick but not certain: whoever keeps copies also asks the database twice a second what has changed, and loses only speed
by a message that never came.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final

from redis.asyncio import Redis
from sqlalchemy import Connection

from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.kit.redis.pipeline import Pipeline

log = logging.getLogger(__name__)

_CHANNEL: Final = "bapsang:changes"
_NOTES: Final = "changes"
_RETRY_SECONDS: Final = 1.0
Listener = Callable[[Collection[str]], None]


def note(connection: Connection, *names: str) -> None:
    """Note in a transaction what it changes."""
    connection.info.setdefault(_NOTES, set()).update(names)


def take_notes(connection: Connection) -> Collection[str]:
    """Return what was noted on a connection since this was called last."""
    notes: set[str] = connection.info.pop(_NOTES, set())
    return notes


class Changes:
    """Tells changes to the listeners of this process, and to those of all others."""

    def __init__(self, redis: Redis, pipeline: Pipeline) -> None:
        self._redis, self._pipeline = redis, pipeline
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def tell(self, names: Collection[str]) -> None:
        """Tell of a change that is committed. Never fails: what is written is written."""
        with after_commit("changes.not_heard"):
            self._hear(names)
        with after_commit("changes.untold"):
            # Answered once the message is on its way to every process, so before the writer hears of their success.
            await self._pipeline.run("PUBLISH", _CHANNEL, " ".join(names))

    async def follow(self) -> None:
        """Hear what others tell, for ever; cancelled when the process ends."""
        answering = True
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as messages:
                    await messages.subscribe(_CHANNEL)
                    answering = True
                    async for message in messages.listen():
                        self._hear(str(message["data"]).split())
            except OUTAGE as error:
                if answering:  # once per outage
                    log.warning("changes.unheard", extra={"error": type(error).__name__})
                answering = False
            await asyncio.sleep(_RETRY_SECONDS)

    def _hear(self, names: Collection[str]) -> None:
        for listener in self._listeners:
            listener(names)
