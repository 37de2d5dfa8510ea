"""Two versions of the API in one run, in turn (`make bench AGAINST=commit`).

Each version has servers of its own, of the same images and settings, on a copy of the same data that it migrates itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.load.versions import Pairs, cells, unpacked

from bapsang_local.failure import Failure

from . import limits, mix, news, processes, scenario
from .interpreter import CODE
from .processes import Pair
from .routes import NOTHING, OWN, WARM_SECONDS
from .scenario import READ_CLASSES, WRITE_CLASSES
from .tables import say, show
from .world import WARM_POSTS, Options, World

PARTS = ("routes", "mix", "limits")
NEWS = "news"  # the mix with home feed, news and streams, where a version has them; only when asked for
_STACK = ("api", "mysql", "redis")


@dataclass(frozen=True)
class Version:
    """A version of the API: what it is called, and the folder that holds its `bapsang_api`."""

    name: str
    code: Path

    def revisions(self) -> set[str]:
        return {path.name for path in (self.code / "bapsang_api/migrations/versions").glob("r*.py")}


def of_checkout() -> Version:
    return Version("this checkout", CODE)


def of_commit(commit: str, folder: Path) -> Version:
    """Unpack the API of a commit into a folder. Raises Failure when there is no such commit."""
    return Version(*unpacked(commit, "api", folder))


def seeder(old: Version, new: Version) -> Version:
    """Return the version whose data both can use: the other has its migrations and perhaps more. Raises Failure if none."""
    before, after = old.revisions(), new.revisions()
    if after <= before:
        return new
    if before <= after:
        return old
    only = ", ".join(sorted((before - after) | (after - before)))
    raise Failure(
        f"{old.name} and {new.name} each have migrations that the other lacks ({only}).",
        "Neither can use the data of the other: compare each with a commit that both come from.",
    )


def measure(
    worlds: tuple[World, World], names: tuple[str, str], options: Options, only: Sequence[str]
) -> dict[str, Any]:
    """Measure the parts for the worlds of two versions."""
    found: dict[str, Any] = {}
    with processes.uvicorn(
        worlds[0].python, "tests.load.baseline.nothing:app", {}, worlds[0].logs, len(worlds[0].api.pids), ready="/"
    ) as bare:
        for part in (part for part in (*PARTS, NEWS) if part in only):
            if part == "limits":
                found[part] = limits.measure(worlds, names, options)
            else:
                found[part] = {"routes": _routes, "mix": _mix, NEWS: _news}[part](worlds, bare, options)
                _show(part, names, found[part])
            for world in worlds:
                mix.settle(world)
    return found


def _routes(worlds: tuple[World, World], bare: Pair, options: Options) -> dict[str, Any]:
    """Each hot route in a closed loop."""

    def run(world: World, request: scenario.Request, seconds: float, pair: Pair | None = None) -> dict[str, float]:
        return _cost(world, _closed(request, options.connections, seconds), pair)

    for world in worlds:
        world.renew()
        load = scenario.on("warm_turns", scenario.TOGGLE)
        world.send(scenario.closed([(load, 1.0)], connections=8, seconds=120, limit=2 * WARM_POSTS))
        for request in OWN.values():
            run(world, request, min(WARM_SECONDS, options.round_seconds))
    samples: dict[str, Pairs] = {name: Pairs() for name in OWN}
    floor: list[dict[str, float]] = []
    for number in range(options.rounds):
        for name, request in OWN.items():
            samples[name].add(number, lambda at, request=request: run(worlds[at], request, options.round_seconds))  # type: ignore[misc]
        floor.append(run(worlds[0], NOTHING["bare ASGI"], options.round_seconds, bare))
        say(f"routes: pair {number + 1} of {options.rounds}")
    return summary(samples, floor)


def _mix(worlds: tuple[World, World], bare: Pair, options: Options) -> dict[str, Any]:
    """The mix of the contract at its peak."""
    return _peak(worlds, bare, options, (False, False))


def _news(worlds: tuple[World, World], bare: Pair, options: Options) -> dict[str, Any]:
    """The mix with home feed, news and open streams, beside the mix alone of a version that has none of them."""
    having = [news.has_news(world) for world in worlds]
    with contextlib.ExitStack() as stack:
        for world, has in zip(worlds, having, strict=True):
            if has:
                news.follow(world)
                stack.enter_context(news.streaming(world, scenario.STREAMS))
        return _peak(worlds, bare, options, (having[0], having[1]))


def _peak(worlds: tuple[World, World], bare: Pair, options: Options, with_news: tuple[bool, bool]) -> dict[str, Any]:
    for world in worlds:
        mix.grow(world, options)
    peak, floor = Pairs(), []
    for number in range(options.rounds):

        def run(at: int) -> dict[str, float]:
            world = worlds[at]
            world.renew()
            sent = scenario.opened(
                scenario.mix(news=with_news[at]),
                rate=options.rate,
                seconds=options.step_seconds,
                warmup=options.step_seconds / 10,
            )
            found = _cost(world, sent)
            mix.settle(world)
            return found

        peak.add(number, run)
        floor.append(_cost(worlds[0], _closed(NOTHING["bare ASGI"], options.connections, options.round_seconds), bare))
        say(f"mix: pair {number + 1} of {options.rounds}")
    return summary({"peak": peak}, floor)


def _closed(request: scenario.Request, connections: int, seconds: float) -> dict[str, Any]:
    return scenario.closed([(request, 1.0)], connections=connections, seconds=seconds)


def _cost(world: World, sent: Mapping[str, Any], pair: Pair | None = None) -> dict[str, float]:
    run, usage = world.send(sent, pair)
    micros, whole = usage.micros(run.sent), run.outcome()
    found = {"server": micros["api"], "stack": sum(micros[name] for name in _STACK), "p99_ms": whole.p99()}
    if run.windows.keys() & set(WRITE_CLASSES) and run.windows.keys() & set(READ_CLASSES):
        found |= mix.p99s(run)
    return {**found, "errors": whole.errors, "others": usage.others}


def summary(samples: Mapping[str, Pairs], floor: list[dict[str, float]]) -> dict[str, Any]:
    """Return the record of each row; `bare` is the server's CPU of a request to the application that does nothing."""
    return {
        "bare": round(median(one["server"] for one in floor), 2),
        "rows": {name: found.record("errors", "others") for name, found in samples.items()},
    }


def _show(part: str, names: tuple[str, str], found: Mapping[str, Any]) -> None:
    body = []
    for name, row in found["rows"].items():
        ratios = row["new_over_old"]
        both = (row["old"], row["new"])
        times = [f"{one['server'] / found['bare']:.1f}" for one in both]
        errors = sum(int(one["errors"]) for one in both)
        servers = [one["server"] for one in both]
        body.append([name, *servers, *cells(ratios["server"]), *cells(ratios["stack"]), *times, errors])
    old, new = names
    heads = ["CPU µs a request", f"server: {old}", new, "new/old", "range", "with stores: new/old", "range"]
    show(
        f"{part}: {old} against {new}; bare ASGI {found['bare']:.0f} µs",
        [*heads, "× bare, old", "× bare, new", "errors"],
        body,
    )
