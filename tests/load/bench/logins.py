"""(h): logins beside the mix, at a few rates up to a flood, each back to back with the mix alone. Reading must not notice; what the
logins and refreshes cost is what capacity.md takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any

from tests.load.versions import Pairs

from . import mix, scenario
from .outcome import Outcome, Run
from .proc import Meter, Usage
from .scenario import READ_CLASSES, Request
from .tables import say, show
from .world import Options, World

#: Logins a second; the last is a flood, far more than two cores can hash.
RATES = (5, 20, 50, 150)
ROUNDS = 3
# The mix leaves room: at the peak itself both cores are taken, and nothing could be learnt of logins.
PART = 1 / 3
#: Logins that the mix has itself are left out, so that each rate is what it says.
_LOGIN = replace(scenario.LOGIN, expect=(201,))
_STACK = ("api", "mysql", "redis")


def measure(world: World, options: Options) -> dict[str, Any]:
    mix.grow(world, options)
    rate, requests = without(scenario.LOGIN.name, rate=options.rate * PART)
    costs = {one.name: _cost(world, options, one) for one in (_LOGIN, scenario.REFRESH)}
    rows = [_beside(world, options, (rate, requests), logins) for logins in RATES]
    _show(rate, rows, costs)
    return {"mix_rate": round(rate), "rounds": _rounds(options), "costs": costs, "rates": rows}


def without(*names: str, rate: float) -> tuple[float, list[tuple[Request, float]]]:
    """Return the mix at a rate without some classes: what is left of the rate, and the others, as often as before."""
    requests = [(request, share) for request, share in scenario.mix() if request.name not in names]
    return rate * sum(share for _, share in requests), requests


def _rounds(options: Options) -> int:
    return 1 if options.quick else ROUNDS


def _cost(world: World, options: Options, request: Request) -> dict[str, float]:
    """Return CPU milliseconds of one, from as many connections as there are processes: of the API, and with the stores."""
    found = []
    for _ in range(_rounds(options)):
        world.renew()
        sent = scenario.closed(
            [(request, 1.0)], connections=len(world.api.pids), seconds=max(2.0, options.round_seconds)
        )
        run, usage = world.send(sent)
        micros = usage.micros(run.sent)
        found.append({"api_ms": micros["api"] / 1000, "ms": sum(micros[name] for name in _STACK) / 1000})
    return {key: round(median(one[key] for one in found), 2) for key in found[0]}


def _beside(
    world: World, options: Options, mixed: tuple[float, list[tuple[Request, float]]], logins: int
) -> dict[str, Any]:
    """Run the mix alone and beside so many logins a second, in turn."""
    pairs, outcomes = Pairs(), list[Outcome]()

    def run(at: int) -> dict[str, float]:
        found, beside, usage = _run(world, options, mixed, logins if at else 0)
        if beside is not None:
            outcomes.append(beside.outcome())
        mix.settle(world)
        spent = sum(usage.seconds[name] for name in _STACK)
        return {
            **{"read_p99_ms": found.outcome(*READ_CLASSES).p99(), "write_p99_ms": mix.p99s(found)["write_p99_ms"]},
            **{"vcpu": spent / options.step_seconds, "errors": found.outcome().errors, "others": usage.others},
        }

    for number in range(_rounds(options)):
        pairs.add(number, run)
    say(f"  {logins} logins a second beside the mix")
    return row(logins, pairs, Outcome.merged(outcomes), options.step_seconds * _rounds(options))


def row(logins: int, pairs: Pairs, outcome: Outcome, seconds: float) -> dict[str, Any]:
    """Return what is saved of a rate; `vcpu` is what was added to the mix, refusals and all. Pure."""
    added = [beside["vcpu"] - alone["vcpu"] for alone, beside in zip(*pairs.both, strict=True)]
    other = {kind: count for kind, count in outcome.kinds().items() if kind != "503"}
    alone, beside = ([one["read_p99_ms"] for one in found] for found in pairs.both)
    return {
        **{"rate": logins, "per_second": round(outcome.good / seconds, 1), "refused": outcome.statuses["503"]},
        **{"errors": sum(other.values()), "by": other, "answers": outcome.latency.milliseconds()},
        **{"refused_ms": outcome.refused.milliseconds(), "vcpu": round(median(added), 3)},
        "ms_a_login": round(1000 * sum(added) / len(added) * seconds / outcome.good, 1) if outcome.good else None,
        **{"alone_p99_ms": round(median(alone), 1), "read_p99_ms": round(median(beside), 1)},
        "read_p99_over_alone": pairs.ratio("read_p99_ms"),
        "mix_errors": int(sum(one["errors"] for one in pairs.both[1])),
        "others": round(sum(one["others"] for found in pairs.both for one in found) / (2 * seconds), 3),
    }


def _run(
    world: World, options: Options, mixed: tuple[float, list[tuple[Request, float]]], logins: int
) -> tuple[Run, Run | None, Usage]:
    world.renew()
    rate, requests = mixed
    sent = world.document(scenario.opened(requests, rate=rate, seconds=options.step_seconds))
    meter = Meter(world.groups)
    if not logins:
        run = world.generator.run(sent)
        return run, None, meter.read(run.cpu_us)
    flood = scenario.opened([(_LOGIN, 1.0)], rate=logins, seconds=options.step_seconds)
    with world.generator.start(world.document(flood)) as beside:
        run, found = world.generator.run(sent), beside.result()
    world.wait_idle()  # hashes of those who gave up are part of the cost
    return run, found, meter.read(run.cpu_us + found.cpu_us)


def _show(rate: float, rows: list[dict[str, Any]], costs: Mapping[str, Mapping[str, float]]) -> None:
    shown = []
    for one in rows:
        times, ratio = one["answers"], one["read_p99_over_alone"] or {}
        shown.append(
            [
                *(one["rate"], one["per_second"], one["refused"], str(one["by"] or "–")),
                *(f"{times['p50']} / {times['p99']}", one["vcpu"], one["ms_a_login"], one["read_p99_ms"]),
                *(ratio.get("median"), f"{ratio.get('low')}–{ratio.get('high')}", one["mix_errors"]),
            ]
        )
    heads = ["logins a second", "let in/s", "503", "other errors", "p50 / p99 ms", "vCPU", "ms a login"]
    heads += ["read p99 ms", "over alone", "range", "errors of the mix"]
    show(f"(h) logins beside the mix at {rate:,.0f} requests a second", heads, shown)
    show(
        "CPU ms of one alone",
        ["", "API", "with MySQL and Redis"],
        [[name, one["api_ms"], one["ms"]] for name, one in costs.items()],
    )
