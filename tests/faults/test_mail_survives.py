"""Mail while the workers that send it are killed: a short run of the harness."""

import secrets
from pathlib import Path

from tests.mail_server import serving_mail

from .mail.run import Plan, play
from .mail.worker import POINTS
from .servers import MysqlServer


async def test_each_letter_arrives_and_repeats_only_what_was_not_committed(mysql: MysqlServer, tmp_path: Path) -> None:
    plan = Plan(kills=len(POINTS) + 3, seconds=120, seed=secrets.randbits(30))
    with serving_mail() as server:
        report = await play(plan, mysql, server, tmp_path)
    assert report["wrong"] == [], report
    assert report["happened"].keys() == POINTS.keys(), report
    assert report["repeats"] == report["kills_between_answer_and_commit"] > 0, report
