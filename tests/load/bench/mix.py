"""(c): the mix of the contract at its peak, and the highest rate within the service levels. Open model."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from . import scenario
from .outcome import Run
from .proc import Usage, Watch
from .scenario import AUTH_CLASSES, READ_CLASSES, WRITE_CLASSES
from .tables import say, show
from .world import Options, World

#: Milliseconds of p50 and p99 that the contract allows; refreshes must not hide what logins take, which are one in thirty.
LEVELS: dict[tuple[str, ...], tuple[float, float]] = {
    READ_CLASSES: (200, 500),
    WRITE_CLASSES: (300, 1_000),
    **{(name,): (200, 800) for name in AUTH_CLASSES},
}
WARM_SECONDS = 5.0
# An evening's peak is grown into, over hours: what its readers want is at hand by then. Parts of the peak, not measured.
GROWTH, GROWTH_SECONDS = (0.25, 0.5, 0.75), 15.0
# Steps of the ramp, as parts of the peak; after the first that fails, halfway back and forth.
STEPS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5)
HALVINGS = 3


def peak(world: World, options: Options) -> dict[str, Any]:
    """Send the peak for as long as `options.seconds`, after less than that."""
    grow(world, options)
    with Watch(world.pids) as watch, _written_back(world):
        run, usage = at_rate(world, options.rate, options.seconds, warmup=min(WARM_SECONDS, options.seconds / 4))
    wall = run.seconds + min(WARM_SECONDS, options.seconds / 4)
    found = record(run, usage, wall)
    found["peak_rss_mib"] = watch.highest
    show_classes(f"(c) the peak mix: {options.rate:,.0f} requests a second for {run.seconds:.0f} s, open model", run)
    shares = usage.shares(wall)
    rows = [
        [name, shares[name.split()[0]] / (len(world.api.pids) if name.startswith("api") else 1), rss]
        for name, rss in watch.highest.items()
    ]
    rows += [["generator", shares["generator"], None], ["others", shares["others"], None]]
    show("cores kept busy, and memory", ["process", "cores", "peak RSS MiB"], rows)
    micros = usage.micros(run.sent)
    say(
        f"CPU µs a request: {', '.join(f'{name} {value:.0f}' for name, value in micros.items())}; errors: {run.outcome().kinds() or 0}"
    )
    return found


def grow(world: World, options: Options) -> None:
    """Bring what people read to hand, as the hours before a peak do."""
    for part in () if options.quick else GROWTH:
        at_rate(world, options.rate * part, GROWTH_SECONDS)
    settle(world)


@contextlib.contextmanager
def _written_back(world: World) -> Iterator[None]:
    """Write likes back every minute meanwhile, as the CronJob does; what that costs is among the others."""
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(60):
            world.like_sync()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def ramp(world: World, options: Options) -> dict[str, Any]:
    """Find the highest rate within the service levels by steps."""
    steps = []

    def holds(rate: float) -> bool:
        steps.append(found := step(world, rate, options))
        say(f"  {rate:,.0f}/s: {said(found)}")
        return bool(found["holds"])

    say("\nthe ramp:")
    best = climb(holds, rates(options), 1 if options.quick else HALVINGS)
    columns = ("rate", "answered", "read_p99_ms", "write_p99_ms", "refresh_p99_ms", "login_p99_ms", "errors")
    rows = [[*[one[column] for column in columns], "yes" if one["holds"] else "no"] for one in steps]
    heads = ["requests a second", "answered", *(f"{name} p99 ms" for name in ("read", "write", "refresh", "login"))]
    heads += ["errors", "within"]
    show(f"(c) the ramp: highest rate within the service levels {best:,.0f}/s", heads, rows)
    return {
        "highest_rate": round(best),
        "steps": steps,
        "levels_ms": {" ".join(classes): levels for classes, levels in LEVELS.items()},
    }


def said(found: Mapping[str, Any]) -> str:
    """Return what came of a step, for the terminal."""
    times = (f"{name} {found[f'{name}_p99_ms']:.0f}" for name in ("read", "write", "refresh", "login"))
    return f"p99 ms: {', '.join(times)}; {found['errors']} errors"


def rates(options: Options) -> list[float]:
    return [options.rate * part for part in (STEPS[:3] if options.quick else STEPS)]


def step(world: World, rate: float, options: Options) -> dict[str, Any]:
    """Return what came of the mix at a rate, and whether it was within the service levels.

    A step that was not is taken once more, because one stall of the machine ends it; both are in what is returned.
    """
    first = _step(world, rate, options)
    return first if first["holds"] else {**_step(world, rate, options), "first": first}


def _step(world: World, rate: float, options: Options) -> dict[str, Any]:
    world.renew()
    run, usage = at_rate(world, rate, options.step_seconds, warmup=options.step_seconds / 10)
    settle(world)
    return {
        **{"rate": round(rate), "answered": round(run.rate), **p99s(run)},
        **{"errors": run.outcome().errors, "by": run.outcome().kinds(), "holds": within(run)},
        **{"lag_p99_us": run.lag.quantile(0.99)},
        "micros": {name: round(value) for name, value in usage.micros(run.sent).items()},
    }


def climb(holds: Callable[[float], bool], rates: list[float], halvings: int) -> float:
    """Return the highest rate that holds: the steps up to the first that does not, then halfway between. Pure but for `holds`."""
    climbing_ = climbing(rates, halvings)
    rate = next(climbing_)
    while True:
        try:
            rate = climbing_.send(holds(rate))
        except StopIteration as ended:
            return float(ended.value)


def climbing(rates: list[float], halvings: int) -> Generator[float, bool, float]:
    """Yield rates to be tried and take whether they hold; return the highest that does."""
    low, high = 0.0, None
    for rate in rates:
        if not (yield rate):
            high = rate
            break
        low = rate
    for _ in range(halvings if high is not None else 0):
        assert high is not None
        middle = (low + high) / 2
        if (yield middle):
            low = middle
        else:
            high = middle
    return low


def within(run: Run) -> bool:
    """Tell whether the service levels were kept, and nothing failed."""
    found = [(run.outcome(*classes), levels) for classes, levels in LEVELS.items()]
    return all(one.p50() < p50 and one.p99() < p99 and not one.errors for one, (p50, p99) in found)


def p99s(run: Run) -> dict[str, float]:
    """Return p99 in milliseconds of what has levels of its own."""
    groups = {"read": READ_CLASSES, "write": WRITE_CLASSES, **{name: (name,) for name in AUTH_CLASSES}}
    return {f"{name}_p99_ms": run.outcome(*classes).p99() for name, classes in groups.items()}


def at_rate(world: World, rate: float, seconds: float, *, warmup: float = 0.0, **more: Any) -> tuple[Run, Usage]:
    world.renew()
    return world.send(scenario.opened(scenario.mix(), rate=rate, seconds=seconds, warmup=warmup, **more))


def settle(world: World) -> None:
    """Write back what was liked, as it happens every minute, and let what is left of an overload pass."""
    world.wait_idle()
    world.like_sync()


def record(run: Run, usage: Usage, wall: float) -> dict[str, Any]:
    """Return what is saved of a run."""
    classes = {name: run.outcome(name).record() for name in run.windows}
    return {
        "seconds": round(run.seconds, 1),
        "answered_per_second": round(run.rate, 1),
        "reads": run.outcome(*READ_CLASSES).record(),
        "writes": run.outcome(*WRITE_CLASSES).record(),
        "auth": run.outcome(*AUTH_CLASSES).record(),
        "classes": classes,
        "cpu_us_per_request": {name: round(value, 1) for name, value in usage.micros(run.sent).items()},
        "cores": usage.shares(wall),
        "generator_lag_ms": run.lag.milliseconds(),
    }


def show_classes(title: str, run: Run) -> None:
    groups = {"all reads": READ_CLASSES, "all writes": WRITE_CLASSES, "all sessions": AUTH_CLASSES}
    rows = []
    for name, outcome in [
        *[(name, run.outcome(name)) for name in run.windows],
        *[(name, run.outcome(*classes)) for name, classes in groups.items()],
    ]:
        shown = outcome.latency.milliseconds()
        rows.append(
            [name, outcome.requests, *[shown[key] for key in ("p50", "p90", "p99", "p99.9", "max")], outcome.errors]
        )
    show(title, ["ms from when it was due", "n", "p50", "p90", "p99", "p99.9", "max", "errors"], rows)
