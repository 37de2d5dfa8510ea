"""(h): logins during the mix: as many as their pool allows, then more than that. Reading must not notice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import mix, scenario
from .outcome import Run
from .scenario import READ_CLASSES
from .tables import show
from .world import Options, World

FLOOD = 100.0  # logins a second, more than two cores can hash beside anything else
SHARE = 0.8  # of what the pool allowed: what it can do for long
# The mix leaves room: at the peak itself both cores are taken, and nothing could be learnt of the pool.
PART = 0.5


def measure(world: World, options: Options) -> dict[str, Any]:
    mix.grow(world, options)
    rate = options.rate * PART
    alone = _with_logins(world, options, rate, 0.0)
    flooded = _with_logins(world, options, rate, FLOOD)
    allowed = flooded[1].outcome().good / flooded[1].seconds if flooded[1] else 0.0
    steady = _with_logins(world, options, rate, max(0.5, SHARE * allowed))
    rows, found = [], {}
    runs = {
        "mix alone": (alone, 0.0),
        f"{SHARE:.0%} of what the pool allows": (steady, SHARE * allowed),
        "flood": (flooded, FLOOD),
    }
    reads_alone = alone[0].outcome(*READ_CLASSES).p99()
    for name, ((run, logins), asked) in runs.items():
        reads = run.outcome(*READ_CLASSES)
        login = logins.outcome() if logins else None
        row: dict[str, Any] = {"read_p99_ms": reads.p99(), "read_p99_over_alone": round(reads.p99() / reads_alone, 2)}
        row |= {"mix_errors": run.outcome().kinds()}
        shown: list[Any] = [None] * 5
        if login is not None and logins is not None:
            times = login.latency.milliseconds()
            refused = login.refused.milliseconds()
            row["logins"] = {"asked_per_second": round(asked, 1), "per_second": round(login.good / logins.seconds, 1)}
            row["logins"] |= {
                "answers": times,
                "refused": refused,
                "statuses": dict(login.statuses),
                "failures": dict(login.failures),
            }
            others = {kind: count for kind, count in login.kinds().items() if kind != "503"}
            shown = [
                asked,
                login.good / logins.seconds,
                f"{times['p50']} / {times['p99']}",
                login.statuses["503"],
                str(others or "–"),
            ]
        rows.append([name, reads.p99(), row["read_p99_over_alone"], *shown])
        found[name] = row
    heads = ["", "read p99 ms", "over alone", "logins asked/s", "let in/s", "auth p50 / p99 ms", "503", "other errors"]
    show(f"(h) logins during the mix at {rate:,.0f} requests a second; the pool allowed {allowed:.1f}/s", heads, rows)
    return {"mix_rate": rate, "allowed_per_second": round(allowed, 1), "runs": found}


def _with_logins(world: World, options: Options, rate: float, logins: float) -> tuple[Run, Run | None]:
    world.renew()
    seconds, warmup = options.step_seconds, options.step_seconds / 10
    mixed = scenario.opened(scenario.mix(), rate=rate, seconds=seconds, warmup=warmup)
    if not logins:
        return world.generator.run(world.document(mixed)), None
    login = replace(scenario.LOGIN, expect=(201,))
    flood = scenario.opened([(login, 1.0)], rate=logins, seconds=seconds, warmup=warmup)
    with world.generator.start(world.document(flood)) as beside:
        run = world.generator.run(world.document(mixed))
        found = run, beside.result()
    mix.settle(world)
    return found
