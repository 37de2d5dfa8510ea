"""A comparison of two versions of the API, with real servers: it sees what was made slow, and nothing where nothing was."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

import pytest
from tests.load.bench import against, generator
from tests.load.bench.interpreter import CODE, OfMachine
from tests.load.bench.world import Options, opened

from bapsang_local.engine import Engine
from bapsang_local.settings import from_environment

TINY = Options(quick=True, seconds=1, step_seconds=1, rounds=5, round_seconds=0.5, connections=4, rate=50)
#: Two milliseconds of CPU in each list of posts.
SLOW = """

_quick = Gateway.exchange


async def _slow(self: Gateway, request: Request, receive: Receive) -> Answer | None:
    if request.path == f"{API}/posts" and request.method == "GET":
        end = time.thread_time() + 0.002
        while time.thread_time() < end:
            pass
    return await _quick(self, request, receive)


Gateway.exchange = _slow
"""


@pytest.mark.nightly("load")
@pytest.mark.timeout(1200)
def test_a_slow_route_shows_in_its_ratio_and_in_no_other_one(tmp_path: Path, engine: Engine) -> None:
    planted = tmp_path / "api"
    shutil.copytree(CODE, planted, ignore=shutil.ignore_patterns("__pycache__"))
    with (planted / "bapsang_api/http/gateway.py").open("a") as file:
        file.write(SLOW)
    settings = from_environment()
    program = generator.build(settings)
    with contextlib.ExitStack() as stack:
        old, new = (
            stack.enter_context(
                opened(
                    *(settings, engine, program),
                    **{"posts": 3_000, "people": 200, "buffer_pool": "128M", "count": 1, "name": name},
                    python=OfMachine(sys.executable, code),
                    seeder=OfMachine(sys.executable),
                )
            )
            for name, code in (("old", CODE), ("planted", planted))
        )
        found = against.measure((old, new), ("old", "planted"), TINY, ("routes", "mix"))
    rows = {**found["routes"]["rows"], **found["mix"]["rows"]}
    assert {name: row["old"]["errors"] + row["new"]["errors"] for name, row in rows.items()} == dict.fromkeys(rows, 0)
    ratios = {name: row["new_over_old"]["server"]["median"] for name, row in rows.items()}
    slow = ("list", "list, cursor")
    assert ratios["list"] > 2, ratios
    assert max(ratio for name, ratio in ratios.items() if name not in slow) < ratios["list"] / 1.5, ratios
    assert ratios["health"] < 1.5, ratios
    assert all(row["old"]["server"] > found["routes"]["bare"] for row in rows.values()), "each costs more than nothing"
