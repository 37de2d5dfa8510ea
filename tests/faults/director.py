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

import pymysql

from . import actors
from .clients import Cast
from .compare import audit
from .plan import Plan, Schedule
from .points import (
    ANYWHERE,
    API_ANYWHERE,
    EPOCH_POINTS,
    FLUSHED,
    FROZEN,
    KEYS_DELETED,
    KILLED,
    MYSQLD_KILLED,
    POWER_LOST,
    REDIS_KILLED,
    SYNC_ANYWHERE,
    Order,
)
from .servers import MysqlServer, RedisServer

# An answered like is in the log of a killed Redis, unless the log was just being synced: then up to two seconds are not.
LOST_SECONDS: Final = 2.0
# The share of Redis's lives in which its log is synced at each command: nothing answered may be lost then.
ALWAYS: Final = 0.6
FREEZE_SECONDS: Final = (0.05, 0.1, 0.3, 2.5)
# A process that does not come by its point in this time is told another.
ARMED_SECONDS: Final = 1.5
AUDIT_EVERY: Final = 5.0
# After Redis was away likes must go on before it is harmed again, but a busy machine is not waited for longer.
RECOVERED_TOGGLES, RECOVERY_SECONDS = 200, 3.0
# What a power loss of Redis may take.
UNSYNCED_TOGGLES, UNSYNCED_SECONDS = 300, 2.0
TAKE_EVERYTHING: Final = """
local lost = {}
for _, key in ipairs(redis.call('KEYS', 'like:*')) do
  if string.find(key, '^like:delta:') or string.find(key, '^like:claim:') then
    for _, user in ipairs(redis.call('HKEYS', key)) do lost[#lost + 1] = string.sub(key, 12) .. ' ' .. user end
  end
end
redis.call('FLUSHALL')
return lost
"""


