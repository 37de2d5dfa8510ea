"""What two versions carry, in turn: the highest rate within the service levels; what is answered at 70 % of it, and at 150 %; and
pages by cursor and lists of comments beside the first page, while people write; and what a request costs that comes alone."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from tests.load.versions import order

from . import mix, scenario
from .depth import cursors
from .outcome import Outcome, Run
from .proc import Watch
from .tables import say, show
from .world import Options, World

STEADY, OVERLOAD = 0.7, 1.5
#: Shares of a closed run that are posts and comments being written.
WRITING = {"create": 0.01, "comment": 0.015}
CURSORS = 60  # different pages below the first, as readers are on who came at different times


def measure(worlds: tuple[World, World], names: tuple[str, str], options: Options) -> dict[str, Any]:
    """Return what each version carries, by "old" and "new"."""
    for world in worlds:
        mix.grow(world, options)
    best = _highest(worlds, names, options)
    found = {}
    for at, key in enumerate(("old", "new")):
        found[key] = {
            "highest_rate": round(best[at]),
            "steady": _steady(worlds[at], best[at] * STEADY, options),
            "overload": _overload(worlds[at], best[at], options),
        }
    pages, alone = _pages(worlds, options), _alone(worlds, options)
    for at, key in enumerate(("old", "new")):
        found[key] |= {"beside_writes": pages[at], "alone": alone[at]}
    _show(names, found)
    return {**found, "highest_new_over_old": round(best[1] / best[0], 3) if best[0] else None}


def _highest(worlds: tuple[World, World], names: tuple[str, str], options: Options) -> list[float]:
    """Return the highest rate of each; both climb in turn, step by step."""
    climbs = [mix.climbing(mix.rates(options), 1 if options.quick else mix.HALVINGS) for _ in worlds]
    wanted: list[float | None] = [next(climb) for climb in climbs]
    best, number = [0.0, 0.0], 0
    while any(rate is not None for rate in wanted):
        for at in order(number):
            rate = wanted[at]
            if rate is None:
                continue
            step = mix.step(worlds[at], rate, options)
            say(f"  {names[at]}: {rate:,.0f}/s: {mix.said(step)}")
            try:
                wanted[at] = climbs[at].send(step["holds"])
            except StopIteration as ended:
                wanted[at], best[at] = None, ended.value
        number += 1
    return best


def _steady(world: World, rate: float, options: Options) -> dict[str, Any]:
    with Watch(world.pids) as watch:
        run, usage = mix.at_rate(world, rate, options.seconds, warmup=min(mix.WARM_SECONDS, options.seconds / 4))
    mix.settle(world)
    return {
        **{"rate": round(rate), "seconds": round(run.seconds, 1), "errors": run.outcome().errors},
        **mix.p99s(run),
        "api_us": round(usage.micros(run.sent)["api"]),
        "rss_mib": max(value for name, value in watch.highest.items() if name.startswith("api")),
    }


def _overload(world: World, best: float, options: Options) -> dict[str, Any]:
    """Offer more than can be carried. In time is within the service levels; refused is an answer of 503."""
    run, _ = mix.at_rate(world, best * OVERLOAD, options.step_seconds, warmup=options.step_seconds / 4)
    mix.settle(world)
    in_time = sum(_within(run, classes, p99) for classes, (_, p99) in mix.LEVELS.items())
    whole = run.outcome()
    refused = whole.refused.quantile(0.99)
    return {
        "rate": round(best * OVERLOAD),
        "in_time_of_carried": round(in_time / (best * run.seconds), 3) if best else 0.0,
        "refused": whole.refused.count,
        "refused_p99_ms": None if refused is None else round(refused / 1000, 1),
        "by": whole.kinds(),
    }


def _within(run: Run, classes: tuple[str, ...], milliseconds: float) -> int:
    latency = run.outcome(*classes).latency
    return sum(count for lowest, count in latency.counts.items() if lowest < milliseconds * 1000)


def _pages(worlds: tuple[World, World], options: Options) -> list[dict[str, Any]]:
    """Ask for the three kinds of pages in turn, in a closed loop of which a part writes posts and comments."""
    first, comments = scenario.LIST, scenario.on("warm", scenario.COMMENTS)
    later = scenario.Request("later", "GET", f"{scenario.API}/posts?size=20&{{later}}")
    kinds = {"first page": first, "by cursor": later, "comments": comments}
    samples: list[dict[str, list[Mapping[str, float]]]] = [{name: [] for name in kinds} for _ in worlds]
    for number in range(options.rounds):
        for name, request in kinds.items():
            for at in order(number):
                world = worlds[at]
                world.renew()
                world.write("later", cursors(world, 1, CURSORS))
                parts = [(request, 1.0 - sum(WRITING.values()))]
                parts += [(scenario.CREATE, WRITING["create"]), (scenario.COMMENT, WRITING["comment"])]
                sent = scenario.closed(parts, connections=options.connections, seconds=options.round_seconds)
                run, usage = world.send(sent)
                samples[at][name].append(_of(run.outcome(request.name), usage.micros(run.sent)["api"]))
    found = []
    for of_world in samples:
        rows = {
            name: {key: round(median(one[key] for one in runs), 2) for key in runs[0]}
            for name, runs in of_world.items()
        }
        front = rows["first page"]
        for row in rows.values():
            row |= {f"{key}_over_first": round(row[key] / front[key], 2) for key in ("p50_ms", "api_us")}
        found.append(rows)
    return found


def _alone(worlds: tuple[World, World], options: Options) -> list[dict[str, float]]:
    """Ask each process for details one at a time, each of which wakes its loop, and with all connections, which keep it busy."""
    detail = scenario.on("warm", scenario.DETAIL)
    counts = {"alone": len(worlds[0].api.pids), "busy": options.connections}
    samples: list[dict[str, list[float]]] = [{name: [] for name in counts} for _ in worlds]
    for number in range(options.rounds):
        for name, connections in counts.items():
            for at in order(number):
                sent = scenario.closed([(detail, 1.0)], connections=connections, seconds=options.round_seconds)
                run, usage = worlds[at].send(sent)
                samples[at][name].append(usage.micros(run.sent)["api"])
    found = []
    for of_world in samples:
        micros = {f"{name}_us": round(median(values)) for name, values in of_world.items()}
        found.append({**micros, "alone_over_busy": round(micros["alone_us"] / micros["busy_us"], 2)})
    return found


def _of(outcome: Outcome, micros: float) -> dict[str, float]:
    return {"p50_ms": (outcome.latency.quantile(0.5) or 0) / 1000, "p99_ms": outcome.p99(), "api_us": micros}


def _show(names: tuple[str, str], found: Mapping[str, Any]) -> None:
    rows = []
    for name, one in zip(names, (found["old"], found["new"]), strict=True):
        steady, over = one["steady"], one["overload"]
        rows.append(
            [
                *(name, one["highest_rate"], steady["rate"], steady["errors"], steady["read_p99_ms"]),
                *(steady["write_p99_ms"], steady["rss_mib"], over["in_time_of_carried"], over["refused_p99_ms"]),
            ]
        )
    heads = [
        "",
        "highest rate",
        "at 70 %",
        "errors",
        "read p99 ms",
        "write p99 ms",
        "RSS MiB",
        "at 150 %: in time",
        "refused p99 ms",
    ]
    show("limits", heads, rows)
    show(
        "API µs of a detail",
        ["", "alone", "busy", "alone over busy"],
        [[name, *found[key]["alone"].values()] for name, key in zip(names, ("old", "new"), strict=True)],
    )
    rows = [
        [
            f"{names[at]}: {kind}",
            *[row[key] for key in ("p50_ms", "p99_ms", "p50_ms_over_first", "api_us", "api_us_over_first")],
        ]
        for at, key in enumerate(("old", "new"))
        for kind, row in found[key]["beside_writes"].items()
    ]
    show("pages while people write", ["", "p50 ms", "p99 ms", "over first page", "API µs", "over first page"], rows)
