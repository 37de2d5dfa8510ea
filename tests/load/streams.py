"""Thousands of open streams of notifications: `python -m tests.load.streams`.

Two API processes on two cores, as two pods; every user has one stream. Takes the memory that the streams add, how long it takes to
open them, how long an event takes from its commit to its reader, what idle streams cost, and how long their end holds a process up.
Saves docs/benchmarks/streams.json. Everything listens on 127.0.0.1, and ends within some two minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from sqlalchemy import Connection, insert
from tests.load.bench import machine
from tests.load.bench.servers import mysql, redis_server
from tests.load.results import Usage, quantiles

from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.redis.client import open_redis
from bapsang_api.kit.redis.pipeline import Pipeline
from bapsang_api.kit.security.tokens import Principal, SigningKey, TokenIssuer
from bapsang_api.migrate import migrate
from bapsang_api.notifications.news import moderated
from bapsang_api.notifications.service import tell
from bapsang_api.posts.queries import SOURCE
from bapsang_api.readmodel.feed import ChangeFeed
from bapsang_api.users.models import User
from bapsang_local import engine as engines
from bapsang_local.settings import from_environment

RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "streams.json"
PATH = "/api/v1/users/me/notifications/stream"
PROCESSES = 2
MOST_MIB = 200
AT_ONCE = 64  # clients that connect at the same time
BATCH = 100  # people told in one transaction
IDLE_SECONDS = 30.0
ISSUER = "http://localhost:8000"


@dataclass
class Reader:
    """A client of one stream."""

    user_id: str
    token: str
    port: int
    opened: float = 0.0  # seconds until its answer began
    heard: list[float] = field(default_factory=list)  # when events came
    ended: float = 0.0
    stream: asyncio.StreamReader | None = None

    async def open(self) -> None:
        begun = time.perf_counter()
        reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=4096)
        head = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        self.writer.write(head.encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        await reader.readuntil(b"retry: ")
        self.opened, self.stream = time.perf_counter() - begun, reader

    async def follow(self) -> None:
        assert self.stream is not None
        while line := await self.stream.readline():
            if line.startswith(b"id: "):
                self.heard.append(time.perf_counter())
        self.ended = time.perf_counter()
        self.writer.close()


def key_file(folder: Path) -> tuple[SigningKey, Path]:
    key, path = SigningKey.generate(), folder / "key.pem"
    path.write_bytes(
        key.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return key, path


@contextlib.contextmanager
def serving(environment: dict[str, str], cpu: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a service on one core; yield its process and port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bapsang_api", "serve", "--port", "0", "--drain-seconds", "1"],
        env={**os.environ, **environment, "BAPSANG_ADMIN_PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    os.sched_setaffinity(process.pid, {cpu})
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said = json.loads(line)
            if said["event"] == "serve.ready":
                break
        yield process, int(said["port"])
    finally:
        process.kill()
        process.wait(10)


async def measure(
    streams: int, processes: Sequence[tuple[subprocess.Popen[str], int]], key: SigningKey, urls: tuple[str, str]
) -> dict[str, Any]:
    clock = SystemClock()
    ids, database = Ids(clock), Database(urls[0])
    redis = open_redis(urls[1])
    pipeline = Pipeline(redis)
    database.publish = ChangeFeed(database, SOURCE, redis, pipeline).publish
    issuer = TokenIssuer(key, issuer=ISSUER, audience="bapsang", clock=clock, ids=ids)
    readers = []
    for number in range(streams):
        user_id = ids.new()
        token = issuer.issue(Principal(user_id, "USER", ids.new(), number + 1))
        readers.append(Reader(user_id, token, processes[number % len(processes)][1]))
    people = [
        User(id=one.user_id, nickname=f"n{number}", created_at=clock.now()).model_dump(exclude={"changed_at"})
        for number, one in enumerate(readers)
    ]
    await database.write(lambda connection: connection.execute(insert(table_of(User)), people))
    usage = [Usage(process.pid) for process, _ in processes]
    await asyncio.sleep(3)
    before = [one.memory() for one in usage]
    found: dict[str, Any] = {"streams": streams, "processes": len(processes)}

    begun, cpu = time.perf_counter(), sum(one.seconds() for one in usage)
    places = asyncio.Semaphore(AT_ONCE)

    async def enter(reader: Reader) -> None:
        async with places:
            await reader.open()

    await asyncio.gather(*map(enter, readers))
    took = time.perf_counter() - begun
    found["open"] = {
        "per_second": round(streams / took),
        "cpu_ms": round(1000 * (sum(one.seconds() for one in usage) - cpu) / streams, 2),
        "seconds": quantiles([reader.opened for reader in readers]),
    }
    following = [asyncio.create_task(reader.follow()) for reader in readers]
    await asyncio.sleep(3)
    begun, cpu = time.perf_counter(), sum(one.seconds() for one in usage)
    await asyncio.sleep(IDLE_SECONDS)
    idle = (sum(one.seconds() for one in usage) - cpu) / (time.perf_counter() - begun)
    found["idle"] = {"mcore": round(1000 * idle), "seconds": IDLE_SECONDS}
    found["memory"] = grown(usage, before, streams)

    written: dict[str, float] = {}
    cpu = sum(one.seconds() for one in usage)
    begun = time.perf_counter()
    for start in range(0, streams, BATCH):
        some = readers[start : start + BATCH]

        def write(connection: Connection, some: Sequence[Reader] = some) -> None:
            tell(connection, [moderated(one.user_id, "공지 사항이 있습니다.") for one in some], clock.now())

        await database.write(write)
        written |= dict.fromkeys((one.user_id for one in some), time.perf_counter())
    took = time.perf_counter() - begun
    deadline = time.perf_counter() + 20
    while not all(reader.heard for reader in readers) and time.perf_counter() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    found["event"] = {
        "written_per_second": round(streams / took),
        "missed": sum(not reader.heard for reader in readers),
        "twice": sum(len(reader.heard) > 1 for reader in readers),
        "cpu_ms": round(1000 * (sum(one.seconds() for one in usage) - cpu) / streams, 2),
        "seconds": quantiles([max(0.0, one.heard[0] - written[one.user_id]) for one in readers if one.heard]),
    }
    found["memory_after_events"] = grown(usage, before, streams)

    begun = time.perf_counter()
    for process, _ in processes:
        process.send_signal(signal.SIGTERM)
    await asyncio.gather(*following)
    ended = max(reader.ended for reader in readers) - begun
    for process, _ in processes:
        await asyncio.to_thread(process.wait, 20)
    found["end"] = {"all_ended_seconds": round(ended, 2), "exit_seconds": round(time.perf_counter() - begun, 2)}
    await database.close()
    await pipeline.close()
    await redis.aclose()
    return found


def grown(usage: Sequence[Usage], before: Sequence[float], streams: int) -> dict[str, Any]:
    now = [one.memory() for one in usage]
    growth = round(sum(now) - sum(before), 1)
    return {
        "before_mib": round(sum(before), 1),
        "growth_mib": growth,
        "kib_a_stream": round(1024 * growth / streams, 1),
        "most_mib": MOST_MIB,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--streams", type=int, default=5_000)
    options = parser.parse_args()
    out: Path = options.out
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    described = machine.describe()
    commit = subprocess.run(
        ("git", "rev-parse", "--short=10", "HEAD"), capture_output=True, text=True, check=True, timeout=60
    )
    cores = sorted(os.sched_getaffinity(0))
    engine = engines.ensure(from_environment())
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        log = folder / "servers.log"
        database = stack.enter_context(mysql(engine, folder / "mysql", buffer_pool="256M", log=log))
        redis = stack.enter_context(redis_server(engine, folder / "redis", log=log))
        key, path = key_file(folder)
        migrate(database.url)
        environment = {
            "BAPSANG_DATABASE_URL": database.url,
            "BAPSANG_REDIS_URL": redis.url,
            "BAPSANG_SIGNING_KEY_FILE": str(path),
            "BAPSANG_ISSUER": ISSUER,
            "BAPSANG_RATE_LIMITS": "off",
        }
        processes = [
            stack.enter_context(serving(environment, cores[number % len(cores)])) for number in range(PROCESSES)
        ]
        found = asyncio.run(measure(options.streams, processes, key, (database.url, redis.url)))
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": described,
        **found,
    }
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
