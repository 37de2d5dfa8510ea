"""How far Redis and MySQL are from the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from .board import IN_DOUBT, ON, Board
from .clients import Cast
from .servers import MysqlServer, RedisServer


@dataclass(frozen=True)
class Held:
    """What Redis holds of a post. A size that differs from the set is trusted by nobody."""

    users: frozenset[int]
    size: int | None
    is_bitmap: bool

    @property
    def whole(self) -> bool:
        return self.size is not None and (self.is_bitmap or self.size == len(self.users))


def held(server: RedisServer, post_ids: Sequence[str]) -> list[Held]:
    """Return what Redis holds of the posts, users by their place in the cast."""
    found = []
    client = redis.Redis(host=server.host, port=server.port)
    pipeline = client.pipeline(transaction=True)
    for post_id in post_ids:
        pipeline.get(f"like:size:{post_id}").get(f"like:bits:{post_id}").smembers(f"like:users:{post_id}")
    answers = pipeline.execute()
    client.close()
    for size, bits, members in zip(*(answers[part::3] for part in range(3)), strict=True):
        numbers = [int(number) for number in members]
        if bits is not None:
            numbers = [8 * index + bit for index, byte in enumerate(bits) for bit in range(8) if byte & (0x80 >> bit)]
        users = frozenset(number - 1 for number in numbers)
        found.append(Held(users, None if size is None else int(size), bits is not None))
    return found


def audit(board: Board, server: RedisServer, post_ids: Sequence[str]) -> tuple[int, int]:
    """Return how many likes Redis was asked for while likes go on, and how many it shows otherwise than the oracle.

    Left out is what was in doubt or changed meanwhile: whoever changes a like says so before he sends it. A size that is not
    that of its bitmap counts as a like shown wrongly.
    """
    before = list(zip(board.cells, board.changed, strict=True))
    posts = held(server, post_ids)
    after = zip(board.cells, board.changed, strict=True)
    stable = [was == now and not was[0] & IN_DOUBT for was, now in zip(before, after, strict=True)]
    compared = wrong = 0
    for post, found in enumerate(posts):
        if not found.whole:
            continue
        cells = [(user, board.cell(post, user)) for user in range(board.users)]
        compared += sum(stable[cell] for _, cell in cells)
        wrong += sum(stable[cell] and (user in found.users) != bool(before[cell][0] & ON) for user, cell in cells)
        wrong += found.size != len(found.users)
    return compared, wrong


def _likers(board: Board, post: int) -> set[int]:
    return {user for user in range(board.users) if board.cells[board.cell(post, user)] & ON}


def compare(board: Board, cast: Cast, mysql: MysqlServer, server: RedisServer) -> dict[str, Any]:
    """Return how far the database, its counts and Redis are from the oracle, with nothing pending."""
    posts = {post_id: number for number, post_id in enumerate(cast.post_ids)}
    users = {user_id: number for number, user_id in enumerate(cast.user_ids)}
    rows: list[set[int]] = [set() for _ in cast.post_ids]
    with mysql.connect("bapsang") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT post_id, user_id FROM user_post_likes")
        for post_id, user_id in cursor.fetchall():
            rows[posts[post_id]].add(users[user_id])
        cursor.execute("SELECT id, like_count FROM posts")
        counted = {posts[post_id]: count for post_id, count in cursor.fetchall()}
    live = [(number, found) for number, found in enumerate(held(server, cast.post_ids)) if found.whole]
    certain = [
        {user for user in range(board.users) if not board.cells[board.cell(post, user)] & IN_DOUBT}
        for post in range(board.posts)
    ]
    truth = [_likers(board, post) & certain[post] for post in range(board.posts)]
    return {
        "likes": sum(map(len, rows)),
        "missing": sum(len(truth[post] - rows[post]) for post in range(board.posts)),
        "extra": sum(len((rows[post] & certain[post]) - truth[post]) for post in range(board.posts)),
        "in_doubt": board.posts * board.users - sum(map(len, certain)),
        "wrong_counts_mysql": sum(counted[post] != len(rows[post]) for post in range(board.posts)),
        "wrong_counts_redis": sum(found.size != len(rows[post]) for post, found in live),
        "redis_differs_from_mysql": sum(len(found.users ^ rows[post]) for post, found in live),
        "loaded_posts": len(live),
        "bitmaps": sum(found.is_bitmap for _, found in live),
    }
