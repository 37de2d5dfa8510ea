"""The steps of a toggle, a load and a write-back at which something happens, and the fuses that make it happen there.

The program knows nothing of them: calls are wrapped on the objects that it is given.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pymysql.constants.COMMAND
from sqlalchemy import event

from bapsang_api.kit.db.database import Database

from .board import Board

API_CALLS: Final = ("set", "begin_load", "stage", "pending_users", "finish_load", "epoch")
SYNC_CALLS: Final = ("durability", "epoch", "dirty", "claim", "acknowledge")
IN_TRANSACTION, BEFORE_COMMIT, IN_COMMIT, AFTER_COMMIT = (
    *("sync in transaction", "sync before commit", "sync in commit", "sync after commit"),
)
ANYWHERE, API_ANYWHERE, SYNC_ANYWHERE = "anywhere", "api anywhere", "sync anywhere"
API_POINTS: Final = tuple(f"api {when} {call}" for call in API_CALLS for when in ("before", "after"))
SYNC_POINTS: Final = (
    *(f"sync {when} {call}" for call in SYNC_CALLS for when in ("before", "after")),
    *(IN_TRANSACTION, BEFORE_COMMIT, IN_COMMIT, AFTER_COMMIT),
)
POINTS: Final = (ANYWHERE, API_ANYWHERE, SYNC_ANYWHERE, *API_POINTS, *SYNC_POINTS)
# Passed only when a post is not loaded, or when Redis has lost the epoch as well.
LOAD_POINTS: Final = tuple(point for point in API_POINTS if not point.endswith(" set"))
EPOCH_POINTS: Final = ("api before epoch", "api after epoch")
# What happens at a point: the process itself dies or freezes, or a server does while the process stands at that point.
KILLED, FROZEN = "killed", "frozen"
REDIS_KILLED, POWER_LOST, FLUSHED, KEYS_DELETED = (
    *("redis killed", "redis power lost", "redis flushed", "keys deleted"),
)
MYSQLD_KILLED, PROMOTED = "mysqld killed", "redis promoted"
# What lasts: a network that carries nothing, a Redis that refuses writes.
REDIS_SILENT, MYSQL_SILENT = "redis silent", "mysql silent"
REDIS_FULL, DISK_FAILS, READ_ONLY = "redis full", "redis disk fails", "redis read-only"
SILENCES: Final = (REDIS_SILENT, MYSQL_SILENT)
REFUSALS: Final = (REDIS_FULL, DISK_FAILS, READ_ONLY)
# After these likes have to come back before the next.
BLOWS: Final = (REDIS_KILLED, PROMOTED, POWER_LOST, FLUSHED)
PROCESS_EFFECTS: Final = (KILLED, FROZEN)
EFFECTS: Final = (*PROCESS_EFFECTS, *BLOWS, KEYS_DELETED, MYSQLD_KILLED, *SILENCES, *REFUSALS)
_RADIX: Final = 64
# Of the statements of a transaction, the share after which it happens, so that it is not always the first.
_SOME: Final = 0.3


@dataclass(frozen=True)
class Order:
    """An effect at a point."""

    effect: str
    point: str

    @property
    def role(self) -> str:
        """Whose point it is, "api" or "sync"; "anywhere" of what happens to a server whoever does what."""
        return self.point.split()[0]

    @property
    def is_anywhere(self) -> bool:
        return "anywhere" in self.point

    @property
    def code(self) -> int:
        """A number, never 0."""
        return (1 + EFFECTS.index(self.effect)) * _RADIX + POINTS.index(self.point)

    @classmethod
    def of(cls, code: int) -> Order:
        return cls(EFFECTS[code // _RADIX - 1], POINTS[code % _RADIX])


class Fuse:
    """Of one process: at the point for which it is armed the process dies, or waits until the director has done its part."""

    def __init__(self, board: Board, slot: int) -> None:
        self._board, self._slot = board, slot
        self._arms, self._wishes = board.arms, board.wishes
        self._numbers = {point: number for number, point in enumerate(POINTS)}

    def hit(self, point: str) -> None:
        order = self._arms[self._slot]
        if not order or order % _RADIX != self._numbers[point]:
            return
        if point == IN_TRANSACTION and random.random() > _SOME:
            return
        self._wishes[self._slot] = order
        self._arms[self._slot] = 0
        if Order.of(order).effect == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        while self._wishes[self._slot] and not self._board.stopped:
            time.sleep(0.001)  # the whole process stands still

    def around(self, target: object, role: str, calls: Sequence[str]) -> None:
        """Hit a point before and after each of the methods."""
        for call in calls:
            setattr(target, call, self._around(getattr(target, call), f"{role} before {call}", f"{role} after {call}"))

    def _around(self, call: Callable[..., Awaitable[Any]], before: str, after: str) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(call)
        async def wrapped(*arguments: Any, **options: Any) -> Any:
            self.hit(before)
            answer = await call(*arguments, **options)
            self.hit(after)
            return answer

        return wrapped

    def around_commits(self, database: Database) -> None:
        """Hit points in transactions that write, and around their commits: also when one is sent and not answered yet."""
        commit = database.engine.dialect.do_commit
        writing = False

        def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            nonlocal writing
            if statement.startswith(("INSERT", "DELETE", "UPDATE")):
                writing = True
                self.hit(IN_TRANSACTION)

        def committing(connection: Any) -> None:
            nonlocal writing
            if not writing:
                commit(connection)
                return
            writing = False
            self.hit(BEFORE_COMMIT)
            # What PyMySQL's commit() does, in two steps.
            connection._execute_command(pymysql.constants.COMMAND.COM_QUERY, "COMMIT")
            self.hit(IN_COMMIT)
            connection._read_ok_packet()
            self.hit(AFTER_COMMIT)

        event.listen(database.engine, "after_cursor_execute", executed)
        database.engine.dialect.do_commit = committing  # type: ignore[method-assign]
