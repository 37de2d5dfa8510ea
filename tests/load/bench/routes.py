"""(a) and (b): what a request of each hot route costs, beside one that does nothing and beside what people usually write."""

from __future__ import annotations

import contextlib
from statistics import median
from typing import Any

from . import processes, scenario
from .processes import AWS, Pair
from .tables import say, show
from .world import WARM_POSTS, Options, World

OWN = {
    "health": scenario.HEALTH,
    "list": scenario.LIST,
    "list, cursor": scenario.SCROLL,
    "detail, no token": scenario.on("warm", scenario.DETAIL),
    "detail, token": scenario.on("warm", scenario.signed_in(scenario.DETAIL)),
    "toggle": scenario.on("warm", scenario.TOGGLE),
    "comments": scenario.on("warm", scenario.COMMENTS),
    "refresh": scenario.REFRESH,
    # As they come at the peak: some posts must be loaded first.
    "detail, token, any post": scenario.signed_in(scenario.DETAIL),
    "toggle, any post": scenario.TOGGLE,
}
USUAL = {
    "usual: list": scenario.LIST,
    "usual: detail, token": OWN["detail, token"],
    "usual: toggle": OWN["toggle"],
}
COMPARED = {"list": "usual: list", "detail, token": "usual: detail, token", "toggle": "usual: toggle"}
NOTHING = {"bare ASGI": scenario.Request("noop", "GET", "/")}
WARM_SECONDS = 2.0


def measure(world: World, options: Options) -> dict[str, Any]:
    """Run all routes in turn, round after round, so that whatever drifts meets all alike."""
    environment = {
        "BASELINE_DATABASE_URL": world.mysql.url,
        "BASELINE_REDIS_URL": world.redis.url,
        "BASELINE_KEY_FILE": str(world.key_file),
        "BASELINE_ISSUER": processes.ISSUER,
        **AWS,
    }
    count = len(world.api.pids)
    with contextlib.ExitStack() as stack:
        usual = stack.enter_context(
            processes.uvicorn(
                world.python, "tests.load.baseline.app:app", environment, world.logs, count, ready="/api/v1/health"
            )
        )
        nothing = stack.enter_context(
            processes.uvicorn(world.python, "tests.load.baseline.nothing:app", {}, world.logs, count, ready="/")
        )
        cases = {
            **{name: (request, world.api) for name, request in OWN.items()},
            **{name: (request, usual) for name, request in USUAL.items()},
            **{name: (request, nothing) for name, request in NOTHING.items()},
        }
        return _rounds(world, options, cases)


def _rounds(world: World, options: Options, cases: dict[str, tuple[scenario.Request, Pair]]) -> dict[str, Any]:
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    errors: dict[str, dict[str, int]] = {}
    # Everything that the first routes ask for is loaded before.
    load = scenario.on("warm_turns", scenario.TOGGLE)
    world.send(scenario.closed([(load, 1.0)], connections=8, seconds=120, limit=2 * WARM_POSTS))
    for number in range(-1, options.rounds):  # the first warms up and does not count
        seconds = min(WARM_SECONDS, options.round_seconds) if number < 0 else options.round_seconds
        for name, (request, pair) in cases.items():
            run, usage = world.send(
                scenario.closed([(request, 1.0)], connections=options.connections, seconds=seconds), pair
            )
            whole = run.outcome()
            if whole.errors:
                errors[name] = whole.kinds()
            if number >= 0:
                rate, p99 = run.rate, whole.p99()
                samples[name].append({**usage.micros(run.sent), "rate": rate, "p99_ms": p99})
        say(f"round {number + 1} of {options.rounds}" if number >= 0 else "warm")
    rows = {name: summary(found, samples["health"]) for name, found in samples.items()}
    ratios = {name: ratio(samples[usual], samples[name]) for name, usual in COMPARED.items()}
    _show(rows, ratios)
    if errors:
        say(f"ERRORS: {errors}")
    return {"routes": rows, "usual_over_ours": ratios, "errors": errors, "connections": options.connections}


def summary(found: list[dict[str, float]], noop: list[dict[str, float]]) -> dict[str, Any]:
    """Return median and spread of a route's rounds, and what the API costs above the no-op route in the same round."""
    spread = {key: _spread([one[key] for one in found]) for key in found[0]}
    above = _spread([one["api"] - bare["api"] for one, bare in zip(found, noop, strict=True)])
    return {**spread, "api_above_noop": above}


def ratio(usual: list[dict[str, float]], ours: list[dict[str, float]]) -> dict[str, float]:
    """Return how many times the CPU of server, MySQL and Redis the usual version takes, round by round."""
    pairs = zip(usual, ours, strict=True)
    return _spread([_stack(one) / _stack(other) for one, other in pairs])


def _stack(sample: dict[str, float]) -> float:
    return sample["api"] + sample["mysql"] + sample["redis"]


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(median(values), 2), "low": round(min(values), 2), "high": round(max(values), 2)}


def _show(rows: dict[str, dict[str, Any]], ratios: dict[str, dict[str, float]]) -> None:
    keys = ("api", "mysql", "redis", "generator")
    body = []
    for name, row in rows.items():
        api, above = row["api"], row["api_above_noop"]
        spread = f"{api['low']:.0f}–{api['high']:.0f}"
        own = above["median"] if name in OWN and name != "health" else None
        medians = [round(row[key]["median"]) for key in keys]
        body.append(
            [name, medians[0], spread, own, *medians[1:], round(row["rate"]["median"]), row["p99_ms"]["median"]]
        )
    heads = ["CPU µs a request", "server", "spread", "above health", "MySQL", "Redis", "generator", "req/s", "p99 ms"]
    show("(a) hot routes, closed loop; (b) the usual version", heads, body)
    show(
        "(b) CPU of server + MySQL + Redis, usual version over ours",
        ["route", "times", "spread"],
        [[name, row["median"], f"{row['low']:.1f}–{row['high']:.1f}"] for name, row in ratios.items()],
    )
