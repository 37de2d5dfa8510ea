"""Has photos posted while everything that handles them is killed, and says what came of it.

`PYTHONPATH=manifests/local python -m tests.faults.photos.run` prints the report as JSON; `--help` says how much can be chosen.
Ends with 1 when anything was wrong, or did not happen in time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.faults.servers import MysqlServer, RedisServer, attach, mysql_server, redis_server
from tests.integration.api.bucket import ACCESS, REGION, SECRET, Bucket, create_bucket, serving_s3

from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database
from bapsang_api.migrate import migrate
from bapsang_api.uploads.bucket import Bucket as Place
from bapsang_api.uploads.storage import Storage

from .audit import Audit
from .nursery import Nursery
from .people import People
from .points import API, MEDIA, Schedule
from .processes import Process, tending

_WORKERS, _APIS, _CLIENTS = 3, 2, 8
_CALM_SECONDS: Final = 300.0
_TELL_EVERY, _LOOK_SECONDS = 10.0, 0.2


@dataclass(frozen=True)
class Plan:
    """How much is to happen."""

    photos: int  # at least: it goes on until all kills have happened
    kills: int  # at each step
    freezes: int  # at each step at which a worker outlives its lease
    seconds: float  # no more photos after that
    seed: int


async def play(plan: Plan, mysql: MysqlServer, redis: RedisServer, bucket: Bucket, folder: Path) -> dict[str, Any]:
    """Let it all happen, and return the report."""
    rng, begun = random.Random(plan.seed), time.monotonic()
    mysql.create_database()
    await asyncio.to_thread(migrate, mysql.url)
    schedule = Schedule(plan.kills, plan.freezes, rng)
    environment, ports = _environment(redis, bucket, folder), [_free_port() for _ in range(_APIS)]
    commands = [(API, ["serve", "--port", str(port)]) for port in ports] + [(MEDIA, ["media"])] * _WORKERS
    s3 = urlsplit(_origin(bucket))
    assert s3.hostname
    assert s3.port
    with contextlib.closing(Nursery()) as nursery:
        processes = [Process(role, nursery, command, folder, schedule, rng) for role, command in commands]
        people = People([f"http://127.0.0.1:{port}" for port in ports], bucket.client, bucket.name, rng)
        async with _audit(mysql, bucket) as audit:
            try:
                for process in processes:
                    await process.open(environment, (mysql.host, mysql.port), (s3.hostname, s3.port))
                await _act(plan, schedule, processes, people, audit, mysql)
            finally:
                for process in processes:
                    await process.close()
                await people.close()
            collected = await audit.collect()
            outcomes = await audit.compare(people.taken)
    unexpected = [said for process in processes for said in process.unexpected]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - begun),
        "machine": {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)},
        "photos": len(people.taken),
        "outcomes": dict(outcomes),
        "wrong": [*people.wrong, *audit.wrong, *unexpected],
        "blows": sum(schedule.done.values()),
        "least": min(schedule.done[what] for what in schedule.left),
        "happened": {f"{effect}: {name}": count for (effect, name), count in sorted(schedule.done.items())},
        "left": schedule.open,
        "collected": collected.fields(),
    }


async def _act(
    plan: Plan, schedule: Schedule, processes: Sequence[Process], people: People, audit: Audit, mysql: MysqlServer
) -> None:
    """Have photos posted while processes die, then leave what is left to be done to those that live."""
    async with asyncio.TaskGroup() as group:  # whatever fails ends all of it
        tasks = [group.create_task(work) for work in (tending(processes), audit.watching(), _telling(people, schedule))]
        await people.sign_up(functools.partial(_make_admin, mysql))
        schedule.is_paused = False
        posting = (people.post_photos(plan.photos, lambda: schedule.open > 0, plan.seconds) for _ in range(_CLIENTS))
        await asyncio.gather(*posting)
        schedule.is_paused = True
        for process in processes:
            process.calm()
        async with asyncio.timeout(_CALM_SECONDS):
            while await audit.left():  # noqa: ASYNC110 - of other processes
                await asyncio.sleep(_LOOK_SECONDS)
        await people.look_at_all()
        for task in tasks:
            task.cancel()


async def _telling(people: People, schedule: Schedule) -> None:
    while True:
        await asyncio.sleep(_TELL_EVERY)
        done = sum(schedule.done.values())
        sys.stderr.write(f"{len(people.taken)} photos, {done} blows, {schedule.open} left, {len(people.wrong)} wrong\n")


def _make_admin(mysql: MysqlServer, user_id: str) -> None:
    with mysql.connect("bapsang") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE users SET user_role = 'ADMIN' WHERE id = %s", (user_id,))


@contextlib.asynccontextmanager
async def _audit(mysql: MysqlServer, bucket: Bucket) -> AsyncIterator[Audit]:
    place = Place.of(bucket.name, REGION, endpoint=_origin(bucket), upload_origin=None, public_url=None)
    database, storage = Database(mysql.url, Limits(connections=2)), Storage(place)
    try:
        yield Audit(database, storage, bucket.client, bucket.name)
    finally:
        await storage.close()
        await database.close()


def _environment(redis: RedisServer, bucket: Bucket, folder: Path) -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = folder / "signing-key.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {
        **{"BAPSANG_REDIS_URL": redis.url, "BAPSANG_SIGNING_KEY_FILE": str(path), "BAPSANG_ADMIN_PORT": "0"},
        **{
            "BAPSANG_RATE_LIMITS": "off",
            "BAPSANG_HOLD_POSTS": "off",
            "BAPSANG_ISSUER": "http://faults.localhost",
            **bucket.environment,
        },
        "BAPSANG_S3_PUBLIC_URL": f"{_origin(bucket)}/{bucket.name}",
        **{"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET},
    }


def _origin(bucket: Bucket) -> str:
    return bucket.environment["BAPSANG_S3_ENDPOINT"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--servers", nargs=2, metavar=("REDIS", "MYSQL"), help="containers that run (default: own ones)"
    )
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--freezes", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1500, help="no photos are posted after that")
    parser.add_argument("--out", type=Path, help="where to save the report")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args()
    plan = Plan(given.photos, given.kills, given.freezes, given.seconds, given.seed)
    os.environ.update({"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET})
    with contextlib.ExitStack() as stack:
        if given.servers:
            redis, mysql = attach(RedisServer, given.servers[0]), attach(MysqlServer, given.servers[1])
        else:
            redis, mysql = stack.enter_context(redis_server()), stack.enter_context(mysql_server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "s3").mkdir()
        origin = stack.enter_context(serving_s3(folder / "s3"))
        report = asyncio.run(play(plan, mysql, redis, create_bucket(origin, "faults"), folder))
    text = json.dumps(report, indent=1) + "\n"
    sys.stdout.write(text)
    if given.out:
        given.out.write_text(text)
    sys.exit(bool(report["wrong"] or report["left"]))


if __name__ == "__main__":
    main()
