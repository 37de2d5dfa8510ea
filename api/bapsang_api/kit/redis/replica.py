"""Answers held back until a replica of Redis has what they are the answers to: a promotion cannot take it then."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import redis.exceptions


class Held(Protocol):
    """A command whose answer is held back: `answer` is None until Redis has given it."""

    answer: Any

    def refuse(self, error: BaseException) -> None: ...

    def release(self) -> None:
        """Give the answer, if there is one, to who waits for it."""


Guard = tuple[tuple[Any, ...], asyncio.Future[Any]]


def after_replica(held: Sequence[Held], milliseconds: int) -> list[Guard]:
    """Return commands and who waits for them, to be sent after those: they release the answers once a replica has all that is
    written so far, and refuse them when none has it in time."""
    loop = asyncio.get_running_loop()
    fence, waited = loop.create_future(), loop.create_future()

    def end(_: asyncio.Future[Any]) -> None:
        error = fence.exception() or waited.exception()
        if error is None and waited.result() == 0:
            error = redis.exceptions.TimeoutError(f"no replica has it within {milliseconds} ms")
        for one in held:
            if error is None:
                one.release()
            else:
                one.refuse(error)

    waited.add_done_callback(end)
    # WAIT is for this connection's own writes, and a like that is there already may be another's.
    return [(("SET", "fence:replica", 1, "EX", 60), fence), (("WAIT", 1, milliseconds), waited)]
