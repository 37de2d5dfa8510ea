"""Likes while everything is killed: a short run of the harness, and proof that it finds what it looks for."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .plan import STEPS
from .run import FAULTS
from .servers import MysqlServer, RedisServer

ROOT = Path(__file__).parents[2]
# Neither network nor refusals nor promotions: test_other_faults.py.
STEADY = ("--silence", "0", "--refuse", "0", "--promote", "0")


def harness(redis: RedisServer, mysql: MysqlServer, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.faults.run", "--servers", redis.name, mysql.name, *arguments]
    # As `make faults` runs it: pytest's own path to the local tool is not inherited.
    path = os.pathsep.join([str(ROOT / "manifests" / "local"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_no_answered_like_is_lost_or_doubled_whatever_is_killed(redis: RedisServer, mysql: MysqlServer) -> None:
    report = harness(
        *(redis, mysql, "--seconds", "240", "--toggles", "5000", "--kills", "1", "--power", "1", "--flush", "2"),
        *("--delete", "20", "--freeze", "4", *STEADY),
    )
    assert {fault: report[fault] for fault in FAULTS} == dict.fromkeys(FAULTS, 0), report
    assert report["toggles"] > 0
    for step in STEPS:
        assert report["steps"][step]["killed"] > 0, report
    for death in ("redis killed", "mysqld killed", "redis power lost", "redis flushed"):
        assert report["happened"][death] > 0, report


CALM = ("--flush", "0", "--delete", "0", "--freeze", "0", *STEADY)


def test_the_harness_finds_a_like_that_is_left_out(redis: RedisServer, mysql: MysqlServer) -> None:
    """The cheapest loss, without any death; what needs one is found at night."""
    deaths = ("--kills", "0", "--power", "0")
    report = harness(redis, mysql, "--seconds", "240", "--toggles", "300", "--store", "leaves out", *deaths, *CALM)
    assert report["missing"] > 0, report


@pytest.mark.nightly("faults")
@pytest.mark.parametrize(
    ("store", "deaths", "found"),
    [
        # What is pending is read and deleted, then written: whatever dies in between takes likes with it.
        ("takes", ("--kills", "3", "--power", "0", "--steps", "sync after claim"), "missing"),
        # Written to the database before it is on Redis's disk: a power loss takes Redis back behind the database, if what
        # is cut off its log is more than what was not written back yet. Not at a step of a write-back, which holds the lock.
        ("hasty", ("--kills", "0", "--power", "6", "--steps", "api after set"), "differences"),
    ],
)
def test_the_harness_finds_what_a_broken_write_back_loses(
    redis: RedisServer, mysql: MysqlServer, store: str, deaths: tuple[str, ...], found: str
) -> None:
    # Ends after seconds, when that much has happened: the time is for a very busy machine.
    report = harness(redis, mysql, "--seconds", "240", "--toggles", "1500", "--store", store, *deaths, *CALM)
    assert report[found] > 0, report
