"""Starts the processes, kills them and the servers as planned, and keeps the oracle honest about what may be lost."""

from __future__ import annotations

import functools
import math
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from . import actors
from .clients import Cast
from .compare import audit
from .harm import Harm
from .plan import Plan, Schedule
from .points import (
    API_POINTS,
    BLOWS,
    EPOCH_POINTS,
    FLUSHED,
    FROZEN,
    KEYS_DELETED,
    KILLED,
    MYSQLD_KILLED,
    POWER_LOST,
    REDIS_KILLED,
    SYNC_POINTS,
    Order,
)
from .servers import MysqlServer, RedisServer

FREEZE_SECONDS: Final = (0.05, 0.1, 0.3, 2.5)
# A process that does not come by its point in this time is told another.
ARMED_SECONDS: Final = 1.5
AUDIT_EVERY: Final = 5.0


class Director:
    """One process: everything it does happens one after the other."""

    def __init__(self, plan: Plan, redis: RedisServer, mysql: MysqlServer, cast: Cast, rng: random.Random) -> None:
        self.plan, self.redis, self.cast, self.rng = plan, redis, cast, rng
        self.board, self.schedule = cast.board, Schedule(plan, rng)
        self.children: dict[int, int] = {}  # process -> slot
        self.crashed = self.audits = self.audits_failed = 0
        self.ended_early = False
        self.cpu_seconds: Counter[str] = Counter()
        self.starts: Counter[str] = Counter()
        self._pace = 0.0
        self._armed_until = [0.0] * plan.slots
        self._thaw_at: dict[int, tuple[float, Order]] = {}
        self.harm = Harm(redis, mysql, cast, rng, meanwhile=self._reap)
        self._acts: dict[str, Callable[[], bool]] = {
            REDIS_KILLED: self.harm.kill_redis,
            POWER_LOST: self.harm.cut_power_of_redis,
            FLUSHED: self.harm.flush_redis,
            KEYS_DELETED: lambda: self.harm.delete_keys(with_epoch=self._arm_for_epoch()),
            MYSQLD_KILLED: self.harm.kill_mysqld,
        }

    def play(self) -> float:
        """Let it all happen, and return the seconds it took."""
        for slot in range(self.plan.slots):
            self._start(slot)
        started, shown, audited = time.monotonic(), 0.0, 0.0
        while not self.ended_early and (passed := time.monotonic() - started) < self.plan.seconds:
            toggles = self.toggles()
            self._pace = min(1.0, max(toggles / self.plan.toggles, passed / self.plan.seconds))
            if self._pace == 1.0 and not self.schedule.left():
                break
            self._reap()
            self._thaw()
            self._grant()
            self._give_orders()
            if passed - audited > AUDIT_EVERY and self._audit():
                audited = passed
            if passed - shown > 5:
                shown = passed
                done = " ".join(f"{name.replace(' ', '-')}={count}" for name, count in self.schedule.totals().items())
                sys.stderr.write(
                    f"{passed:6.0f} s  {toggles:>9,} toggles  {done}  left={self.schedule.left()}"
                    f" violations={sum(self.board.violations)}\n"
                )
            time.sleep(0.005)
        self._end()
        return time.monotonic() - started

    def finish(self) -> None:
        """With nobody dying any more, settle what is in doubt and write back what is pending."""
        while not self.harm.mysql_is_up():
            time.sleep(0.05)
        self.board.stopped = False
        if self.board.generation % 2:
            self.board.go_on()
        slots = range(self.plan.processes)
        self._calmly(functools.partial(actors.settle, self.cast, slot, self.plan.users_of(slot)) for slot in slots)
        self._calmly([functools.partial(actors.sync_to_the_end, self.cast, self.plan.processes)])

    def clear(self) -> None:
        """Kill whoever still runs."""
        for child in self.children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        self.children.clear()

    def toggles(self) -> int:
        return self.board.toggled()

    def _calmly(self, acts: Iterable[Callable[[], Any]]) -> None:
        for child in [actors.fork(act) for act in acts]:
            if os.waitpid(child, 0)[1]:
                raise SystemExit("the last settling or write-back failed")

    def _start(self, slot: int) -> None:
        if slot < self.plan.processes:
            act: Callable[[], Any] = functools.partial(actors.api, self.cast, slot, self.plan.users_of(slot))
        else:
            act = functools.partial(actors.sync, self.cast, slot)
        self.children[actors.fork(act)] = slot

    def _reap(self) -> None:
        """Start again whoever died."""
        while self.children:
            child, status, used = os.wait4(-1, os.WNOHANG)
            if not child:
                return
            slot = self.children.pop(child)
            self.cpu_seconds[self._role(slot)] += used.ru_utime + used.ru_stime
            self.starts[self._role(slot)] += 1
            wish, self.board.wishes[slot] = self.board.wishes[slot], 0
            self._thaw_at.pop(slot, None)
            if not os.WIFSIGNALED(status):
                self.crashed += 1
            elif wish and Order.of(wish).effect == KILLED:
                self.schedule.done[Order.of(wish)] += 1
            self._start(slot)

    def _end(self) -> None:
        for slot in range(self.plan.slots):
            self.board.arms[slot] = 0
        self.board.stopped = True
        for child, slot in self.children.items():
            if slot in self._thaw_at:
                os.kill(child, signal.SIGCONT)
        deadline = time.monotonic() + 60
        while self.children and time.monotonic() < deadline:
            child, _, used = os.wait4(-1, os.WNOHANG)
            if child:
                self.cpu_seconds[self._role(self.children.pop(child))] += used.ru_utime + used.ru_stime
            time.sleep(0.01)
        self.clear()
        for slot in range(self.plan.slots):
            self.board.wishes[slot] = 0

    def _role(self, slot: int) -> str:
        return "api" if slot < self.plan.processes else "sync"

    def _slots(self, point: str) -> list[int]:
        return [slot for slot in range(self.plan.slots) if self._role(slot) == point.split()[0]]

    def _recovered(self) -> bool:
        return self.harm.recovered(everybody=all(self._acts_again(slot) for slot in self._slots("api")))

    def _give_orders(self) -> None:
        """Do one thing of those that happen anywhere, and tell every process that has no order at which point to do what."""
        on_the_way = Counter(Order.of(code) for code in (*self.board.arms, *self.board.wishes) if code)
        behind = self.schedule.behind(self._pace, on_the_way)
        if not self._recovered() or any(order.effect in BLOWS for order in on_the_way):
            behind = {order: count for order, count in behind.items() if order.effect not in BLOWS}
        anywhere = {order: count for order, count in behind.items() if "anywhere" in order.point}
        if anywhere:
            self._do_anywhere(self._choose(anywhere))
        now = time.monotonic()
        for slot in range(self.plan.slots):
            if self.board.arms[slot] and now > self._armed_until[slot]:
                self.board.arms[slot] = 0
            elif not self.board.arms[slot] and not self.board.wishes[slot] and self._is_marked(slot):
                points = {*(API_POINTS if self._role(slot) == "api" else SYNC_POINTS)} - {*EPOCH_POINTS}
                mine = {order: count for order, count in behind.items() if order.point in points}
                self._arm(slot, mine)
                # One blow at a time.
                behind = {order: count for order, count in behind.items() if order.effect not in BLOWS}

    def _choose(self, orders: dict[Order, int]) -> Order:
        return self.rng.choices(list(orders), weights=list(orders.values()))[0]

    def _is_marked(self, slot: int) -> bool:
        return self._role(slot) == "sync" or self.board.marked[slot] == self.board.generation

    def _acts_again(self, slot: int) -> bool:
        """Whether an API process is in doubt about nothing any more."""
        return self.board.settled[slot] == self.board.generation

    def _arm(self, slot: int, orders: dict[Order, int]) -> None:
        if not orders:
            return
        order = self._choose(orders)
        self.board.arms[slot] = order.code
        self._armed_until[slot] = time.monotonic() + ARMED_SECONDS
        if order.point in API_POINTS and not order.point.endswith(" set"):
            self.harm.lose(
                [f"like:size:{post_id}" for post_id in self.rng.sample(list(self.cast.post_ids), 6)]
            )  # to be loaded

    def _do_anywhere(self, order: Order) -> None:
        if order.effect not in (KILLED, FROZEN):
            self.schedule.done[order] += self._acts[order.effect]()
            return
        free = [child for child, slot in self.children.items() if slot in self._slots(order.point)]
        child = self.rng.choice([child for child in free if self.children[child] not in self._thaw_at] or free)
        if order.effect == KILLED:
            os.kill(child, signal.SIGKILL)
            self.schedule.done[order] += 1
        elif self.children[child] not in self._thaw_at:
            self._freeze(child, order)

    def _freeze(self, child: int, order: Order) -> None:
        os.kill(child, signal.SIGSTOP)
        self._thaw_at[self.children[child]] = time.monotonic() + self.rng.choice(FREEZE_SECONDS), order
        self.schedule.done[order] += 1

    def _thaw(self) -> None:
        for child, slot in self.children.items():
            when, order = self._thaw_at.get(slot, (math.inf, None))
            if order is not None and time.monotonic() > when:
                del self._thaw_at[slot]
                if self.board.wishes[slot] == order.code:
                    self.board.wishes[slot] = 0
                os.kill(child, signal.SIGCONT)

    def _grant(self) -> None:
        """Do what processes wait for at their points."""
        for child, slot in list(self.children.items()):
            wish = self.board.wishes[slot]
            if not wish or slot in self._thaw_at:
                continue
            order = Order.of(wish)
            if order.effect == FROZEN:
                self._freeze(child, order)
            elif order.effect != KILLED:
                self.schedule.done[order] += self._acts[order.effect]()
                self.board.wishes[slot] = 0

    def _arm_for_epoch(self) -> bool:
        """Whether something is to happen when the next epoch begins."""
        due = self.schedule.behind(self._pace, Counter())
        behind = {order: count for order, count in due.items() if order.point in EPOCH_POINTS}
        for slot in self._slots("api") if behind else ():
            if self._acts_again(slot) and not self.board.wishes[slot]:
                self._arm(slot, behind)
        return bool(behind)

    def _audit(self) -> bool:
        """Stop the world and compare what Redis holds with the oracle, once nobody is in doubt after the last loss."""
        if not all(self._acts_again(slot) for slot in self._slots("api")):
            return False
        self.board.halt()
        deadline = time.monotonic() + 1
        while self._busy() and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.002)
        if still := not self._busy():
            self.audits += 1
            self.audits_failed += audit(self.board, self.redis, self.cast.post_ids)
        self.board.go_on()
        return still

    def _busy(self) -> bool:
        still = {*self._thaw_at, *(slot for slot in range(self.plan.slots) if self.board.wishes[slot])}
        return any(self.board.idle[slot] != self.board.generation for slot in {*range(self.plan.processes)} - still)
