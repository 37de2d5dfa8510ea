"""Redis commands of concurrent requests, sent together.

What is asked for in one turn of the event loop, and what comes while an answer is under way, goes out in one write. A
command then costs a fraction of one sent alone, and few connections suffice. Only for short commands that all requests
need: one that blocks Redis or the connection holds up the others.
"""

import asyncio
import logging
import time
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final

import redis.exceptions
from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.commands.core import AsyncScript

from bapsang_api.kit.redis import OUTAGE

log = logging.getLogger(__name__)

_LANES: Final = 2  # connections
_MOST: Final = 500  # commands an exchange
_IDLE_SECONDS: Final = 1.0  # after which a connection is looked at before it is used: the other end may have closed it


class Pipeline:
    """Exchanges commands with the server of `redis`, each within `seconds`; at most `queue` may wait.

    When an exchange fails, all that waits fails with it, and for `seconds` every command fails at once: requests would
    otherwise wait, one after the other, for a Redis that does not answer. Then one exchange tries again.
    """

    def __init__(self, redis: Redis, *, seconds: float = 1.0, queue: int = 10_000) -> None:
        self._redis, self._seconds, self._queue = redis, seconds, queue
        self._waiting: list[_Asked] = []
        self._idle = [_Lane(redis) for _ in range(_LANES)]
        self._tasks: set[asyncio.Task[None]] = set()
        self._wakes = False
        self._closed_until = 0.0
        self._failing = False

    async def run(self, *command: Any) -> Any:
        """Return the answer to a command. Raises Redis errors."""
        future = asyncio.get_running_loop().create_future()
        self._put(_Asked(command, future))
        return await future

    async def call(self, script: AsyncScript, *keys_and_arguments: Any, keys: int) -> Any:
        """Return what a script returns; the first `keys` of what follows it are its keys. Raises Redis errors."""
        future = asyncio.get_running_loop().create_future()
        self._put(_Asked(("EVALSHA", script.sha, keys, *keys_and_arguments), future, script))
        return await future

    def post(self, script: AsyncScript, *keys_and_arguments: Any, keys: int) -> None:
        """Like call, for what nobody waits for. Raises Redis errors when it cannot even be sent."""
        self._put(_Asked(("EVALSHA", script.sha, keys, *keys_and_arguments), None, script))

    def close(self) -> None:
        """Refuse what waits. The connections are closed with `redis`, which has them in its pool."""
        for task in self._tasks:
            task.cancel()
        self._failing = True  # on purpose, so nothing to tell of
        self._fail(redis.exceptions.ConnectionError("closed"))

    def _put(self, asked: "_Asked") -> None:
        if self._closed_until and time.monotonic() < self._closed_until:
            raise redis.exceptions.ConnectionError("Redis did not answer a moment ago")
        if len(self._waiting) >= self._queue:
            raise redis.exceptions.ConnectionError("too many commands wait for Redis")
        self._waiting.append(asked)
        if self._idle and not self._wakes:
            self._wakes = True
            asyncio.get_running_loop().call_soon(self._start, context=Context())

    def _start(self) -> None:
        self._wakes = False
        while self._waiting and self._idle:
            asked, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            task = asyncio.get_running_loop().create_task(self._exchange(self._idle.pop(), asked))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _exchange(self, lane: "_Lane", asked: list["_Asked"]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                unknown = await lane.exchange(asked)
            self._closed_until, self._failing = 0.0, False
            self._waiting += unknown
        except (TimeoutError, *OUTAGE) as error:
            outage = error if isinstance(error, OUTAGE) else redis.exceptions.TimeoutError("Redis did not answer")
            _refuse(asked, outage)
            self._fail(outage)
        except BaseException as error:
            _refuse(asked, error)
            raise
        finally:
            self._idle.append(lane)
            self._start()

    def _fail(self, error: Exception) -> None:
        if not self._failing:  # once per outage
            log.warning("redis.down", extra={"error": type(error).__name__})
        self._failing, self._closed_until = True, time.monotonic() + self._seconds
        waiting, self._waiting = self._waiting, []
        _refuse(waiting, error)


@dataclass(slots=True)
class _Asked:
    """A command, who waits for its answer, and the script that it calls."""

    command: tuple[Any, ...]
    future: asyncio.Future[Any] | None
    script: AsyncScript | None = None

    def answer(self, answer: Any) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_result(answer)

    def refuse(self, error: BaseException) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_exception(error)

    def in_full(self) -> "_Asked":
        """Return the same call with the script's text, which Redis then knows."""
        assert self.script is not None  # noqa: S101 - only calls of scripts are answered NOSCRIPT
        return _Asked(("EVAL", self.script.script, *self.command[2:]), self.future)


class _Lane:
    """One connection, used by one exchange at a time."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._connection: AbstractConnection | None = None
        self._used = 0.0

    async def exchange(self, asked: list[_Asked]) -> list[_Asked]:
        """Send the commands and hand out the answers as they come.

        Returns those that have to be sent once more, because Redis does not know their script: it has done nothing for
        them. Raises Redis errors, when the connection is of no use.
        """
        connection, unknown = await self._connected(), []
        try:
            # By the parser's own library: the client's packing is Python, and costs as much as the rest of a command.
            packed = b"".join(pack_command(one.command) for one in asked)
            await connection.send_packed_command(packed, check_health=False)
            for one in asked:
                try:
                    one.answer(await connection.read_response())
                except redis.exceptions.NoScriptError:
                    unknown.append(one.in_full())
                except redis.exceptions.ResponseError as error:
                    one.refuse(error)
        except BaseException:
            # Answers of these commands may still come: they must not be taken for those of others.
            await connection.disconnect(nowait=True)
            raise
        self._used = time.monotonic()
        return unknown

    async def _connected(self) -> AbstractConnection:
        if self._connection is None:
            self._connection = await self._redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            # The exchange has one time-out for all; one around each answer would cost as much as the answer.
            self._connection.socket_timeout = None
        elif time.monotonic() - self._used > _IDLE_SECONDS and await _is_stale(self._connection):
            await self._connection.disconnect(nowait=True)
        if not self._connection.is_connected:
            await self._connection.connect()
        return self._connection


async def _is_stale(connection: AbstractConnection) -> bool:
    try:
        return await connection.can_read()
    except OUTAGE:
        return True


def _refuse(asked: list[_Asked], error: BaseException) -> None:
    for one in asked:
        one.refuse(error)
