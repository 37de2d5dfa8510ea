"""Bounded threads, single flight, logs without secrets, and the database's own promises on SQLite."""

import asyncio
import json
import logging
import threading
import time
from pathlib import Path
from typing import Literal

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from bapsang_api.auth import passwords as hashing
from bapsang_api.auth.passwords import Budget, Passwords
from bapsang_api.kit.concurrency import SingleFlight
from bapsang_api.kit.context import request_id
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.logs import JsonFormatter
from bapsang_api.kit.problem import NotFound, Unavailable
from bapsang_api.kit.threads import BoundedPool


async def test_pool_refuses_what_does_not_fit_its_queue() -> None:
    pool = BoundedPool("test", threads=1, queue=1, queue_seconds=5, seconds=5)
    go = threading.Event()
    running, waiting = (asyncio.create_task(pool.run(go.wait)) for _ in range(2))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await pool.run(lambda: None)
    with pytest.raises(Unavailable):
        pool.require_room()
    go.set()
    assert await running
    assert await waiting
    pool.require_room()
    assert await pool.run(lambda: 7) == 7
    await pool.close()


async def test_pool_gives_up_waiting_after_its_deadline() -> None:
    pool = BoundedPool("test", threads=1, queue=1, queue_seconds=5, seconds=0.01)
    go = threading.Event()
    with pytest.raises(Unavailable):
        await pool.run(go.wait)
    go.set()
    await pool.close()


async def test_pool_never_begins_what_waited_too_long() -> None:
    pool = BoundedPool("test", threads=1, queue=1, queue_seconds=0.01, seconds=5)
    go, begun = threading.Event(), threading.Event()
    running = asyncio.create_task(pool.run(go.wait))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await pool.run(begun.set)
    go.set()
    assert await running
    assert await pool.run(begun.is_set) is False
    await pool.close()


async def test_closing_a_pool_waits_for_what_runs_and_drops_what_waits() -> None:
    pool = BoundedPool("test", threads=1, queue=1, queue_seconds=5, seconds=5)
    go, ended, begun = threading.Event(), threading.Event(), threading.Event()

    def job() -> None:
        go.wait()
        time.sleep(0.05)
        ended.set()

    running, waiting = asyncio.create_task(pool.run(job)), asyncio.create_task(pool.run(begun.set))
    await asyncio.sleep(0)
    running.cancel()  # its caller is gone, which does not end it
    closing = asyncio.create_task(pool.close())
    with pytest.raises(Unavailable):
        await waiting
    go.set()
    await closing
    assert ended.is_set()
    assert not begun.is_set()


