"""(g): one post that everybody likes at once, counted afterwards against an oracle."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from . import processes, scenario
from .tables import show
from .world import Options, World

# Within which every process shows what another has counted: api.md promises two seconds.
SOON = 2.0


def measure(world: World, options: Options) -> dict[str, Any]:
    """Let people take turns at one post; whoever toggled an odd number of times must like it afterwards."""
    post = world.mysql.rows(
        "SELECT id FROM posts WHERE post_status = 'ACTIVE' ORDER BY created_at DESC LIMIT 1 OFFSET 200"
    )[0][0]
    world.write("target", [post])
    before = likers(world, post)
    toggle = replace(
        scenario.TOGGLE,
        path=f"{scenario.API}/posts/{{target}}/likes",
        headers={"Authorization": "Bearer {turns}"},
        tally="turns",
    )
    run, usage = world.send(
        scenario.closed([(toggle, 1.0)], connections=options.connections, seconds=options.step_seconds)
    )
    outcome = run.outcome()
    expected = oracle(before, [user for _, user in world.people], run.tallies["toggle"])
    world.wait_idle()
    time.sleep(SOON)
    shown = shown_likes(world, post)
    world.like_sync()
    after, column = likers(world, post), world.mysql.one("SELECT like_count FROM posts WHERE id = %s", post)
    exact = not outcome.errors and shown == column == len(expected) and after == expected
    found: dict[str, Any] = {
        "toggles": outcome.good,
        "errors": outcome.kinds(),
        "per_second": round(run.rate),
        "cpu_us": {name: round(value, 1) for name, value in usage.micros(run.sent).items()},
        **outcome.latency.milliseconds(),
        "likes": {"oracle": len(expected), "shown": shown, "rows": len(after), "column": column},
        "missing": len(expected - after),
        "extra": len(after - expected),
        "exact": exact,
    }
    rows: list[list[Any]] = [
        *[[f"CPU µs a toggle, {name}", value] for name, value in found["cpu_us"].items()],
        *[[f"likes, {name}", value] for name, value in found["likes"].items()],
        ["missing, extra", f"{found['missing']}, {found['extra']}"],
        ["p50, p99 ms", f"{found['p50']}, {found['p99']}"],
    ]
    show(
        f"(g) toggles of one post: {found['per_second']:,}/s by {len(world.people):,} people, {'exact' if exact else 'NOT EXACT'}",
        ["", ""],
        rows,
    )
    return found


def oracle(before: set[str], users: list[str], toggles: list[int]) -> set[str]:
    """Return who must like the post after each of `users` toggled so many times. Pure."""
    odd = {user for user, count in zip(users, toggles, strict=True) if count % 2}
    return before ^ odd


def likers(world: World, post: str) -> set[str]:
    return {user for (user,) in world.mysql.rows("SELECT user_id FROM user_post_likes WHERE post_id = %s", post)}


def shown_likes(world: World, post: str) -> int:
    """Return the count that the API shows, when each process says the same; -1 otherwise."""
    counts = {
        json.loads(processes.fetch(f"http://{target}{scenario.API}/posts/{post}"))["stats"]["likeCount"]
        for target in world.api.targets
    }
    return int(counts.pop()) if len(counts) == 1 else -1
