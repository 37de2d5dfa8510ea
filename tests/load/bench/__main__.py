"""`make bench`: measures the API with real servers, prints tables, saves docs/benchmarks/api.json.

Everything runs on two cores. `--only mix --seconds 20 --posts 20000` runs one part; `--quick` shows in about three minutes that
all of them work. Ctrl-C ends what was started; parts that had ended are saved all the same.
`--against COMMIT` measures that commit and this checkout in turn, and saves both and their ratios in the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bapsang_local import engine as engines
from bapsang_local.failure import Failure
from bapsang_local.settings import Settings, from_environment

from . import (
    against,
    depth,
    flush,
    generator,
    hot,
    logins,
    machine,
    mix,
    routes,
    searching,
    servers,
    sessions,
    sizes,
    upkeep,
)
from .interpreter import CODE, Interpreter, OfImage, OfMachine
from .proc import CORES, two_cores
from .scenario import PEAK
from .tables import say
from .world import Options, World, cache_of, opened, run_folder

ROOT = Path(__file__).parents[3]
RESULT = ROOT / "docs" / "benchmarks" / "api.json"
#: In this order: what changes the data most comes last.
PARTS: dict[str, Callable[[World, Options], dict[str, Any]]] = {
    "routes": routes.measure,
    "sizes": sizes.measure,
    "depth": depth.measure,
    "mix": mix.peak,
    "ramp": mix.ramp,
    "hot": hot.measure,
    "sessions": sessions.measure,
    "logins": logins.measure,
    "search": searching.measure,
    "flush": flush.measure,
}
#: With servers of their own.
ALONE: dict[str, Callable[[Options], dict[str, Any]]] = {"like-sync": upkeep.like_sync, "memory": upkeep.memory}

#: Of two versions.
COMPARED = ("limits", against.NEWS)


def main() -> int:
    given = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    os.sched_setaffinity(0, two_cores())  # and with it everything that is started from here on
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)  # as pods have
    options = Options(
        quick=given.quick,
        seconds=given.seconds or (15 if given.quick else 300),
        step_seconds=given.step_seconds or (5 if given.quick else 20),
        rounds=given.rounds or (2 if given.quick else 7),
        round_seconds=given.round_seconds or (1 if given.quick else 4),
        connections=given.connections,
        rate=given.rate,
    )
    posts = given.posts or (20_000 if given.quick else 1_000_000)
    wanted = given.only or [*PARTS, *ALONE]
    settings = from_environment()
    result = _heading(given, posts, options)
    out, code = cache_of(settings) / ("against.json" if given.against else "last.json"), 0
    started = time.monotonic()
    try:
        _measure(given, settings, posts, options, wanted, result)
        if not (given.only or given.quick or given.against):
            out = RESULT
    except KeyboardInterrupt:
        say("\nInterrupted: what was started has been ended.")
        code = 130
    except Failure as failure:
        say(f"\n✗ {failure.problem}\n  → {failure.advice}")
        code = 1
    finally:
        if result["parts"]:
            result["minutes"] = round((time.monotonic() - started) / 60, 1)
            out = given.out or out
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
            say(f"\nSaved: {out}")
    return code


def _measure(
    given: argparse.Namespace,
    settings: Settings,
    posts: int,
    options: Options,
    wanted: list[str],
    result: dict[str, Any],
) -> None:
    engine = engines.ensure(settings)
    if engine.docker("ps", "--quiet", "--filter", "label=io.x-k8s.kind.cluster"):
        say("A local cluster runs beside this: `make down` first, for figures that are worth keeping.")
    for image in (servers.MYSQL, servers.REDIS, *(() if given.python else (given.image,))):
        if not engine.tries("image", "inspect", image):
            raise Failure(f"The engine has no image {image}.", "Run `make up` once.")
    python = _interpreter(given, settings, engine)
    result["versions"] = {
        **python.versions(machine.PACKAGES),
        "mysql_image": servers.MYSQL,
        "redis_image": servers.REDIS,
    }
    parts = result["parts"]
    if given.against:
        parts |= _compare(given, settings, engine, posts, options, result)
        return
    if any(name in PARTS for name in wanted):
        with _world(given, settings, engine, python, posts) as world:
            for name in (name for name in PARTS if name in wanted):
                world.renew()
                parts[name] = PARTS[name](world, options)
                mix.settle(world)
    for name in (name for name in ALONE if name in wanted):
        parts[name] = ALONE[name](options)


def _interpreter(
    given: argparse.Namespace, settings: Settings, engine: engines.Engine, code: Path = CODE
) -> Interpreter:
    return OfMachine(given.python, code) if given.python else OfImage(given.image, engine, cache_of(settings), code)


def _compare(
    given: argparse.Namespace,
    settings: Settings,
    engine: engines.Engine,
    posts: int,
    options: Options,
    result: dict[str, Any],
) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        stack.callback(servers.remove, run_folder(settings))
        old, new = against.of_commit(given.against, run_folder(settings)), against.of_checkout()
        result["versions"] |= {"old": old.name, "new": result["commit"]}
        seeder = _interpreter(given, settings, engine, against.seeder(old, new).code)
        worlds = [
            stack.enter_context(
                _world(
                    given,
                    settings,
                    engine,
                    _interpreter(given, settings, engine, one.code),
                    posts,
                    name=name,
                    seeder=seeder,
                )
            )
            for name, one in (("old", old), ("new", new))
        ]
        names = (old.name, new.name)
        return against.measure((worlds[0], worlds[1]), names, options, given.only or against.PARTS)


def _world(
    given: argparse.Namespace,
    settings: Settings,
    engine: engines.Engine,
    python: Interpreter,
    posts: int,
    **version: Any,
) -> contextlib.AbstractContextManager[World]:
    return opened(
        settings,
        engine,
        generator.build(settings),
        posts=posts,
        people=given.people,
        buffer_pool=given.buffer_pool,
        python=python,
        count=given.processes,
        **version,
    )


def _heading(given: argparse.Namespace, posts: int, options: Options) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.revision(ROOT),
        "machine": machine.describe(),
        "settings": {
            **{"posts": posts, "people": given.people, "processes": given.processes, "buffer_pool": given.buffer_pool},
            **{"connections": options.connections, "python": given.python or given.image},
            **{"mysql": list(servers.MYSQL_SETTINGS), "redis": list(servers.REDIS_SETTINGS), "quick": options.quick},
        },
        "parts": {},
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=[*PARTS, *ALONE, *COMPARED], help="this part; may be given more than once"
    )
    parser.add_argument(
        "--against", metavar="COMMIT", help="compare this checkout with a commit: routes, mix and limits"
    )
    parser.add_argument("--quick", action="store_true", help="small and short: that it works, not what it costs")
    parser.add_argument("--posts", type=int, help="seeded posts (default: 1,000,000; quick 20,000)")
    parser.add_argument("--people", type=int, default=5_000, help="people with tokens (default: %(default)s)")
    parser.add_argument(
        "--rate", type=float, default=PEAK, help="of the peak, requests a second (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, help="of the peak mix (default: 300; quick 15)")
    parser.add_argument(
        "--step-seconds", type=float, help="of a step of the ramp and of most parts (default: 20; quick 5)"
    )
    parser.add_argument("--rounds", type=int, help="of routes and depth (default: 7; quick 2)")
    parser.add_argument("--round-seconds", type=float, help="of one route in one round (default: 4; quick 1)")
    parser.add_argument("--connections", type=int, default=32, help="of closed runs (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=CORES, help="of the API (default: %(default)s, one a core)")
    parser.add_argument("--buffer-pool", default="1G", help="of MySQL (default: %(default)s)")
    parser.add_argument(
        "--image",
        default="bapsang/api:0.1.0",
        help="whose Python and packages run the API's code, as in a pod (default: %(default)s)",
    )
    parser.add_argument("--python", help="run the API's code by this interpreter and its packages instead")
    parser.add_argument(
        "--out",
        type=Path,
        help="where the figures go (default: docs/benchmarks/api.json for a whole run, last.json in the cache for others)",
    )
    given = parser.parse_args()
    if not given.against and (alone := [name for name in given.only or () if name in COMPARED]):
        parser.error(f"{alone[0]} is of two versions: --against COMMIT")
    parts = (*against.PARTS, against.NEWS)
    if given.against and (wrong := [name for name in given.only or () if name not in parts]):
        parser.error(f"--against compares {', '.join(parts)}, not {wrong[0]}")
    return given


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
