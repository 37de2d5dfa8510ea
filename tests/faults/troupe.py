"""The processes: started, told at which point to do what, killed, frozen, thawed, and started again when they are dead."""

from __future__ import annotations

import functools
import gc
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from . import actors
from .clients import Cast
from .harm import Harm
from .plan import Plan, Schedule
from .points import EPOCH_POINTS, FROZEN, KILLED, LOAD_POINTS, Order

FREEZE_SECONDS: Final = (0.05, 0.1, 0.3, 2.5)
# A process that does not come by its point in this time is told another.
ARMED_SECONDS: Final = 1.5


class Troupe:
    """API processes in the first slots, rival write-backs in the others; forked, so that a new one acts within milliseconds."""

    def __init__(self, plan: Plan, cast: Cast, schedule: Schedule, harm: Harm, rng: random.Random) -> None:
        self.plan, self.cast, self.schedule, self.harm, self.rng = plan, cast, schedule, harm, rng
        self.board = cast.board
        self.crashed = 0
        self.cpu_seconds: Counter[str] = Counter()
        self.starts: Counter[str] = Counter()
        self._children: dict[int, int] = {}  # process -> slot
        self._armed_until = [0.0] * plan.slots
        self._frozen: dict[int, tuple[float, Order]] = {}  # process -> until when, and by what order

    def start(self) -> None:
        # What is there now stays: to look through it for garbage, a child would have to copy it.
        gc.collect()
        gc.freeze()
        for slot in range(self.plan.slots):
            self._start(slot)

    def tend(self) -> None:
        """Start again whoever died, freeze those that wait for it, thaw those that have been frozen for long enough."""
        self._reap()
        for child, slot in self._children.items():
            until, order = self._frozen.get(child, (0.0, None))
            if order is not None and time.monotonic() > until:
                del self._frozen[child]
                if self.board.wishes[slot] == order.code:
                    self.board.wishes[slot] = 0
                os.kill(child, signal.SIGCONT)
            elif order is None and (wish := self._wish(slot)) and wish.effect == FROZEN:
                self._freeze(child, wish)

    def waiting(self) -> list[tuple[int, Order]]:
        """Return the slots whose processes stand at a point until something has been done to a server, and what."""
        wishes = ((slot, self._wish(slot)) for child, slot in self._children.items() if child not in self._frozen)
        return [(slot, wish) for slot, wish in wishes if wish is not None and wish.effect not in (KILLED, FROZEN)]

    def on_the_way(self) -> Counter[Order]:
        """Return the orders that are given and not carried out."""
        return Counter(Order.of(code) for code in (*self.board.arms, *self.board.wishes) if code)

    def free(self) -> list[int]:
        """Return the slots that may be given an order; one that was not carried out in time is taken back."""
        now = time.monotonic()
        for slot, until in enumerate(self._armed_until):
            if now > until:
                self.board.arms[slot] = 0
        return [slot for slot in range(self.plan.slots) if not self.board.arms[slot] and not self.board.wishes[slot]]

    def arm(self, slot: int, order: Order) -> None:
        """Tell a process at which point to do what, and see to it that somebody comes by."""
        self.board.arms[slot] = order.code
        self._armed_until[slot] = time.monotonic() + ARMED_SECONDS
        if order.point in LOAD_POINTS:
            self.harm.unload(with_epoch=order.point in EPOCH_POINTS)

    def strike(self, order: Order) -> None:
        """Kill or freeze somebody, wherever he may be."""
        running = [
            child
            for child, slot in self._children.items()
            if self.role(slot) == order.role and child not in self._frozen
        ]
        if not running:
            return
        child = self.rng.choice(running)
        if order.effect == FROZEN:
            self._freeze(child, order)
        else:
            os.kill(child, signal.SIGKILL)
            self.schedule.done[order] += 1

    def stop(self) -> None:
        """Let everybody end what he is doing."""
        for slot in range(self.plan.slots):
            self.board.arms[slot] = 0
        self.board.stopped = True
        for child in self._frozen:
            os.kill(child, signal.SIGCONT)
        deadline = time.monotonic() + 60
        while self._children and time.monotonic() < deadline:
            self._buried()
            time.sleep(0.01)
        self.clear()
        for slot in range(self.plan.slots):
            self.board.wishes[slot] = 0

    def clear(self) -> None:
        """Kill whoever still runs."""
        for child in self._children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        self._children.clear()

    def role(self, slot: int) -> str:
        return "api" if slot < self.plan.processes else "sync"

    def _start(self, slot: int) -> None:
        if slot < self.plan.processes:
            act: Callable[[], Any] = functools.partial(actors.api, self.cast, slot, self.plan.users_of(slot))
        else:
            act = functools.partial(actors.sync, self.cast, slot)
        self._children[actors.fork(act)] = slot

    def _reap(self) -> None:
        while (dead := self._buried()) is not None:
            slot, signalled = dead
            self.starts[self.role(slot)] += 1
            wish, self.board.wishes[slot] = self._wish(slot), 0
            if not signalled:
                self.crashed += 1
            elif wish is not None and wish.effect == KILLED:
                self.schedule.done[wish] += 1
            self._start(slot)

    def _buried(self) -> tuple[int, bool] | None:
        """Return the slot of a process that has ended, and whether a signal ended it."""
        if not self._children:
            return None
        child, status, used = os.wait4(-1, os.WNOHANG)
        if not child:
            return None
        self._frozen.pop(child, None)
        slot = self._children.pop(child)
        self.cpu_seconds[self.role(slot)] += used.ru_utime + used.ru_stime
        return slot, os.WIFSIGNALED(status)

    def _wish(self, slot: int) -> Order | None:
        code = self.board.wishes[slot]
        return Order.of(code) if code else None

    def _freeze(self, child: int, order: Order) -> None:
        os.kill(child, signal.SIGSTOP)
        self._frozen[child] = time.monotonic() + self.rng.choice(FREEZE_SECONDS), order
        self.schedule.done[order] += 1
