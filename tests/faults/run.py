"""Toggles likes while everything is killed, then compares Redis and MySQL with an oracle.

`python -m tests.faults.run --help`; `make faults` runs the long one. Prints progress on standard error and a report (JSON) on
standard output; exits with 1 when a like is missing, too many or miscounted.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pymysql
import redis
from ulid import ULID

from bapsang_api.migrate import migrate

from . import actors
from .actors import Cast
from .board import Board
from .servers import MysqlServer, RedisServer, mysql_server, redis_server

# An answered toggle survives the death of Redis's process; a second and the sync after it may go with the power.
LOST_SECONDS = 2.0
TAKE_EVERYTHING = """
local lost = {}
for _, key in ipairs(redis.call('KEYS', 'like:*')) do
  if string.find(key, '^like:delta:') or string.find(key, '^like:claim:') then
    for _, user in ipairs(redis.call('HKEYS', key)) do lost[#lost + 1] = string.sub(key, 12) .. ' ' .. user end
  end
end
redis.call('FLUSHALL')
return lost
"""


@dataclass
class Plan:
    """How much of what happens. Kills are wanted counts; the run ends when all are reached or the time is over."""

    seconds: float
    toggles: int
    kills: dict[str, int]
    processes: int = 3
    posts: int = 48
    users: int = 240
    risk: float = 0.0
    sync: str = "sound"
    seed: int = 1


@dataclass
class Director:
    """Starts the processes, kills, and keeps the oracle honest about what may be lost."""

    plan: Plan
    redis: RedisServer
    mysql: MysqlServer
    cast: Cast
    rng: random.Random
    children: dict[int, str] = field(default_factory=dict)
    mysql_back_at: float = 0.0

    @property
    def board(self) -> Board:
        return self.cast.board

    def start(self, name: str) -> None:
        role, _, number = name.partition(" ")
        if role == "api":
            share = self.plan.users // self.plan.processes
            mine = range(int(number) * share, (int(number) + 1) * share)
            act: Callable[[], Any] = functools.partial(actors.api, self.cast, int(number), mine, 6)
        else:
            act = functools.partial(actors.sync, self.cast, self.plan.sync)
        self.children[actors.fork(act)] = name

    def reap(self) -> None:
        """Start again whoever died."""
        while self.children:
            child, _ = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            self.start(self.children.pop(child))

    def kill_process(self, role: str) -> None:
        child = self.rng.choice([child for child, name in self.children.items() if name.startswith(role)])
        self.board.count(f"{role} killed")
        os.kill(child, signal.SIGKILL)

    def kill_redis(self) -> None:
        since = time.time() - LOST_SECONDS
        self.redis.kill()
        self._mourn(since)
        self.redis.start()
        self._go_on("redis killed")

    def cut_power_of_redis(self) -> None:
        """From one moment on nothing reaches the disk; half a second later the power goes, and with it any part of the rest."""
        client = self.redis.client()
        client.config_set("appendfsync", "no")
        since, kept = time.time(), self.redis.log_size()
        time.sleep(0.5)
        size = self.redis.log_size()
        self.redis.kill()
        self._mourn(since)
        self.redis.cut_log(self.rng.randint(min(kept, size), size))
        self.redis.start()
        client.close()
        self._go_on("redis power lost")

    def flush_redis(self) -> None:
        self._mourn(math.inf)
        deadline = time.monotonic() + 30
        while not self.board.all_idle(self.plan.processes) and time.monotonic() < deadline:
            time.sleep(0.005)
            self.reap()
        posts = {post_id: number for number, post_id in enumerate(self.cast.post_ids)}
        users = {user_id: number for number, user_id in enumerate(self.cast.user_ids)}
        client = self.redis.client()
        for pair in client.eval(TAKE_EVERYTHING, 0):
            post_id, user_id = pair.split()
            if user_id != "id":
                self.board.lost[self.board.cell(posts[post_id], users[user_id])] = 1
        client.close()
        self._go_on("redis flushed")

    def delete_keys(self) -> None:
        """Lose keys that can be made again: sets, bitmaps, sizes, loaders' tokens."""
        client = self.redis.client()
        for post_id in self.rng.sample(list(self.cast.post_ids), 3):
            client.delete(f"like:{self.rng.choice(('users', 'bits', 'size', 'hydrate'))}:{post_id}")
        client.close()
        self.board.count("keys deleted")

    def kill_mysql(self) -> None:
        self.mysql.kill()
        self.board.count("mysqld killed")

    def mysql_is_up(self) -> bool:
        try:
            self.mysql.ping()
        except pymysql.err.MySQLError:
            return False
        return True

    def _mourn(self, since: float) -> None:
        self.board.doubted_since = since
        self.board.generation += 1

    def _go_on(self, point: str) -> None:
        self.board.count(point)
        self.board.generation += 1

    def play(self) -> float:
        """Let it all happen, and return the seconds it took."""
        for number in range(self.plan.processes):
            self.start(f"api {number}")
        for number in range(2):
            self.start(f"sync {number}")
        acts: dict[str, Callable[[], None]] = {
            "api killed": lambda: self.kill_process("api"),
            "sync killed": lambda: self.kill_process("sync"),
            "redis killed": self.kill_redis,
            "mysqld killed": self.kill_mysql,
            "redis power lost": self.cut_power_of_redis,
            "redis flushed": self.flush_redis,
            "keys deleted": self.delete_keys,
        }
        started, shown = time.monotonic(), 0.0
        while (passed := time.monotonic() - started) < self.plan.seconds:
            counts, toggles = self.board.counts(), self.toggles()
            behind = [
                name
                for name, wanted in self.plan.kills.items()
                if counts[name] < wanted * min(1.0, passed / (0.9 * self.plan.seconds))
                and (name != "mysqld killed" or self.mysql_is_up())
            ]
            if behind:
                acts[self.rng.choice(behind)]()
            elif toggles >= self.plan.toggles and all(
                counts[name] >= wanted for name, wanted in self.plan.kills.items()
            ):
                break
            self.reap()
            if passed - shown > 5:
                shown = passed
                done = " ".join(f"{name.replace(' ', '-')}={counts[name]}" for name in self.plan.kills)
                sys.stderr.write(
                    f"{passed:6.0f} s  {toggles:>9,} toggles  {done}  violations={self.board.violations}\n"
                )
            time.sleep(0.01)
        passed = time.monotonic() - started
        self.board.stop()
        for child in list(self.children):
            os.waitpid(child, 0)
        self.children.clear()
        return passed

    def toggles(self) -> int:
        return sum(self.board.toggles_of(worker) for worker in range(self.plan.processes))

    def finish(self) -> None:
        """Write back what is pending, with nobody dying any more."""
        calm = Cast(**{**self.cast.__dict__, "risk": 0.0})
        _, status = os.waitpid(actors.fork(functools.partial(actors.sync_to_the_end, calm, self.plan.sync)), 0)
        if status:
            raise SystemExit("the last write-back failed")


def compare(director: Director) -> dict[str, Any]:
    """Return how far the database, its counts and Redis are from the oracle. Cells in doubt are compared with each other only."""
    board, cast = director.board, director.cast
    posts = {post_id: number for number, post_id in enumerate(cast.post_ids)}
    users = {user_id: number for number, user_id in enumerate(cast.user_ids)}
    with director.mysql.connect("bapsang") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT post_id, user_id FROM user_post_likes")
        rows = {board.cell(posts[post_id], users[user_id]) for post_id, user_id in cursor.fetchall()}
        cursor.execute("SELECT id, like_count FROM posts")
        counted = {posts[post_id]: count for post_id, count in cursor.fetchall()}
    live = _live(director)
    certain = [cell for cell in range(board.posts * board.users) if board.cells[cell] < 2]
    truth = {cell for cell in certain if board.cells[cell] == 1}
    per_post = [0] * board.posts
    for cell in rows:
        per_post[cell // board.users] += 1
    sizes = live.pop("sizes")
    return {
        "likes": len(rows),
        "missing": len(truth - rows),
        "extra": len(rows & set(certain) - truth),
        "in_doubt": board.posts * board.users - len(certain),
        "wrong_counts_mysql": sum(counted[post] != per_post[post] for post in range(board.posts)),
        "wrong_counts_redis": sum(sizes[post] not in (None, per_post[post]) for post in range(board.posts)),
        "redis_differs_from_mysql": len(
            {cell for cell in live["members"] ^ rows if sizes[cell // board.users] is not None}
        ),
        "loaded_posts": sum(size is not None for size in sizes),
        "bitmaps": live["bitmaps"],
    }


def _live(director: Director) -> dict[str, Any]:
    board, members, sizes, bitmaps = director.board, set(), [], 0
    client = redis.Redis(host=director.redis.host, port=director.redis.port)
    for post, post_id in enumerate(director.cast.post_ids):
        size = client.get(f"like:size:{post_id}")
        bits = client.get(f"like:bits:{post_id}")
        numbers = [int(number) for number in client.smembers(f"like:users:{post_id}")]
        if bits is not None:
            bitmaps += 1
            numbers = [8 * index + bit for index, byte in enumerate(bits) for bit in range(8) if byte & (0x80 >> bit)]
        # Parts of a set that lost its size or some of its keys are not trusted by anybody.
        whole = size is not None and (bits is not None or int(size) == len(numbers))
        sizes.append(int(size) if whole else None)
        members |= {board.cell(post, number - 1) for number in numbers}
    client.close()
    return {"sizes": sizes, "members": members, "bitmaps": bitmaps}


def prepare(mysql: MysqlServer, plan: Plan, rng: random.Random) -> tuple[list[str], list[str]]:
    """Make the tables, users (number n + 1 for user n) and posts; return the ids of posts and users."""
    migrate(mysql.url)
    post_ids = [str(ULID.from_bytes(rng.randbytes(16))) for _ in range(plan.posts)]
    user_ids = [str(ULID.from_bytes(rng.randbytes(16))) for _ in range(plan.users)]
    with mysql.connect("bapsang") as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO users (id, nickname, user_role, user_status, created_at) VALUES (%s, %s, 'USER', 'ACTIVE', NOW(6))",
            [(user_id, f"u{number}") for number, user_id in enumerate(user_ids)],
        )
        cursor.executemany(
            "INSERT INTO user_numbers (number, user_id) VALUES (%s, %s)",
            [(number + 1, user_id) for number, user_id in enumerate(user_ids)],
        )
        cursor.executemany(
            "INSERT INTO posts (id, user_id, title, created_at, view_count, like_count, comment_count, post_status)"
            " VALUES (%s, %s, 't', NOW(6), 0, 0, 0, 'ACTIVE')",
            [(post_id, user_ids[0]) for post_id in post_ids],
        )
    return post_ids, user_ids


def harness(plan: Plan) -> dict[str, Any]:
    """Run the plan on servers of its own and return the report."""
    rng = random.Random(plan.seed)
    with redis_server() as redis, mysql_server() as mysql:
        post_ids, user_ids = prepare(mysql, plan, rng)
        board = Board(plan.posts, plan.users)
        board.doubted_since = math.inf
        cast = Cast(redis.url, mysql.url, post_ids, user_ids, board, plan.risk)
        director = Director(plan, redis, mysql, cast, rng)
        try:
            seconds = director.play()
            while not director.mysql_is_up():
                time.sleep(0.05)
            director.finish()
            return {
                "toggles": director.toggles(),
                "seconds": round(seconds, 1),
                "seed": plan.seed,
                "sync": plan.sync,
                "deaths": director.board.counts(),
                "violations": board.violations,
                **compare(director),
            }
        finally:
            for child in director.children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


FAULTS = ("missing", "extra", "violations", "wrong_counts_mysql", "wrong_counts_redis", "redis_differs_from_mysql")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="at most (default: %(default)s)")
    parser.add_argument(
        "--toggles", type=int, default=1_000_000, help="at least, if there is time (default: %(default)s)"
    )
    parser.add_argument("--kills", type=int, default=200, help="of each kind of process (default: %(default)s)")
    parser.add_argument("--power", type=int, default=20, help="times Redis loses power (default: %(default)s)")
    parser.add_argument("--flush", type=int, default=20, help="times Redis loses everything (default: %(default)s)")
    parser.add_argument("--delete", type=int, default=1_000, help="times Redis loses keys (default: %(default)s)")
    parser.add_argument("--risk", type=float, default=0.002, help="of dying at each crash point (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sync", choices=sorted(actors.SYNCS), default="sound", help="others are broken on purpose")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of the clearing up
    kinds = ("api killed", "sync killed", "redis killed", "mysqld killed")
    kills = dict.fromkeys(kinds, given.kills) | {"redis power lost": given.power, "redis flushed": given.flush}
    plan = Plan(
        given.seconds,
        given.toggles,
        kills | {"keys deleted": given.delete},
        risk=given.risk,
        sync=given.sync,
        seed=given.seed,
    )
    report = harness(plan)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return int(any(report[fault] for fault in FAULTS))


if __name__ == "__main__":
    sys.exit(main())
