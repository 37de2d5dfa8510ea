"""Changes likes while everything is killed, then compares Redis and MySQL with an oracle.

`python -m tests.faults.run --help`; `make faults` runs the long one. Prints progress on standard error and a report (JSON) on
standard output; exits with 1 when a like is missing, too many or miscounted. Ctrl-C ends it early, with the comparison.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from ulid import ULID

from bapsang_api.migrate import migrate

from .board import Board
from .broken import STORES
from .clients import Cast
from .compare import compare
from .director import Director
from .plan import STEPS, Plan
from .servers import IMAGES, MysqlServer, RedisServer, attach, mysql_server, redis_server
from .stage import Stage, stage

# What a report must show as 0.
FAULTS: Final = (
    *("missing", "extra", "violations", "wrong_counts_mysql", "wrong_counts_redis", "redis_differs_from_mysql"),
    *("audits_failed", "differences", "in_doubt", "crashed"),
)


def prepare(redis: RedisServer, mysql: MysqlServer, plan: Plan, rng: random.Random) -> tuple[list[str], list[str]]:
    """Empty the servers, make tables, users (number n + 1 for user n) and posts; return the ids of posts and users."""
    with contextlib.closing(redis.client()) as client:
        client.flushall()
    mysql.create_database()
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


def harness(plan: Plan, redis: RedisServer, mysql: MysqlServer) -> dict[str, Any]:
    """Run the plan and return the report."""
    rng = random.Random(plan.seed)
    post_ids, user_ids = prepare(redis, mysql, plan, rng)
    board = Board(plan.posts, plan.users, plan.slots)
    cast = Cast(redis.url, mysql.url, post_ids, user_ids, board, plan.kind, plan.replica_ms)
    with stage(plan, cast, redis, mysql, rng) as staged:
        return _play(plan, staged, rng)


def _play(plan: Plan, stage: Stage, rng: random.Random) -> dict[str, Any]:
    director, board, cast = Director(plan, stage, rng), stage.cast.board, stage.cast
    redises = [server for server in (stage.redis, stage.standby) if server is not None]

    def cpu_seconds() -> tuple[float, float]:
        return sum(server.cpu_seconds() for server in redises), stage.mysql.cpu_seconds()

    def end_early(*_: object) -> None:
        if director.ended_early:
            sys.exit(1)  # by way of the clearing up
        director.ended_early = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_early)
    before = cpu_seconds()
    try:
        seconds = director.play()
        director.finish()
        cpu = [now - then for now, then in zip(cpu_seconds(), before, strict=True)]
    finally:
        director.troupe.clear()
    return {
        "toggles": board.toggled(),
        "shown": sum(board.checks),
        "seconds": round(seconds, 1),
        "seed": plan.seed,
        "store": plan.kind,
        "engine": stage.redis.version(),
        "replica_ms": plan.replica_ms,
        "machine": {"cores": os.cpu_count(), "load": round(os.getloadavg()[1], 1)},
        "cpu_seconds": {
            **{role: round(spent, 1) for role, spent in director.troupe.cpu_seconds.items()},
            **{"director": round(time.process_time(), 1), "redis": round(cpu[0], 1), "mysql": round(cpu[1], 1)},
        },
        "starts": dict(director.troupe.starts),
        "happened": director.schedule.totals(),
        "left": director.schedule.left(),
        "ended_early": director.ended_early,
        "audited": director.audited,
        "answered_and_lost": board.losses(),
        "answered_and_losable": board.suspects(),
        "longest_lag_at_promotion_ms": round(director.harm.longest_lag * 1e3, 1),
        "oldest_lost_without_lag_ms": board.oldest_lost_ms(),
        **compare(board, cast, stage.mysql, stage.redis),
        "violations": sum(board.violations),
        "audits_failed": director.audits_failed,
        "differences": sum(board.differences),
        "crashed": director.troupe.crashed,
        "steps": director.schedule.steps(),
    }


@contextlib.contextmanager
def servers(names: list[str] | None, engine: str) -> Iterator[tuple[RedisServer, MysqlServer]]:
    """Start a Redis (or what stands in for it) and a MySQL, or take those that run in the named containers."""
    if names is not None:
        yield attach(RedisServer, names[0]), attach(MysqlServer, names[1])
        return
    with redis_server(engine) as redis, mysql_server() as mysql:
        yield redis, mysql


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1_700, help="at most")
    parser.add_argument("--toggles", type=int, default=1_000_000, help="at least, if there is time")
    parser.add_argument("--kills", type=int, default=200, help="of each kind, and of a process at each point")
    parser.add_argument("--power", type=int, default=60, help="times Redis loses power")
    parser.add_argument("--flush", type=int, default=200, help="times Redis loses everything")
    parser.add_argument("--delete", type=int, default=1_000, help="times Redis loses keys")
    parser.add_argument("--freeze", type=int, default=200, help="times a process is frozen")
    parser.add_argument("--silence", type=int, default=40, help="times the network to each server is silent")
    parser.add_argument("--longest-silence", type=float, default=15.0, help="seconds")
    parser.add_argument("--refuse", type=int, default=30, help="times Redis refuses writes, in each of three ways")
    parser.add_argument("--promote", type=int, default=40, help="times a replica takes the place of Redis")
    parser.add_argument("--replica-ms", type=int, default=0, help="for which each like waits for the replica")
    parser.add_argument("--engine", choices=sorted(IMAGES), default="redis", help="where it starts the servers")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, metavar="STEP", help="only at these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=sorted(STORES), default="sound", help="others are broken on purpose")
    parser.add_argument("--servers", nargs=2, metavar=("REDIS", "MYSQL"), help="names of running containers to use")
    given = parser.parse_args()
    plan = Plan(
        *(given.seconds, given.toggles, given.kills, given.power, given.flush, given.delete, given.freeze),
        *(given.silence, given.refuse, given.promote, given.longest_silence, given.replica_ms),
        kind=given.store,
        seed=given.seed,
        steps=tuple(given.steps),
    )
    with servers(given.servers, given.engine) as (redis, mysql):
        report = harness(plan, redis, mysql)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return int(any(report[fault] for fault in FAULTS))


if __name__ == "__main__":
    sys.exit(main())
