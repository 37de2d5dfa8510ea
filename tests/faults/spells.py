"""What lasts for seconds: a network that carries nothing, a Redis that answers and refuses writes. All of it passes."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import redis

from .points import DISK_FAILS, READ_ONLY, REDIS_FULL, REFUSALS, SILENCES
from .servers import RedisServer
from .wire import BOTH, DOWN, UP, Wire

SHORTEST_SILENCE: Final = 1.0
REFUSAL_SECONDS: Final = (0.5, 3.0)
SAVE_SECONDS: Final = 3.0
# What Redis answers.
CODES: Final = {REDIS_FULL: "OOM", DISK_FAILS: "MISCONF", READ_ONLY: "READONLY"}
_NOBODY: Final = ("127.0.0.1", "1")


class Spells:
    """At most one refusal at a time, and one silence of each server; each passes by itself."""

    redis: Callable[[], RedisServer]  # the primary at the moment

    def __init__(self, wires: Mapping[str, Wire], rng: random.Random, longest_silence: float) -> None:
        self._wires, self._rng, self._longest = wires, rng, longest_silence
        self._lasting: dict[str, tuple[float, contextlib.ExitStack]] = {}

    @property
    def refusing(self) -> bool:
        return any(effect in self._lasting for effect in REFUSALS)

    def lasts(self, effect: str) -> bool:
        return effect in self._lasting

    def begin(self, effect: str) -> bool:
        """Returns whether it has begun: never beside another of its kind."""
        if effect in self._lasting or (effect in REFUSALS and self.refusing):
            return False
        seconds = self._rng.uniform(*REFUSAL_SECONDS)
        spell = contextlib.ExitStack()
        if effect in SILENCES:
            seconds = SHORTEST_SILENCE * (self._longest / SHORTEST_SILENCE) ** self._rng.random()
            spell.enter_context(self._silence(self._wires[effect]))
        else:
            spell.enter_context(_refusing(self.redis(), effect))
        self._lasting[effect] = time.monotonic() + seconds, spell
        return True

    def tend(self) -> None:
        """End what has lasted for long enough."""
        now = time.monotonic()
        self.end(*(effect for effect, (until, _) in self._lasting.items() if now > until))

    def end(self, *effects: str) -> None:
        """End these at once, or all."""
        for effect in effects or tuple(self._lasting):
            if effect in self._lasting:
                self._lasting.pop(effect)[1].close()

    @contextlib.contextmanager
    def _silence(self, wire: Wire) -> Iterator[None]:
        """New connections are silent as well, or only the old ones; what was sent arrives in the end, or is lost.

        Old ones alone never deliver late: no network holds back what was sent before while it carries what was sent after.
        """
        who = self._rng.choice(("all", "old"))
        wire.silence(self._rng.choice((UP, DOWN, BOTH)), who)
        yield
        if who == "all" and self._rng.random() < 0.5:
            wire.resume()
        else:
            wire.reset()


@contextlib.contextmanager
def _refusing(server: RedisServer, effect: str) -> Iterator[None]:
    with contextlib.closing(server.client()) as client:
        ways = {REDIS_FULL: _full, DISK_FAILS: _without_disk, READ_ONLY: _read_only}
        with ways[effect](server, client):
            try:
                client.set("like:probe", 1)
            except redis.ResponseError as error:
                if CODES[effect] not in f"{type(error).__name__} {error}".upper().replace("OUTOFMEMORY", "OOM "):
                    raise
            else:
                raise SystemExit(f"{effect}: Redis does not refuse")
            yield


@contextlib.contextmanager
def _full(_: RedisServer, client: redis.Redis) -> Iterator[None]:
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)


@contextlib.contextmanager
def _without_disk(server: RedisServer, client: redis.Redis) -> Iterator[None]:
    """A folder stands where the snapshot is to be put."""
    server.shell("rm -rf /data/dump.rdb; mkdir -p /data/dump.rdb/taken")
    try:
        client.config_set("save", "3600 1")
        client.bgsave(schedule=True)
        deadline = time.monotonic() + SAVE_SECONDS
        while client.info("persistence")["rdb_last_bgsave_status"] == "ok":  # type: ignore[index]
            if time.monotonic() > deadline:
                raise SystemExit("Redis saves where it cannot")
            time.sleep(0.01)
        yield
    finally:
        client.config_set("save", "")
        server.shell("rm -rf /data/dump.rdb")


@contextlib.contextmanager
def _read_only(_: RedisServer, client: redis.Redis) -> Iterator[None]:
    client.replicaof(*_NOBODY)
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")
