"""People who follow others, and streams of news that stay open, for the mix with news."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator

from .scenario import API
from .tables import say
from .world import World

FOLLOWED = 20  # people whom each of the bench's people follows
_AT_ONCE = 1_000


def has_news(world: World) -> bool:
    """Return whether the version of this world has people to follow and news."""
    return bool(world.mysql.rows("SHOW TABLES LIKE 'inboxes'"))


def follow(world: World) -> None:
    """Have each of the bench's people follow some who have written."""
    authors = [user for (user,) in world.mysql.rows("SELECT DISTINCT user_id FROM posts ORDER BY user_id LIMIT 5000")]
    dice = random.Random(7)
    pairs = [
        (user, followed)
        for _, user in world.people
        for followed in dice.sample(authors, min(FOLLOWED, len(authors)))
        if followed != user
    ]
    for first in range(0, len(pairs), _AT_ONCE):
        part = pairs[first : first + _AT_ONCE]
        values = ", ".join(["(%s, %s, UTC_TIMESTAMP(6))"] * len(part))
        world.mysql.rows(
            f"INSERT IGNORE INTO follows (follower_id, followed_id, created_at) VALUES {values}",  # noqa: S608 - marks alone
            *(value for pair in part for value in pair),
        )
    say(f"{len(world.people):,} people follow {FOLLOWED} each")


@contextlib.contextmanager
def streaming(world: World, count: int) -> Iterator[None]:
    """Keep so many streams of news open, each another person's, shared among the processes."""
    loop, ready, opened = asyncio.new_event_loop(), threading.Event(), list[int]()

    async def run() -> None:
        targets, tokens = world.api.targets, [token for token, _ in world.people[:count]]
        streams = await asyncio.gather(*(_open(targets[at % len(targets)], token) for at, token in enumerate(tokens)))
        opened.append(len(streams))
        ready.set()
        await asyncio.gather(*(_drain(reader) for reader, _ in streams))

    thread = threading.Thread(target=_run, args=(loop, run()), daemon=True)
    thread.start()
    if not ready.wait(120):
        raise RuntimeError("the streams of news were not opened within two minutes")
    say(f"{opened[0]:,} streams of news are open")
    try:
        yield
    finally:
        loop.call_soon_threadsafe(_cancel_all, loop)
        thread.join(10)


def _run(loop: asyncio.AbstractEventLoop, work: object) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(work)  # type: ignore[arg-type]


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()


async def _open(target: str, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = target.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"GET {API}/users/me/notifications/stream HTTP/1.1\r\nHost: {target}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    writer.write(head.encode())
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"a stream of news was answered {status.decode(errors='replace').strip()}")
    return reader, writer


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass
