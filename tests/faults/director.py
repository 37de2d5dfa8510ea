"""Has processes and servers killed as planned, and compares what Redis shows with the oracle all the while."""

from __future__ import annotations

import functools
import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Any, Final

from . import actors
from .compare import audit
from .harm import Harm
from .plan import Plan, Schedule
from .points import (
    BLOWS,
    FLUSHED,
    KEYS_DELETED,
    MYSQLD_KILLED,
    POWER_LOST,
    PROCESS_EFFECTS,
    PROMOTED,
    REDIS_KILLED,
    REFUSALS,
    SILENCES,
    Order,
)
from .stage import Stage
from .troupe import Troupe

ONE_AT_A_TIME: Final = frozenset((*BLOWS, MYSQLD_KILLED, *SILENCES, *REFUSALS))
# Seconds. What happens anywhere need not happen at once.
LOOK_EVERY: Final = 0.03
AUDIT_EVERY: Final = 2.0
TELL_EVERY: Final = 5.0
FINISH_SECONDS: Final = 300.0


class Director:
    """One process: everything it does happens one after the other."""

    def __init__(self, plan: Plan, stage: Stage, rng: random.Random) -> None:
        self.plan, self.stage, self.cast, self.rng = plan, stage, stage.cast, rng
        self.board = stage.cast.board
        self.schedule = Schedule(plan, rng)
        self.harm = Harm(stage, rng, meanwhile=lambda: self._direct(frozenset(PROCESS_EFFECTS)))
        self.troupe = Troupe(plan, stage.cast, self.schedule, self.harm, rng)
        self.audited = self.audits_failed = 0
        self.ended_early = False
        self._pace = self._look_again = 0.0
        self._acts: dict[str, Callable[[], bool]] = {
            REDIS_KILLED: self.harm.kill_redis,
            POWER_LOST: self.harm.cut_power_of_redis,
            FLUSHED: self.harm.flush_redis,
            KEYS_DELETED: self.harm.delete_keys,
            MYSQLD_KILLED: self.harm.kill_mysqld,
            PROMOTED: self.harm.promote_standby,
            **{effect: functools.partial(stage.spells.begin, effect) for effect in (*SILENCES, *REFUSALS)},
        }

    def play(self) -> float:
        """Let it all happen, and return the seconds it took."""
        self.troupe.start()
        started, told, audited = time.monotonic(), 0.0, 0.0
        while not self.ended_early and (passed := time.monotonic() - started) < self.plan.seconds:
            self._pace = min(1.0, max(self.board.toggled() / self.plan.toggles, passed / self.plan.seconds))
            if self._pace == 1.0 and not self.schedule.left():
                break
            self.stage.spells.tend()
            self._direct(self._possible())
            for slot, order in self.troupe.waiting():
                if self.board.wishes[slot] == order.code:  # and did not die while another was served
                    self._strike(order)
                    self.board.wishes[slot] = 0
            if passed - audited > AUDIT_EVERY:
                audited = passed
                self._audit()
            if passed - told > TELL_EVERY:
                told = passed
                self._tell(passed)
            time.sleep(0.003)
        self.stage.spells.end()
        self.troupe.stop()
        return time.monotonic() - started

    def finish(self) -> None:
        """With nobody dying any more, settle what is in doubt and write back what is pending."""
        while not self.harm.mysql_is_up():
            time.sleep(0.05)
        self.board.stopped = False
        slots = range(self.plan.processes)
        self._calmly(functools.partial(actors.settle, self.cast, slot, self.plan.users_of(slot)) for slot in slots)
        self._calmly([functools.partial(actors.sync_to_the_end, self.cast, self.plan.processes)])

    def _calmly(self, acts: Iterable[Callable[[], Any]]) -> None:
        # Orphans end by themselves.
        children, deadline = [actors.fork(act) for act in acts], time.monotonic() + FINISH_SECONDS
        for child in children:
            while not (ended := os.waitpid(child, os.WNOHANG))[0]:
                if time.monotonic() > deadline:
                    raise SystemExit(f"the last settling or write-back did not end within {FINISH_SECONDS:.0f} s")
                time.sleep(0.02)
            if ended[1]:
                raise SystemExit("the last settling or write-back failed")

    def _direct(self, effects: AbstractSet[str]) -> None:
        """Tend the processes; do one thing of those that happen anywhere, and give out those that happen at points."""
        self.troupe.tend()
        now = time.monotonic()
        if not self.troupe.free() and now < self._look_again:
            return
        self._look_again = now + LOOK_EVERY
        on_the_way = self.troupe.on_the_way()
        lag = self.schedule.lag(self._pace, on_the_way)
        if any(order.effect in ONE_AT_A_TIME for order in on_the_way):
            effects = effects - ONE_AT_A_TIME
        if order := self._choose(lag, "anywhere", effects):
            self._strike(order)
        for slot in self.troupe.free():
            if order := self._choose(lag, self.troupe.role(slot), effects):
                self.troupe.arm(slot, order)
                if order.effect in ONE_AT_A_TIME:
                    effects = effects - ONE_AT_A_TIME

    def _choose(self, lag: dict[Order, float], where: str, effects: AbstractSet[str]) -> Order | None:
        """Return one of the orders that are behind, for a process of a role or for nobody in particular."""
        fit = {
            order: behind
            for order, behind in lag.items()
            if order.effect in effects and where == ("anywhere" if order.is_anywhere else order.role)
        }
        return self.rng.choices(list(fit), weights=list(fit.values()))[0] if fit else None

    def _strike(self, order: Order) -> None:
        if order.effect in PROCESS_EFFECTS:
            self.troupe.strike(order)
        elif not (self.stage.spells.refusing and order.effect in (*BLOWS, KEYS_DELETED)):
            # A Redis that refuses refuses the director, too: what was ordered before it began happens later.
            self.schedule.done[order] += self._acts[order.effect]()

    def _possible(self) -> AbstractSet[str]:
        """Return what may happen now; the same once more would prove nothing before likes have gone on since."""
        apis = range(self.plan.processes)
        recovered = self.harm.recovered(
            everybody=all(self.board.settled[slot] == self.board.generation for slot in apis)
        )
        spells = self.stage.spells
        return {
            *PROCESS_EFFECTS,
            *((MYSQLD_KILLED,) if self.harm.mysqld_recovered() else ()),
            *(silence for silence in SILENCES if recovered and not spells.lasts(silence)),
            *(() if spells.refusing else (KEYS_DELETED, *((*BLOWS, *REFUSALS) if recovered else ()))),
        }

    def _audit(self) -> None:
        """Compare what Redis shows with the oracle, once everybody knows what the last blow may have taken."""
        if all(self.board.marked[slot] == self.board.generation for slot in range(self.plan.processes)):
            compared, wrong = audit(self.board, self.stage.redis, self.cast.post_ids)
            self.audited += compared
            self.audits_failed += wrong

    def _tell(self, passed: float) -> None:
        done = " ".join(f"{name.replace(' ', '-')}={count}" for name, count in self.schedule.totals().items())
        sys.stderr.write(
            f"{passed:6.0f} s  {self.board.toggled():>9,} toggles  {done}  left={self.schedule.left()}"
            f" violations={sum(self.board.violations)} audits={self.audited}/{self.audits_failed}\n"
        )
