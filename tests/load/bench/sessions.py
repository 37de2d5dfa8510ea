"""The mix without sessions, with refreshes, and with refreshes and logins, in turn: what they add must be what they cost themselves."""

from __future__ import annotations

from statistics import median
from typing import Any

from tests.load.versions import order

from . import mix, scenario
from .logins import PART, without
from .scenario import AUTH_CLASSES
from .tables import say, show
from .world import Options, World

ROUNDS = 5
KINDS = {"without sessions": AUTH_CLASSES, "with refreshes": ("login",), "with both": ()}


def measure(world: World, options: Options) -> dict[str, Any]:
    """All other requests come as often in each of the three: at a third of the peak, where both cores have room."""
    mix.grow(world, options)
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in KINDS}
    rounds = 2 if options.quick else ROUNDS
    for number in range(rounds):
        for name in list(KINDS)[:: 1 if order(number) == (0, 1) else -1]:
            samples[name].append(_run(world, options, KINDS[name]))
        say(f"sessions: round {number + 1} of {rounds}")
    found = summary(samples)
    rows = [[name, *found[name].values()] for name in KINDS]
    title = "the mix with and without sessions; API ms that one adds: "
    title += ", ".join(f"{name} {one['median']}" for name, one in found["added_api_ms"].items())
    show(title, ["", *found[next(iter(KINDS))]], rows)
    return found


def _run(world: World, options: Options, names: tuple[str, ...]) -> dict[str, float]:
    world.renew()
    rate, requests = without(*names, rate=options.rate * PART)
    sent = scenario.opened(requests, rate=rate, seconds=options.step_seconds)
    run, usage = world.send(sent)
    mix.settle(world)
    kinds = {name: run.outcome(name).requests for name in AUTH_CLASSES}
    return {
        **{"requests": run.sent, **kinds, "api_s": usage.seconds["api"], "api_us": usage.micros(run.sent)["api"]},
        **{"read_p99_ms": mix.p99s(run)["read_p99_ms"], "errors": run.outcome().errors, "others": usage.others},
    }


def summary(samples: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return medians by kind, and the API's CPU milliseconds that each refresh and each login adds, by round. Pure."""
    bare, refreshing, both = samples.values()
    added = {
        "refresh": [_added(more, less, "refresh") for less, more in zip(bare, refreshing, strict=True)],
        "login": [_added(more, less, "login") for less, more in zip(refreshing, both, strict=True)],
    }
    return {
        **{
            name: {key: round(median(one[key] for one in runs), 2) for key in runs[0]} for name, runs in samples.items()
        },
        "added_api_ms": {
            name: {"median": round(median(ms), 2), "low": round(min(ms), 2), "high": round(max(ms), 2)}
            for name, ms in added.items()
        },
    }


def _added(more: dict[str, float], less: dict[str, float], name: str) -> float:
    """Return the milliseconds that one of `name` adds: what the other requests cost, which come by chance, is taken off."""
    others = less["api_s"] / less["requests"] * (more["requests"] - more[name])
    return 1000 * (more["api_s"] - others) / more[name]
