"""Redis commands of concurrent requests, sent together.

What is asked for in one turn of the event loop, and what comes while an answer is under way, goes out in one write. A
command then costs a fraction of one sent alone, and one connection suffices. Only for short commands that all requests
need: one that blocks Redis or the connection holds up the others.

The client's library connects and signs in; from then on bytes go from the socket to the parser, and answers from there to
who waits for them: no stream, task or time-out of its own for each exchange, which cost more than the rest of it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final

import redis.exceptions
from hiredis import Reader, pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.commands.core import AsyncScript

from bapsang_api.kit.concurrency import ended
from bapsang_api.kit.redis.replica import after_replica

log = logging.getLogger(__name__)

_MOST: Final = 500  # commands an exchange
_NOTHING_YET: Final = object()


class Pipeline:
    """Exchanges commands with the server of `redis`, each within `seconds`; at most `queue` may wait.

    When an exchange fails, all that waits fails with it, and for `seconds` every command fails at once: requests would
    otherwise wait, one after the other, for a Redis that does not answer. Then one exchange tries again.

    With `replica_ms`, below `seconds`, what is `replicated` fails unless a replica has it by then; it may have happened.
    """

    def __init__(self, redis: Redis, *, seconds: float = 1.0, queue: int = 10_000, replica_ms: int = 0) -> None:
        self._redis, self._seconds, self._queue, self._replica_ms = redis, seconds, queue, replica_ms
        self._connection: AbstractConnection | None = None
        self._link: _Link | _EmbeddedLink | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: list[_Asked] = []
        self._sent: list[_Asked] = []
        self._began = 0.0  # of the exchange under way
        self._watch: asyncio.TimerHandle | None = None
        self._busy = False
        self._closed_until = 0.0
        self._failing = False

    async def run(self, *command: Any) -> Any:
        """Return the answer to a command. Raises Redis errors."""
        future = asyncio.get_running_loop().create_future()
        self._put(_Asked(command, future))
        return await future

    async def call(self, script: AsyncScript, *keys_and_arguments: Any, keys: int, replicated: bool = False) -> Any:
        """Return what a script returns; the first `keys` of what follows it are its keys. Raises Redis errors."""
        future = asyncio.get_running_loop().create_future()
        held = replicated and self._replica_ms > 0
        self._put(_Asked(("EVALSHA", script.sha, keys, *keys_and_arguments), future, script, held=held))
        return await future

    def post(self, script: AsyncScript, *keys_and_arguments: Any, keys: int, done: Callable[[Any], None]) -> None:
        """Like call, for what nobody waits for: `done` receives the answer, if one comes. Raises Redis errors if it cannot be sent."""
        self._put(_Asked(("EVALSHA", script.sha, keys, *keys_and_arguments), None, script, done))

    async def close(self) -> None:
        """Refuse what waits. The connection is closed with `redis`, which has it in its pool."""
        self._failing = True  # on purpose, so nothing to tell of
        if self._connecting is not None:
            await ended([self._connecting])  # or it would connect once more after `redis` was closed
        self._fail(redis.exceptions.ConnectionError("closed"))
        if self._watch is not None:
            self._watch.cancel()

    def _put(self, asked: "_Asked") -> None:
        if self._closed_until and time.monotonic() < self._closed_until:
            raise redis.exceptions.ConnectionError("Redis did not answer a moment ago")
        if len(self._waiting) >= self._queue:
            raise redis.exceptions.ConnectionError("too many commands wait for Redis")
        self._waiting.append(asked)
        if not self._busy:
            self._busy = True
            # In a context of its own: it works for many callers and must not act as one of them.
            asyncio.get_running_loop().call_soon(self._send, context=Context())

    def _send(self) -> None:
        """Send what waits; the next goes out when that is answered."""
        if not self._waiting:
            self._busy = False
        elif self._link is None or self._link.closed:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        else:
            self._sent, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            if self._replica_ms and (held := [one for one in self._sent if one.held]):
                self._sent += [_Asked(*guard) for guard in after_replica(held, self._replica_ms)]
            self._began = time.monotonic()
            if self._watch is None:
                self._watch = asyncio.get_running_loop().call_later(self._seconds, self._look)
            self._link.send(self._sent)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                if self._connection is None:
                    self._connection = await self._redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
                else:
                    await self._connection.disconnect(nowait=True)
                    await self._connection.connect()  # type: ignore[no-untyped-call]
            self._link = _linked(self._connection, self._answered, self._fail)
        except TimeoutError:
            self._fail(redis.exceptions.TimeoutError("Redis did not answer"))
        except Exception as error:
            # Also what is no outage: nobody awaits this task, and without a pause each command would connect once more.
            self._fail(error)
        except BaseException as error:
            self._refuse_all(error)
            raise
        else:
            self._send()

    def _answered(self, unknown: list["_Asked"]) -> None:
        self._closed_until, self._failing = 0.0, False
        self._sent = []
        self._waiting += unknown
        self._send()

    def _look(self) -> None:
        """See to it that the exchange under way ends in time: one timer for all of them."""
        self._watch = None
        if not self._sent:
            return
        left = self._began + self._seconds - time.monotonic()
        if left <= 0:
            self._fail(redis.exceptions.TimeoutError("Redis did not answer"))
        else:
            self._watch = asyncio.get_running_loop().call_later(left, self._look)

    def _fail(self, error: Exception) -> None:
        if self._link is not None:
            # Answers of these commands may still come: they must not be taken for those of others.
            self._link.drop()
        if not self._failing:  # once per outage
            log.warning("redis.down", extra={"error": type(error).__name__})
        self._failing, self._closed_until = True, time.monotonic() + self._seconds
        self._refuse_all(error)

    def _refuse_all(self, error: BaseException) -> None:
        refused = self._sent + self._waiting
        self._sent, self._waiting, self._busy = [], [], False
        for one in refused:
            one.refuse(error)


@dataclass(slots=True)
class _Asked:
    """A command, who waits for its answer, and the script that it calls."""

    command: tuple[Any, ...]
    future: asyncio.Future[Any] | None
    script: AsyncScript | None = None
    done: Callable[[Any], None] | None = None
    held: bool = False  # until a replica has it
    answer: Any = None

    def take(self, answer: Any, unknown: list["_Asked"]) -> None:
        """Hand Redis's answer to who waits for it; a call of a script that Redis does not know joins `unknown` instead."""
        if isinstance(answer, redis.exceptions.NoScriptError):
            unknown.append(self.in_full())
        elif isinstance(answer, Exception):
            self.refuse(answer)
        elif self.held:
            self.answer = answer
        elif self.future is not None and not self.future.done():
            self.future.set_result(answer)
        elif self.done is not None:
            self.done(answer)

    def refuse(self, error: BaseException) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_exception(error)

    def release(self) -> None:
        if self.answer is not None and self.future is not None and not self.future.done():
            self.future.set_result(self.answer)

    def in_full(self) -> "_Asked":
        """Return the same call with the script's text, which Redis then knows."""
        assert self.script is not None  # noqa: S101 - only calls of scripts are answered NOSCRIPT
        return _Asked(("EVAL", self.script.script, *self.command[2:]), self.future, done=self.done, held=self.held)


