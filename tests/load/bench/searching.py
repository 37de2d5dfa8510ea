"""(i): searches during the mix, for the commonest words, for rarer ones and for two together, of a million posts."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from . import mix, scenario
from .scenario import READ_CLASSES, Request
from .tables import show
from .world import Options, World

RATE = 20.0  # searches a second, of all processes together
PART = 0.5  # of the peak, as beside logins
#: Parts of all posts that hold them, by the words of `bapsang-api seed`: all, two fifths, a tenth, a fiftieth, one in a thousand.
WORDS = {"every": "오늘은", "common": "김치", "title": "레시피", "dish": "고등어구이", "pair": "칼국수 떡국"}


def measure(world: World, options: Options) -> dict[str, Any]:
    mix.grow(world, options)
    rate = options.rate * PART
    alone = _run(world, options, rate)[0]
    run, searches = _run(world, options, rate, *(_search(name, words) for name, words in WORDS.items()))
    reads = {"alone": alone.outcome(*READ_CLASSES).p99(), "beside searches": run.outcome(*READ_CLASSES).p99()}
    rows, found = [], {}
    for name in WORDS:
        outcome = searches.outcome(name)
        times = outcome.latency.milliseconds()
        rows.append([name, WORDS[name], outcome.requests, times["p50"], times["p99"], outcome.errors])
        found[name] = {**outcome.record(), "words": WORDS[name]}
    whole = searches.outcome()
    title = f"(i) {RATE:g} searches a second beside the mix at {rate:,.0f}; read p99 {reads['alone']:.0f} ms alone, "
    show(f"{title}{reads['beside searches']:.0f} beside", ["", "words", "n", "p50 ms", "p99 ms", "errors"], rows)
    mix.settle(world)
    return {
        **{"mix_rate": rate, "rate": RATE, "words": found, "errors": whole.errors, "by": whole.kinds()},
        **{"p99_ms": whole.p99(), "read_p99_ms": reads},
        "read_p99_over_alone": round(reads["beside searches"] / reads["alone"], 2),
    }


def _search(name: str, words: str) -> Request:
    return Request(name, "GET", f"{scenario.API}/search/posts?q={quote(words)}&size=20", expect=(200,))


def _run(world: World, options: Options, rate: float, *requests: Request) -> Any:
    world.renew()
    seconds, warmup = options.step_seconds, options.step_seconds / 10
    mixed = scenario.opened(scenario.mix(), rate=rate, seconds=seconds, warmup=warmup)
    if not requests:
        return world.generator.run(world.document(mixed)), None
    asked = scenario.opened([(one, 1.0) for one in requests], rate=RATE, seconds=seconds, warmup=warmup)
    with world.generator.start(world.document(asked)) as beside:
        run = world.generator.run(world.document(mixed))
        return run, beside.result()
