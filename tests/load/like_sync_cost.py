"""What a run of like-sync costs by the number of posts: `python -m tests.load.like_sync_cost [--posts 1000 1000000]`.

The same number of dirty posts (1,000, five likes each) among few and among many. Prints a table, saves
docs/benchmarks/like-sync-cost.json; exits with 1 when the cost grows more than 1.3 times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.servers import MysqlServer, RedisServer, mysql_server, redis_server
from ulid import ULID

from bapsang_api.jobs import PATIENT
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.redis.client import open_redis
from bapsang_api.kit.security.tokens import Principal
from bapsang_api.likes.service import LikeService
from bapsang_api.likes.store import LikeStore
from bapsang_api.likes.sync import LikeSync
from bapsang_api.migrate import migrate
from bapsang_api.upkeep.recount import Reconciliation
from bapsang_api.upkeep.store import RecountStore
from bapsang_api.users.numbers import UserNumbers

DIRTY, LIKERS, RUNS, LIMIT = 1_000, 5, 5, 1.3
RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "like-sync-cost.json"


@dataclass(frozen=True)
class Cost:
    """Of one run: wall time without waiting for Redis's disk, and CPU of this process (milliseconds)."""

    posts: int
    dirty: int
    milliseconds: float
    cpu_milliseconds: float
    with_disk_milliseconds: float


def fill(mysql: MysqlServer, posts: int, rng: random.Random) -> tuple[list[str], list[str]]:
    """Make users and posts; return the ids of users and posts."""
    mysql.create_database()
    migrate(mysql.url)
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    users = [f"{number:026d}" for number in range(LIKERS)]
    post_ids = [
        str(ULID.from_bytes((start + 20_000 * number).to_bytes(6, "big") + rng.randbytes(10)))
        for number in range(posts)
    ]
    with mysql.connect("bapsang") as connection, connection.cursor() as cursor:
        connection.autocommit(False)
        cursor.executemany(
            "INSERT INTO users (id, nickname, user_role, user_status, created_at) VALUES (%s, %s, 'USER', 'ACTIVE', NOW(6))",
            [(user, f"u{number}") for number, user in enumerate(users)],
        )
        for chunk in _chunks(post_ids):
            cursor.executemany(
                "INSERT INTO posts (id, user_id, title, created_at, view_count, like_count, comment_count, post_status)"
                " VALUES (%s, %s, 't', NOW(6), 0, 0, 0, 'ACTIVE')",
                [(post_id, users[0]) for post_id in chunk],
            )
            connection.commit()
    return users, post_ids


def _chunks(items: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), 10_000):
        yield items[start : start + 10_000]


async def cost(mysql: MysqlServer, redis_server: RedisServer, posts: int) -> Cost:
    rng = random.Random(5)
    users, post_ids = fill(mysql, posts, rng)
    numbers = {user: number for number, user in enumerate(users, 1)}
    redis_server.client().flushall()
    database, redis = Database(mysql.url, PATIENT), open_redis(redis_server.url, seconds=10)
    likes, clock = LikeStore(redis), SystemClock()
    service = LikeService(database, likes, UserNumbers(database), clock)
    sync = LikeSync(database, likes, clock, Reconciliation(RecountStore(redis, clock)).run)
    dirty = rng.sample(post_ids, DIRTY)
    walls, cpus, disks = [], [], []
    for _ in range(RUNS):
        for post_id in dirty:
            for user in users:
                await service.toggle(post_id, Principal(user, "USER", user, numbers[user]))
        # The log is synced once a second, whatever there is to write: waiting for that is no cost of the run.
        waited = time.perf_counter()
        redis_server.client().execute_command("WAITAOF", 1, 0, 5_000)
        disk = time.perf_counter() - waited
        redis_server.client().config_set("appendfsync", "always")
        wall, cpu = time.perf_counter(), time.process_time()
        report = await sync.run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        disks.append(walls[-1] + disk)
        redis_server.client().config_set("appendfsync", "everysec")
        assert report.posts == DIRTY
        assert report.differences == 0
    await database.close()
    await redis.aclose()
    milliseconds = (round(1000 * median(values), 1) for values in (walls, cpus, disks))
    return Cost(posts, DIRTY, *milliseconds)


def measure(sizes: list[int]) -> dict[str, Any]:
    """Return what a run costs with each of these numbers of posts, and the largest cost over the smallest."""
    rows = []
    with redis_server() as redis, mysql_server() as mysql:
        for posts in sizes:
            rows.append(asyncio.run(cost(mysql, redis, posts)))
            row = rows[-1]
            sys.stdout.write(
                f"{row.posts:>10,} posts {row.dirty:>6,} dirty {row.milliseconds:>9} ms {row.cpu_milliseconds:>9} ms CPU\n"
            )
    ratio = max(row.cpu_milliseconds for row in rows) / min(row.cpu_milliseconds for row in rows)
    wall = max(row.milliseconds for row in rows) / min(row.milliseconds for row in rows)
    sys.stdout.write(f"ratio: CPU {ratio:.2f}, wall {wall:.2f} (limit {LIMIT})\n")
    return {"rows": [asdict(row) for row in rows], "cpu_ratio": round(ratio, 2), "wall_ratio": round(wall, 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, nargs="+", default=[1_000, 1_000_000])
    result = measure(parser.parse_args().posts)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    return int(result["cpu_ratio"] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
