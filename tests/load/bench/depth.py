"""(d): the first page against the last pages of all posts."""

from __future__ import annotations

from statistics import median
from typing import Any

from . import scenario
from .tables import show
from .world import Options, World, cursor_query

ROWS = 20
PAGES = 400  # different pages on either side, so that no cache has them


def measure(world: World, options: Options) -> dict[str, Any]:
    """Ask for page 1, for pages near the front and for pages at the end, in turn, each side with as many different cursors."""
    total = world.mysql.one("SELECT COUNT(*) FROM posts WHERE post_status = 'ACTIVE'")
    last = total // ROWS  # page 50,000 of a million posts
    count = min(PAGES, last // 4)
    world.write("front", cursors(world, 1, count))
    world.write("end", cursors(world, last - count - 1, count))
    cases = {
        "page 1": scenario.LIST,
        f"pages 2–{count + 1}": scenario.Request("front", "GET", f"{scenario.API}/posts?size={ROWS}&{{front}}"),
        f"pages {last - count:,}–{last:,}": scenario.Request("end", "GET", f"{scenario.API}/posts?size={ROWS}&{{end}}"),
    }
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    errors = 0
    for number in range(-1, options.rounds):
        for name, request in cases.items():
            before = world.mysql.status("Handler_read%")
            # One connection a process: no request waits for another.
            document = scenario.closed([(request, 1.0)], connections=len(world.api.pids), seconds=options.round_seconds)
            run, usage = world.send(document)
            after = world.mysql.status("Handler_read%")
            outcome = run.outcome()
            errors += outcome.errors
            if number >= 0:
                rows = sum(after.values()) - sum(before.values())
                micros = usage.micros(run.sent)
                samples[name].append(
                    {
                        **{key: micros[key] for key in ("api", "mysql", "redis")},
                        **{
                            "rows_read": rows / run.sent,
                            "p50_ms": (outcome.latency.quantile(0.5) or 0) / 1000,
                            "p99_ms": outcome.p99(),
                        },
                    }
                )
    found = {
        name: {key: round(median(one[key] for one in rows), 3) for key in rows[0]} for name, rows in samples.items()
    }
    _, front, end = found
    ratios = {
        "cpu": round(_cpu(found[end]) / _cpu(found[front]), 2),
        "rows_read": round(found[end]["rows_read"] / max(found[front]["rows_read"], 0.001), 2),
        "p50": round(found[end]["p50_ms"] / found[front]["p50_ms"], 2),
    }
    heads = ["", "server CPU µs", "MySQL CPU µs", "rows read a request", "p50 ms", "p99 ms"]
    show(
        f"(d) depth of pagination, {total:,} posts; end over front: CPU {ratios['cpu']}, rows {ratios['rows_read']}, p50 {ratios['p50']}",
        heads,
        [
            [name, *[row[key] for key in ("api", "mysql", "rows_read", "p50_ms", "p99_ms")]]
            for name, row in found.items()
        ],
    )
    return {"posts": total, "pages": found, "end_over_front": ratios, "errors": errors}


def _cpu(row: dict[str, float]) -> float:
    return row["api"] + row["mysql"] + row["redis"]


def cursors(world: World, first: int, count: int) -> list[str]:
    """Return the queries for the pages after `first`, `first` + 1 … full ones."""
    rows = world.mysql.rows(
        "SELECT id, created_at FROM posts WHERE post_status = 'ACTIVE' ORDER BY created_at DESC, id DESC LIMIT %s OFFSET %s",
        count * ROWS,
        first * ROWS - 1,
    )
    return [cursor_query(*row) for row in rows[::ROWS]]
