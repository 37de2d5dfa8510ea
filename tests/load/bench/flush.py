"""(i): Redis loses everything at full load. What the first seconds look like, who loads what, and whether a count is wrong."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import processes, scenario
from .tables import say, show
from .world import Options, World

BEFORE_SECONDS, AFTER_SECONDS, QUICK_BEFORE = 10, 20, 4
FIRST = 10  # seconds after the flush that are looked at
LOADING = "like:hydrate:"  # the key that a process takes to load a post's likes: docs/likes.md


@dataclass
class Toggle:
    """An answered toggle, or one whose answer never came (status 0); microseconds since 1970."""

    due: int
    ended: int
    status: int
    user: int
    post: int


@dataclass
class Verdict:
    """What became of the toggles of (post, user) pairs."""

    pairs: int = 0
    in_doubt: int = 0
    lost_with_redis: int = 0  # toggles between the last write-back and the flush: the recovery point
    wrong: list[tuple[str, str]] = field(default_factory=list)


def measure(world: World, options: Options) -> dict[str, Any]:
    world.renew()
    rate = options.rate / scenario.HEADROOM
    before = QUICK_BEFORE if options.quick else BEFORE_SECONDS
    seconds = before + AFTER_SECONDS if not options.quick else before + FIRST + 2
    log = world.folder / "toggles.tsv"
    requests = [(replace(request, log=request.name.startswith("toggle")), share) for request, share in scenario.mix()]
    document = scenario.opened(requests, rate=rate, seconds=seconds, window=1.0, log=str(log))
    world.like_sync()  # from here on the rows are what the oracle starts from
    start = rows_of(world)
    with _loads(world) as loads, world.generator.start(world.document(document)) as sending:
        time.sleep(before)
        flush = flush_all(world)
        run = sending.result()
        again = Counter(post for at, post in loads if at >= flush[0])
    world.wait_idle()
    world.like_sync()
    toggles = read_log(log, _lines(world, "hot"), _lines(world, "posts"))
    verdict = judge(toggles, flush, start, rows_of(world), [user for _, user in world.people])
    shown = _shown(world, {post for post, _ in toggles})
    first = int(flush[0] / 1e6 - run.started)
    outcome = run.window(first, first + FIRST)
    reads = run.window(first, first + FIRST, *scenario.READ_CLASSES)
    found = {
        "rate": round(rate),
        "first_seconds": FIRST,
        "before_p99_ms": run.window(1, first).p99(),
        "p99_ms": outcome.p99(),
        "read_p99_ms": reads.p99(),
        "max_ms": outcome.latency.milliseconds()["max"],
        "errors": outcome.kinds(),
        "posts_loaded": len(again),
        "loads": sum(again.values()),
        "most_loads_of_a_post": max(again.values(), default=0),
        "pairs": verdict.pairs,
        "in_doubt": verdict.in_doubt,
        "toggles_lost_with_redis": verdict.lost_with_redis,
        "wrong_pairs": len(verdict.wrong),
        "counts_compared": len(shown),
        "wrong_counts": sum(1 for one in shown.values() if len(set(one)) > 1),
    }
    show(
        f"(i) FLUSHALL at {rate:,.0f} requests a second: the first {FIRST} s",
        ["", ""],
        [[name, str(value)] for name, value in found.items()],
    )
    if not again:
        say(f"No process began to load a post: is {LOADING}* still the key?")
    return found


def flush_all(world: World) -> tuple[int, int]:
    """Empty Redis; return from when to when that was, in microseconds since 1970."""
    with contextlib.closing(world.redis.client()) as client:
        begun = time.time_ns() // 1000
        client.flushall()
        return begun, time.time_ns() // 1000


@contextlib.contextmanager
def _loads(world: World) -> Iterator[list[tuple[int, str]]]:
    """Yield a list that fills with (microseconds, post) whenever a process begins to load a post's likes."""
    found: list[tuple[int, str]] = []
    client = world.redis.client()
    client.config_set("notify-keyspace-events", "K$")
    listening: Any = client.pubsub()  # type: ignore[no-untyped-call]
    listening.psubscribe(f"__keyspace@0__:{LOADING}*")
    stop = threading.Event()

    def listen() -> None:
        while not stop.is_set():
            message = listening.get_message(timeout=0.2)
            if message and message["type"] == "pmessage" and message["data"] == "set":
                found.append((time.time_ns() // 1000, message["channel"].rpartition(":")[2]))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
        listening.close()
        client.config_set("notify-keyspace-events", "")
        client.close()


def read_log(log: Path, hot: list[str], posts: list[str]) -> dict[tuple[str, int], list[Toggle]]:
    """Return the toggles of each (post, number of the user), in the order in which they were answered."""
    found: dict[tuple[str, int], list[Toggle]] = defaultdict(list)
    for line in log.read_text().splitlines():
        name, due, ended, status, *chosen = line.split("\t")
        # The headers come after the path: the post is the first that was chosen, the person the second.
        post, user = int(chosen[0]), int(chosen[1])
        toggle = Toggle(int(due), int(ended), int(status), user, post)
        found[(hot if name == "toggle_hot" else posts)[post], user].append(toggle)
    return found


def judge(
    toggles: dict[tuple[str, int], list[Toggle]],
    flush: tuple[int, int],
    start: set[tuple[str, str]],
    end: set[tuple[str, str]],
    users: list[str],
) -> Verdict:
    """Compare rows with what must have become of each pair. Pure.

    Nothing was written back between `start` and the flush, so what was toggled before it is lost with Redis, and what came
    after it starts from the rows. A toggle that was on its way during the flush, or that got no answer, leaves its pair in doubt.
    """
    verdict = Verdict(pairs=len(toggles))
    for (post, number), found in toggles.items():
        pair = (post, users[number])
        if any(one.status // 100 != 2 or (one.due <= flush[1] and one.ended >= flush[0]) for one in found):
            verdict.in_doubt += 1
            continue
        later = sum(1 for one in found if one.due > flush[1])
        verdict.lost_with_redis += len(found) - later
        if (pair in end) != ((pair in start) ^ bool(later % 2)):
            verdict.wrong.append(pair)
    return verdict


def rows_of(world: World) -> set[tuple[str, str]]:
    """Return all likes of the posts that people read: (post, user)."""
    posts = (*_lines(world, "posts"), *_lines(world, "hot"))
    rows = world.mysql.rows("SELECT post_id, user_id FROM user_post_likes WHERE post_id IN %s", posts)
    return {(post, user) for post, user in rows}


def _shown(world: World, posts: set[str]) -> dict[str, tuple[int, int, int]]:
    """Return for each post what the API shows, the column and the rows."""
    names = sorted(posts)[:2_000]
    columns = dict(world.mysql.rows("SELECT id, like_count FROM posts WHERE id IN %s", tuple(names)))
    counted = dict(
        world.mysql.rows(
            "SELECT post_id, COUNT(*) FROM user_post_likes WHERE post_id IN %s GROUP BY post_id", tuple(names)
        )
    )
    found = {}
    for post in names:
        stats = json.loads(processes.fetch(f"{world.api.base}{scenario.API}/posts/{post}"))["stats"]
        found[post] = (stats["likeCount"], columns[post], counted.get(post, 0))
    return found


def _lines(world: World, name: str) -> list[str]:
    return (world.folder / f"{name}.txt").read_text().split()