class Director:
    """One process: everything it does happens one after the other."""

    def __init__(self, plan: Plan, redis: RedisServer, mysql: MysqlServer, cast: Cast, rng: random.Random) -> None:
        self.plan, self.redis, self.mysql, self.cast, self.rng = plan, redis, mysql, cast, rng
        self.board, self.schedule = cast.board, Schedule(plan, rng)
        self.children: dict[int, int] = {}  # process -> slot
        self.crashed = self.audits = self.audits_failed = 0
        self.ended_early = False
        self.cpu_seconds: Counter[str] = Counter()
        self.starts: Counter[str] = Counter()
        self._always, self._pace = False, 0.0
        self._blow_at, self._toggles_then = 0.0, 0
        self._armed_until = [0.0] * plan.slots
        self._thaw_at: dict[int, tuple[float, Order]] = {}
        self._posts = {post_id: number for number, post_id in enumerate(cast.post_ids)}
        self._users = {user_id: number for number, user_id in enumerate(cast.user_ids)}
        self._acts: dict[str, Callable[[], bool]] = {
            REDIS_KILLED: self._kill_redis,
            POWER_LOST: self._cut_power_of_redis,
            FLUSHED: self._flush_redis,
            KEYS_DELETED: self._delete_keys,
            MYSQLD_KILLED: self._kill_mysqld,
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
        while not self._mysql_is_up():
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
        return sum(self.board.toggles)

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
        """Whether likes go on since Redis was away: another blow before that would only be the same one again."""
        acting = all(self.board.settled[slot] == self.board.generation for slot in self._slots("api"))
        more = self.toggles() - self._toggles_then > RECOVERED_TOGGLES
        return (acting and more) or time.monotonic() - self._blow_at > RECOVERY_SECONDS

    def _give_orders(self) -> None:
        """Do one thing of those that happen anywhere, and tell every process that has no order at which point to do what."""
        if not self._recovered():
            return
        on_the_way = Counter(Order.of(code) for code in (*self.board.arms, *self.board.wishes) if code)
        behind = self.schedule.behind(self._pace, on_the_way)
        anywhere = [order for order in behind if order.point in (ANYWHERE, API_ANYWHERE, SYNC_ANYWHERE)]
        if anywhere:
            self._do_anywhere(self.rng.choice(anywhere))
        now = time.monotonic()
        for slot in range(self.plan.slots):
            if self.board.arms[slot] and now > self._armed_until[slot]:
                self.board.arms[slot] = 0
            elif not self.board.arms[slot] and not self.board.wishes[slot] and self._acts_again(slot):
                mine = [order for order in behind if slot in self._slots(order.point) and "anywhere" not in order.point]
                self._arm(slot, [order for order in mine if order.point not in EPOCH_POINTS])

    def _acts_again(self, slot: int) -> bool:
        return self._role(slot) == "sync" or self.board.settled[slot] == self.board.generation

    def _arm(self, slot: int, orders: list[Order]) -> None:
        if orders:
            self.board.arms[slot] = self.rng.choice(orders).code
            self._armed_until[slot] = time.monotonic() + ARMED_SECONDS

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

    def _kill_redis(self) -> bool:
        since = math.inf if self._always else time.time() - LOST_SECONDS
        self.redis.kill()
        self.board.halt(REDIS_KILLED, since)
        self._revive()
        return True

    def _cut_power_of_redis(self) -> bool:
        """From one moment on nothing reaches the disk; some toggles later the power goes, and with it any part of the rest."""
        client = self.redis.client()
        client.config_set("auto-aof-rewrite-percentage", 0)
        while client.info("persistence")["aof_rewrite_in_progress"]:  # type: ignore[index]
            time.sleep(0.005)
        client.config_set("appendfsync", "no")
        since, kept = time.time(), self.redis.log_size()
        # A sound write-back waits for the disk all the while, one that is broken is given the time to do its harm.
        toggles, runs = self.toggles(), sum(self.board.runs)
        deadline = time.monotonic() + (UNSYNCED_SECONDS if self.cast.kind == "sound" else 10 * UNSYNCED_SECONDS)
        while time.monotonic() < deadline and (
            self.toggles() - toggles < UNSYNCED_TOGGLES
            or (self.cast.kind != "sound" and sum(self.board.runs) - runs < 3)
        ):
            self._reap()
            time.sleep(0.01)
        size = self.redis.log_size()
        self.redis.kill()
        self.board.halt(POWER_LOST, since)
        self.redis.cut_log(self.rng.randint(min(kept, size), size))
        client.close()
        self._revive()
        return True

    def _go_on(self) -> None:
        self.board.go_on()
        self._blow_at, self._toggles_then = time.monotonic(), self.toggles()

    def _revive(self) -> None:
        self.redis.start()
        self._always = self.rng.random() < ALWAYS
        client = self.redis.client()
        client.config_set("appendfsync", "always" if self._always else "everysec")
        client.close()
        self._go_on()

    def _flush_redis(self) -> bool:
        self.board.halt(FLUSHED)
        client = self.redis.client()
        for pair in client.eval(TAKE_EVERYTHING, 0):  # type: ignore[union-attr]
            post_id, user_id = pair.split()
            if user_id != "id":
                self.board.lost[self.board.cell(self._posts[post_id], self._users[user_id])] = 1
        client.close()
        self._go_on()
        return True

    def _delete_keys(self) -> bool:
        """Lose keys that can be made again: sets, bitmaps, sizes, loaders' tokens and what they have staged, marks, the epoch."""
        client = self.redis.client()
        lost = [
            f"like:{self.rng.choice(('users', 'bits', 'size', 'hydrate'))}:{post_id}"
            for post_id in self.rng.sample(list(self.cast.post_ids), 3)
        ]
        staged = list(client.scan_iter("like:staged:*", count=1_000))
        lost += staged[:1] + ["like:dirty"][: self.rng.random() < 0.1] + ["like:epoch"][: self._arm_for_epoch()]
        client.unlink(*lost)
        client.close()
        return True

    def _arm_for_epoch(self) -> bool:
        """Whether something is to happen when the next epoch begins."""
        behind = [order for order in self.schedule.behind(self._pace, Counter()) if order.point in EPOCH_POINTS]
        for slot in self._slots("api") if behind else ():
            if self._acts_again(slot) and not self.board.wishes[slot]:
                self._arm(slot, behind)
        return bool(behind)

    def _kill_mysqld(self) -> bool:
        if not self._mysql_is_up():
            return False
        self.mysql.kill()
        return True

    def _mysql_is_up(self) -> bool:
        try:
            self.mysql.ping()
        except pymysql.err.MySQLError:
            return False
        return True

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
