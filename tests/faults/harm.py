"""What is done to Redis and MySQL, and what the oracle must know of it."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable
from typing import Final

import pymysql

from .points import FLUSHED, POWER_LOST, PROMOTED, REDIS_KILLED
from .servers import RedisServer
from .stage import Stage

# An answered like is in the log of a killed Redis, unless the log was just being synced: then up to two seconds are not.
LOST_SECONDS: Final = 2.0
# The share of Redis's lives in which its log is synced at each command: nothing answered may be lost then.
ALWAYS: Final = 0.6
# A replica that does not catch up in this time is not promoted.
CURRENT_MS: Final = 2_000
# The share of replicas that lag behind, and how far.
LAGGING: Final = 0.5
LAG_SECONDS: Final = 1.0
# After Redis was away likes must go on before it is harmed again, but a busy machine is not waited for longer.
RECOVERED_TOGGLES, RECOVERY_SECONDS = 200, 2.0
# After a kill of mysqld so many write-backs have to come to their end.
RECOVERED_RUNS: Final = 3
# So many have to be loaded again when something is to happen in a load, so that it is met soon.
UNLOADED_POSTS: Final = 4
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


class Harm:
    """Blows at the servers, one at a time. Each returns whether it struck."""

    def __init__(
        self,
        stage: Stage,
        rng: random.Random,
        *,
        meanwhile: Callable[[], None],
    ) -> None:
        """`meanwhile` is called while one takes its time."""
        self.stage, self.mysql, self.cast, self.rng = stage, stage.mysql, stage.cast, rng
        self.board = stage.cast.board
        self._meanwhile = meanwhile
        self._client = stage.redis.client()
        self._always = False
        self.longest_lag = 0.0  # seconds that a promoted replica may have been behind
        self._blow_at, self._toggles_then = 0.0, 0
        self._runs_to_pass = 0
        self._posts = {post_id: number for number, post_id in enumerate(self.cast.post_ids)}
        self._users = {user_id: number for number, user_id in enumerate(self.cast.user_ids)}

    @property
    def redis(self) -> RedisServer:
        return self.stage.redis

    def recovered(self, *, everybody: bool) -> bool:
        """Whether likes go on since Redis was away, those of everybody: another blow before that would only be the same again."""
        more = self.board.toggled() - self._toggles_then > RECOVERED_TOGGLES
        return (everybody and more) or time.monotonic() - self._blow_at > RECOVERY_SECONDS

    def kill_redis(self) -> bool:
        since = math.inf if self._always else time.time() - LOST_SECONDS
        self.redis.kill()
        self.board.halt(REDIS_KILLED, since)
        self._revive()
        return True

    def cut_power_of_redis(self) -> bool:
        """From one moment on nothing reaches the disk; some toggles later the power goes, and with it any part of the rest."""
        self._client.config_set("auto-aof-rewrite-percentage", 0)
        while self._client.info("persistence")["aof_rewrite_in_progress"]:  # type: ignore[index]
            time.sleep(0.005)
        self._client.config_set("appendfsync", "no")
        since, kept = time.time(), self.redis.log_size()
        # A sound write-back waits for the disk all the while, one that is broken is given the time to do its harm.
        toggles, runs = self.board.toggled(), sum(self.board.runs)
        deadline = time.monotonic() + (UNSYNCED_SECONDS if self.cast.kind == "sound" else 10 * UNSYNCED_SECONDS)
        while time.monotonic() < deadline and (
            self.board.toggled() - toggles < UNSYNCED_TOGGLES
            or (self.cast.kind != "sound" and sum(self.board.runs) - runs < 2)
        ):
            self._meanwhile()
            time.sleep(0.01)
        size = self.redis.log_size()
        self.redis.kill()
        self.board.halt(POWER_LOST, since)
        self.redis.cut_log(self.rng.randint(min(kept, size), size))
        self._revive()
        return True

    def promote_standby(self) -> bool:
        """Kill the primary; its replica takes its place and address, and it comes back as the replica.

        Half of the replicas have been frozen for a while, so that there is something to lose.
        """
        standby = self.stage.standby
        if standby is None or not standby.follows():
            return False
        # What was answered until now is on the replica when this returns, and may not be lost any more.
        current = time.time()
        self._client.set("fence:director", 1)
        if self._client.wait(1, CURRENT_MS) < 1:
            return False
        lags = self.rng.random() < LAGGING
        if lags:
            standby.pause()
            deadline = time.monotonic() + LAG_SECONDS
            while time.monotonic() < deadline:
                self._meanwhile()
                time.sleep(0.01)
        self.redis.kill()
        killed = time.time()
        self.longest_lag = max(self.longest_lag, killed - current)
        self.board.halt(PROMOTED, math.inf if self.cast.replica_ms else current, 0.0 if lags else killed)
        standby.resume()
        with contextlib.closing(standby.client()) as client:
            client.replicaof("NO", "ONE")
        dead = self.stage.swap()
        self._take_over()
        dead.start()
        dead.follow(self.redis)
        return True

    def _go_on(self) -> None:
        self.board.go_on()
        self._blow_at, self._toggles_then = time.monotonic(), self.board.toggled()

    def _revive(self) -> None:
        self.redis.start()
        self._take_over()

    def _take_over(self) -> None:
        self._client.close()
        self._client = self.redis.client()
        self._always = self.rng.random() < ALWAYS
        self._client.config_set("appendfsync", "always" if self._always else "everysec")
        self._go_on()

    def flush_redis(self) -> bool:
        self.board.halt(FLUSHED)
        for pair in self._client.eval(TAKE_EVERYTHING, 0):  # type: ignore[union-attr]
            post_id, user_id = pair.split()
            if user_id != "id":
                self.board.lost[self.board.cell(self._posts[post_id], self._users[user_id])] = 1
        self._go_on()
        return True

    def delete_keys(self) -> bool:
        """Lose keys that can be made again: sets, bitmaps, sizes, loaders' tokens and what they have staged, marks, the epoch."""
        lost = [
            f"like:{self.rng.choice(('users', 'bits', 'size', 'hydrate'))}:{post_id}"
            for post_id in self.rng.sample(list(self.cast.post_ids), 3)
        ]
        lost += list(self._client.scan_iter("like:staged:*", count=1_000))[:1]
        for key in ("like:dirty", "like:epoch"):
            lost += [key][: self.rng.random() < 0.1]
        self._client.unlink(*lost)
        return True

    def unload(self, *, with_epoch: bool) -> None:
        """Lose the sizes of some posts, which have to be loaded again, or the epoch, too, which has to be begun again before."""
        if self.stage.spells.refusing:
            return
        names = [f"{kind}:{post_id}" for kind in ("size", "hydrate") for post_id in self.cast.post_ids]
        there = self._client.mget([f"like:{name}" for name in names])
        # Neither loaded nor being loaded, perhaps by somebody who is dead.
        sizes, loaders = there[: len(there) // 2], there[len(there) // 2 :]
        free = sum(size is None and loader is None for size, loader in zip(sizes, loaders, strict=True))
        loaded = [name for name, size in zip(names, sizes, strict=False) if size is not None]
        chosen = self.rng.sample(loaded, min(len(loaded), max(0, UNLOADED_POSTS - free)))
        if lost := [*(f"like:{name}" for name in chosen), *["like:epoch"][:with_epoch]]:
            self._client.unlink(*lost)

    def mysqld_recovered(self) -> bool:
        """Whether write-backs go on since `mysqld` was killed."""
        return sum(self.board.runs) >= self._runs_to_pass

    def kill_mysqld(self) -> bool:
        if not self.mysqld_recovered():
            return False
        self.mysql.kill()
        self._runs_to_pass = sum(self.board.runs) + RECOVERED_RUNS
        return True

    def mysql_is_up(self) -> bool:
        try:
            self.mysql.ping()
        except pymysql.err.MySQLError:
            return False
        return True
