"""Photos while everything that handles them is killed: a short run of the harness."""

import secrets
from pathlib import Path

import pytest
from tests.integration.api.bucket import ACCESS, SECRET, create_bucket, serving_s3

from .photos.run import Plan, play
from .servers import MysqlServer, RedisServer


async def test_each_photo_ends_once_and_leaves_nothing_whatever_is_killed(
    redis: RedisServer, mysql: MysqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    (tmp_path / "s3").mkdir()
    plan = Plan(photos=40, kills=1, freezes=1, seconds=300, seed=secrets.randbits(30))
    with serving_s3(tmp_path / "s3") as origin:
        report = await play(plan, mysql, redis, create_bucket(origin, "faults"), tmp_path)
    assert report["wrong"] == [], (plan, report)
    assert report["left"] == 0, report  # every step has been died at
    assert report["outcomes"]["READY"] > 0
