"""(e) and (f): what writing likes back costs by the number of posts, and what a like takes in Redis. On servers of their own."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.load import like_sync_cost, likes_memory

from .tables import say
from .world import Options


def like_sync(options: Options) -> dict[str, Any]:
    say("\n(e) like-sync of 1,000 dirty posts")
    return like_sync_cost.measure([1_000, 10_000] if options.quick else [1_000, 1_000_000])


def memory(options: Options) -> dict[str, Any]:
    say("\n(f) Redis bytes a like")
    sizes = [size for size in likes_memory.SIZES if size <= 50_000] if options.quick else likes_memory.SIZES
    return asyncio.run(likes_memory.measure(sizes))
