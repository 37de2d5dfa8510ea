"""Has letters sent while the workers are killed at every step, and says what came of it.

`PYTHONPATH=manifests/local python -m tests.faults.mail.run` prints the report as JSON; `--help` says how much can be chosen.
Ends with 1 when a letter was lost, or came more often than kills between the server's answer and the commit explain.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import Connection
from tests.faults.photos.nursery import Nursery
from tests.faults.servers import MysqlServer, attach, mysql_server
from tests.mail_server import MailServer, serving_mail

from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.security.tokens import SigningKey
from bapsang_api.mail import store
from bapsang_api.mail.letters import Letter
from bapsang_api.mail.outbox import Outbox
from bapsang_api.mail.seal import Seal
from bapsang_api.migrate import migrate

from .worker import Schedule, Worker, at_work

_WORKERS: Final = 3
_WAITING: Final = 12  # letters that wait, so that every worker has something to die with
_LOOK_SECONDS, _TELL_SECONDS = 0.05, 10.0
_SENDER: Final = "no-reply@bapsang.example.com"


@dataclass(frozen=True)
class Plan:
    """How much is to happen."""

    kills: int
    seconds: float  # at most
    seed: int


async def play(plan: Plan, mysql: MysqlServer, server: MailServer, folder: Path) -> dict[str, Any]:
    """Let it all happen, and return the report."""
    rng, begun = random.Random(plan.seed), time.monotonic()
    mysql.create_database()
    await asyncio.to_thread(migrate, mysql.url)
    server.clear()
    schedule, key = Schedule.of(plan.kills, rng), await asyncio.to_thread(_new_key, folder)
    environment = {
        **{"BAPSANG_SIGNING_KEY_FILE": str(key), "BAPSANG_ADMIN_PORT": "0", "BAPSANG_MAIL_FROM": _SENDER},
        "BAPSANG_REDIS_URL": "redis://127.0.0.1:1",  # which nobody asks
    }
    database = Database(mysql.url, Limits(connections=2, connect_seconds=10, statement_seconds=60))
    with contextlib.closing(Nursery()) as nursery:
        workers = [Worker(nursery, folder, schedule) for _ in range(_WORKERS)]
        for one in workers:
            await one.open(environment, (mysql.host, mysql.port), server.smtp_port)
        async with at_work(workers) as tending, asyncio.timeout(plan.seconds):
            written = await _writing(database, SigningKey.load_all(key), schedule, tending)
            schedule.is_paused = True
            while (await database.read(store.backlog)).letters:
                _go_on(tending)
                await asyncio.sleep(_LOOK_SECONDS)
    await database.close()
    arrived = Counter(letter.message_id for letter in await asyncio.to_thread(_all_letters, server))
    return _report(plan, schedule, workers, written, arrived) | {"seconds": round(time.monotonic() - begun, 1)}


async def _writing(
    database: Database, keys: list[SigningKey], schedule: Schedule, tending: asyncio.Task[None]
) -> list[str]:
    """Write letters until all kills have happened, so that some always wait; return their ids."""
    clock, written, told = SystemClock(), list[str](), time.monotonic()
    outbox = Outbox(clock, Ids(clock), Seal(keys).close, on=True)

    def add(connection: Connection) -> str | None:
        address, values = (
            f"person{len(written)}@killed.example",
            {"nickname": "민지", "link": "https://x.example/#token=x"},
        )
        return outbox.add(connection, Letter.RESET, address=address, user_id=None, values=values)

    while schedule.open:
        _go_on(tending)
        for _ in range(_WAITING - (await database.read(store.backlog)).letters):
            mail_id = await database.write(add)
            assert mail_id
            written.append(mail_id)
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            sys.stderr.write(f"{len(written)} letters, {schedule.open} kills left\n")
        await asyncio.sleep(_LOOK_SECONDS)
    return written


def _go_on(tending: asyncio.Task[None]) -> None:
    if tending.done():
        tending.result()


def _report(
    plan: Plan, schedule: Schedule, workers: list[Worker], written: list[str], arrived: Counter[str]
) -> dict[str, Any]:
    domain = _SENDER.partition("@")[2]
    repeated = sum((one.repeated for one in workers), Counter[str]())
    expected = Counter({f"{mail_id}@{domain}": 1 + repeated[mail_id] for mail_id in written})
    wrong = [
        f"{name} came {arrived[name]} times, not {count}" for name, count in expected.items() if arrived[name] != count
    ]
    wrong += [f"{name} is no letter of ours" for name in arrived.keys() - expected.keys()]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)},
        "seed": plan.seed,
        "letters": len(written),
        "kills": sum(schedule.done.values()),
        "happened": dict(sorted(schedule.done.items())),
        "arrived": arrived.total(),
        "lost": len(expected.keys() - arrived.keys()),
        "repeats": arrived.total() - len(arrived),
        "kills_between_answer_and_commit": repeated.total(),
        "wrong": [*wrong, *(said for one in workers for said in one.unexpected)],
    }


def _all_letters(server: MailServer) -> list[Any]:
    return server.letters()


def _new_key(folder: Path) -> Path:
    key, path = rsa.generate_private_key(public_exponent=65537, key_size=2048), folder / "signing-key.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mysql", metavar="CONTAINER", help="a container that runs (default: an own one)")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1500, help="it fails after that")
    parser.add_argument("--out", type=Path, help="where to save the report")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        mysql = attach(MysqlServer, given.mysql) if given.mysql else stack.enter_context(mysql_server())
        server = stack.enter_context(serving_mail())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        report = asyncio.run(play(Plan(given.kills, given.seconds, given.seed), mysql, server, folder))
    text = json.dumps(report, indent=1) + "\n"
    sys.stdout.write(text)
    if given.out:
        given.out.write_text(text)
    sys.exit(bool(report["wrong"]))


if __name__ == "__main__":
    main()