async def test_single_flight_runs_once_for_all_waiters_and_shares_errors() -> None:
    flight, calls, go = SingleFlight(), 0, asyncio.Event()

    async def work() -> None:
        nonlocal calls
        calls += 1
        await go.wait()
        raise NotFound

    waiters = [asyncio.create_task(flight.run("key", work)) for _ in range(5)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    go.set()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert calls == 1
    assert [type(result) for result in results] == [asyncio.CancelledError] + [NotFound] * 4


async def test_password_check_does_the_same_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    verify, checked = PasswordHasher.verify, []

    def counted(self: PasswordHasher, hashed: str | bytes, password: str | bytes) -> Literal[True]:
        checked.append(str(hashed).rpartition("$")[0].rpartition("$")[0])  # its parameters, without salt and digest
        return verify(self, hashed, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    passwords = Passwords()
    hashed = await passwords.hash("Bapsang-2026!")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(hashed, "Bapsang-2026!")
    assert not await passwords.verify(hashed, "bapsang-2026!")
    assert not await passwords.verify(None, "no such user")
    assert checked == ["$argon2id$v=19$m=19456,t=2,p=1"] * 3, (
        "the same work, or the time of an answer tells which e-mails exist"
    )
    await passwords.close()


class Processor:
    """One processor's time: `time` as hashing sees it, while nothing else runs."""

    def __init__(self) -> None:
        self.now, self.used = 1000.0, 0.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.used

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def hash(self) -> None:
        self.now, self.used = self.now + 0.065, self.used + 0.065


def test_a_flood_of_hashes_takes_its_share_of_a_processor_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    processor = Processor()
    monkeypatch.setattr(hashing, "time", processor)
    budget = Budget(share=0.25, burst=0.1)
    begun = processor.now
    for _ in range(100):
        budget.run(processor.hash)
    assert processor.used == pytest.approx(6.5)
    assert processor.used / (processor.now - begun) == pytest.approx(0.25, rel=0.05)
    processor.sleep(3600)  # a pause earns one burst, not an hour's
    begun = processor.now
    budget.run(processor.hash)
    budget.run(processor.hash)
    assert processor.now - begun == pytest.approx(0.13), "who comes alone does not wait"
    for _ in range(2):
        budget.run(processor.hash)
    assert processor.now - begun > 4 * 0.065


async def test_passwords_are_hashed_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[object]()
    monkeypatch.setattr(Budget, "run", lambda _, job: (asked.append(job), job())[1])
    passwords = Passwords()
    assert await passwords.verify(await passwords.hash("Bapsang-2026!"), "Bapsang-2026!")
    assert len(asked) == 2
    await passwords.close()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/test.sqlite3")


async def test_write_is_rolled_back_as_a_whole(database: Database) -> None:
    await database.write(lambda connection: connection.execute(text("CREATE TABLE t (n INTEGER UNIQUE)")))
    with pytest.raises(IntegrityError):
        await database.write(lambda connection: connection.execute(text("INSERT INTO t VALUES (1), (2), (1)")))
    assert await database.read(lambda connection: connection.execute(text("SELECT n FROM t")).all()) == []
    await database.close()


async def test_parallel_writers_wait_for_each_other(database: Database) -> None:
    await database.write(lambda connection: connection.execute(text("CREATE TABLE t (n INTEGER)")))
    await database.write(lambda connection: connection.execute(text("INSERT INTO t VALUES (0)")))

    def increment(connection) -> None:  # type: ignore[no-untyped-def]
        number = connection.execute(text("SELECT n FROM t")).scalar()
        connection.execute(text("UPDATE t SET n = :n"), {"n": number + 1})

    await asyncio.gather(*(database.write(increment) for _ in range(40)))
    assert await database.read(lambda connection: connection.execute(text("SELECT n FROM t")).scalar()) == 40
    await database.close()


async def test_exclusive_lane_is_given_to_one_at_a_time(database: Database) -> None:
    async with database.exclusive("job") as first, database.exclusive("job") as second:
        assert first is not None
        assert second is None
    async with database.exclusive("job") as again:
        assert again is not None
    await database.close()


async def test_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/missing/test.sqlite3")
    with pytest.raises(Unavailable):
        await database.read(lambda connection: connection.execute(text("SELECT 1")).scalar())
    await database.close()


def test_log_line_is_json_with_request_id_and_without_what_errors_quote() -> None:
    request_id.set("abc")
    try:
        try:
            raise IntegrityError("INSERT", {"email": "a@example.com"}, Exception("Duplicate entry 'a@example.com'"))
        except IntegrityError as error:
            raise RuntimeError("a bug") from error
    except RuntimeError as error:
        record = logging.LogRecord(
            "bapsang_api.x", logging.ERROR, __file__, 1, "boom", None, (type(error), error, error.__traceback__)
        )
    record.post_id = "p1"
    line = json.loads(JsonFormatter().format(record))
    request_id.set("")
    assert (line["event"], line["level"], line["request_id"], line["post_id"]) == ("boom", "error", "abc", "p1")
    assert line["error"].startswith("RuntimeError: a bug <- ")
    assert "example.com" not in json.dumps(line)
    assert any("test_kit.py" in frame for frame in line["stack"])
