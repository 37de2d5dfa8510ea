"""Redis bytes a like, by how many like a post: `python -m tests.load.likes_memory`.

Prints a table, saves docs/benchmarks/likes-memory.json. A million users; who likes is drawn from all of them.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.servers import redis_server

from bapsang_api.kit.redis.client import open_redis
from bapsang_api.likes.store import EPOCH, LikeStore, PostKeys

USERS = 1_000_000
SIZES = (1, 5, 20, 100, 512, 1_000, 4_096, 10_000, 49_999, 50_000, 200_000, 1_000_000)
# What a like may cost (bytes): sets up to 512, above, and per user once there is one bit for each.
SMALL, LARGE, PER_USER = 8, 45, 1
RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "likes-memory.json"


async def measured(likes: LikeStore, redis: Any, size: int, rng: random.Random) -> dict[str, Any]:
    """Load a post with `size` likes less one, add the last as a user does, and look at its keys."""
    post_id = f"{size:026d}"
    keys = PostKeys.of(post_id)
    numbers = rng.sample(range(1, USERS + 1), size)
    compact = size - 1 >= likes.compact_from
    await likes.begin_load(post_id, "load")
    await likes.stage(post_id, "load", numbers[1:], compact=compact)
    assert await likes.finish_load(post_id, "load", {}, staged=size - 1, compact=compact)
    started = time.perf_counter()
    liked = await likes.set(post_id, "0" * 26, numbers[0], True, datetime.now(UTC))
    last = time.perf_counter() - started
    assert liked is not None
    assert liked.count == size
    key = keys.bits if await redis.exists(keys.bits) else keys.users
    own = await redis.memory_usage(key, samples=0)
    mark = await redis.memory_usage(keys.size, samples=0)
    return {
        "likes": size,
        "form": "bitmap" if key == keys.bits else await redis.object("encoding", key),
        "bytes": own,
        "bytes_of_size_key": mark,
        "bytes_a_like": round(own / size, 2),
        "bytes_a_user": round(own / USERS, 3),
        "last_like_ms": round(1000 * last, 2),
    }


async def measure(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Return what a like takes on posts with so many likes."""
    rows = []
    with redis_server() as server:
        redis = open_redis(server.url, seconds=30)
        server.client().config_set("set-max-intset-entries", 50_000)
        await redis.set(EPOCH, "bench")
        for size in sizes:
            row = await measured(LikeStore(redis), redis, size, random.Random(size))
            rows.append(row)
            sys.stdout.write(
                f"{row['likes']:>9,} {row['form']:>10} {row['bytes']:>10,} B {row['bytes_a_like']:>8} B/like"
                f" {row['bytes_a_user']:>6} B/user {row['last_like_ms']:>7} ms\n"
            )
        await redis.aclose()
    return {"users": USERS, "rows": rows}


if __name__ == "__main__":
    result = asyncio.run(measure())
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