_Answered = Callable[[list[_Asked]], None]  # told of those that have to be sent once more: Redis did nothing for them
_Lost = Callable[[Exception], None]


def _packed(asked: list[_Asked]) -> bytes:
    # By the parser's own library: the client's packing is Python, and costs as much as the rest of a command.
    return b"".join([pack_command(one.command) for one in asked])


def _linked(connection: AbstractConnection, answered: _Answered, lost: _Lost) -> "_Link | _EmbeddedLink":
    """Return what exchanges commands over a connection; `answered` is called after each exchange, `lost` after a failed one."""
    writer: object = connection._writer
    if isinstance(writer, asyncio.StreamWriter):
        return _Link(connection, writer.transport, answered, lost)
    return _EmbeddedLink(connection, answered, lost)


class _Link(asyncio.Protocol):
    """A connection to a server, one exchange at a time."""

    def __init__(
        self, connection: AbstractConnection, transport: asyncio.WriteTransport, answered: _Answered, lost: _Lost
    ) -> None:
        self._transport, self._answered, self._lost = transport, answered, lost
        parser = connection._parser
        self._reader = Reader(
            replyError=parser.parse_error,
            protocolError=redis.exceptions.InvalidResponse,
            encoding="utf-8",
            notEnoughData=_NOTHING_YET,
        )
        self._asked: list[_Asked] = []
        self._next = 0
        self._unknown: list[_Asked] = []
        self.closed = False
        # Whoever closes the connection by the client's library waits for this one to hear of it.
        self._client = transport.get_protocol()
        transport.set_protocol(self)

    def send(self, asked: list[_Asked]) -> None:
        self._asked, self._next, self._unknown = asked, 0, []
        self._transport.write(_packed(asked))

    def drop(self) -> None:
        self.closed = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not _NOTHING_YET:
            one = self._asked[self._next]
            self._next += 1
            if isinstance(answer, Exception) and not isinstance(answer, redis.exceptions.ResponseError):
                self._lost(answer)  # not of this command: Redis is loading, or lets nobody in
                return
            one.take(answer, self._unknown)
        if self._asked and self._next == len(self._asked):
            self._asked = []
            self._answered(self._unknown)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.connection_lost(error)
        if not self.closed:
            self.closed = True
            if self._asked:
                self._lost(redis.exceptions.ConnectionError(f"Redis closed the connection: {error or 'at its end'}"))


class _EmbeddedLink:
    """A connection to the Redis within this process."""

    closed = False

    def __init__(self, connection: AbstractConnection, answered: _Answered, lost: _Lost) -> None:
        self._connection, self._answered, self._lost = connection, answered, lost
        self._task: asyncio.Task[None] | None = None

    def send(self, asked: list[_Asked]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._exchange(asked))

    def drop(self) -> None:
        self.closed = True
        if self._task is not None:
            self._task.cancel()

    async def _exchange(self, asked: list[_Asked]) -> None:
        unknown: list[_Asked] = []
        try:
            await self._connection.send_packed_command(_packed(asked), check_health=False)
            for one in asked:
                try:
                    answer = await self._connection.read_response()
                except redis.exceptions.ResponseError as error:
                    answer = error
                one.take(answer, unknown)
        except Exception as error:  # nobody awaits this task: raised, it would be lost, and the callers left waiting
            self._lost(error)
        else:
            self._answered(unknown)
