"""A process is ready, and a job works, only on a database that has the schema this program needs; and what it says then."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from tests.waiting import eventually

from bapsang_api.migrate import is_behind, migrate
from bapsang_api.opening import open_database
from bapsang_api.schema_gate import until_fit
from bapsang_api.settings import Settings

from .databases import connected
from .process import client, run_here, serving
from .world import API, Backend

PASSWORD = "Wonderland-2026"


@contextlib.contextmanager
def _user(database_url: str, password: str) -> Iterator[str]:
    """A user of one database; yields its URL with PASSWORD, whatever the real one is."""
    url, name = make_url(database_url), f"late_{secrets.token_hex(4)}"
    with connected(database_url, isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE USER {name} IDENTIFIED BY '{password}'"))
        connection.execute(text(f"GRANT ALL ON {url.database}.* TO {name}"))
    try:
        yield url.set(username=name, password=PASSWORD).render_as_string(hide_password=False)
    finally:
        with connected(database_url, isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"DROP USER {name}"))


def _set_password(database_url: str, user: str | None, password: str) -> None:
    with connected(database_url, isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ALTER USER {user} IDENTIFIED BY '{password}'"))


def test_a_process_is_ready_once_the_database_admits_it_and_has_its_schema(
    tmp_path: Path, empty_mysql: str, servers: Backend
) -> None:
    ended = tmp_path / "termination-log"
    ended.touch()
    with _user(empty_mysql, "another") as url:
        environment = {**servers.environment, "BAPSANG_DATABASE_URL": url, "BAPSANG_TERMINATION_LOG": str(ended)}
        user = make_url(url).username
        with (
            serving(tmp_path, until="serve.listening", **environment) as service,
            client(service.url) as http,
            client(service.admin) as admin,
        ):

            def probe() -> int:
                return admin.get("/readyz").status_code

            # The password is wrong, then the database is empty, then all is well.
            eventually(lambda: ended.read_text() == "DATABASE_REFUSED 1045", 60)
            assert (probe(), admin.get("/livez").status_code) == (503, 200)
            _set_password(empty_mysql, user, PASSWORD)
            eventually(lambda: ended.read_text() == "SCHEMA_BEHIND", 60)
            assert probe() == 503
            migrate(empty_mysql)
            eventually(lambda: service.said("serve.ready"), 60)
            assert (probe(), ended.read_text()) == (200, "")
            # What is lost later unreadies nobody: requests are answered 503 one by one.
            _set_password(empty_mysql, user, "another")
            with connected(empty_mysql, isolation_level="AUTOCOMMIT") as connection:
                theirs = text("SELECT id FROM information_schema.processlist WHERE user = :user")
                for number in connection.execute(theirs, {"user": user}).scalars().all():
                    connection.execute(text(f"KILL {number}"))
            eventually(lambda: http.get(f"{API}/posts?size=7").status_code == 503, 60)
            assert probe() == 200
        found = [line for line in service.log if line["event"] == "serve.database_unfit"]
        told = [(line["server"], line["code"], line["number"]) for line in found]
        assert told == [("writer", "DATABASE_REFUSED", 1045), ("writer", "SCHEMA_BEHIND", 0)]
        assert PASSWORD not in str(service.log)


async def test_a_replica_holds_readiness_up_when_it_is_another_database_not_when_it_is_down(
    servers: Backend, empty_mysql: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def passes(reader: str) -> bool:
        settings = Settings.from_environment({**servers.environment, "BAPSANG_DATABASE_READER_URL": reader})
        database = open_database(settings)
        waiting = asyncio.create_task(until_fit(database))
        try:
            while not waiting.done() and "serve.database_unfit" not in caplog.messages:
                await asyncio.wait([waiting], timeout=0.02)
            return waiting.done()
        finally:
            waiting.cancel()
            await asyncio.wait([waiting])
            await database.close()

    caplog.set_level(logging.WARNING)
    async with asyncio.timeout(60):
        assert await passes(servers.environment["BAPSANG_DATABASE_URL"])
        assert await passes("mysql+pymysql://root:@127.0.0.1:1/bapsang")
        assert not await passes(empty_mysql)
    (record,) = [one for one in caplog.records if one.message == "serve.database_unfit"]
    assert (vars(record)["server"], vars(record)["code"]) == ("reader", "SCHEMA_BEHIND")


def test_a_schema_is_behind_without_the_newest_revision_unless_it_is_newer(empty_mysql: str) -> None:
    engine = create_engine(empty_mysql, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        assert is_behind(connection)
        head = migrate(empty_mysql)
        assert not is_behind(connection)
        for revision, expected in (("0001", True), (head, False), ("9999", False), ("a1b2c3d4e5f6", True)):
            connection.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
            assert is_behind(connection) is expected
        connection.execute(text("DELETE FROM alembic_version"))
        assert is_behind(connection)
    engine.dispose()


WRONG = f"mysql+pymysql://bapsang:{PASSWORD}"


@pytest.mark.parametrize(
    ("command", "changes", "code", "said"),
    [
        (["like-sync"], {}, 1, "SCHEMA_BEHIND"),
        (["image-collector"], {"BAPSANG_S3_BUCKET": "media"}, 1, "SCHEMA_BEHIND"),
        (["migrate"], {"BAPSANG_DATABASE_URL": f"{WRONG}@127.0.0.1:1/x"}, 1, "DATABASE_UNREACHABLE 2003"),
        (["migrate"], {"user": "nobody"}, 1, "DATABASE_REFUSED 1045"),
        (["migrate"], {"BAPSANG_DATABASE_URL": f"{WRONG}@x@db/x"}, 2, "SETTING_REFUSED BAPSANG_DATABASE_URL"),
        (["serve"], {"BAPSANG_REDIS_URL": f"redis://:{PASSWORD}#x@r/0"}, 2, "SETTING_REFUSED BAPSANG_REDIS_URL"),
        (["serve"], {"BAPSANG_SIGNING_KEY_FILE": "url"}, 2, "SETTING_REFUSED BAPSANG_SIGNING_KEY_FILE"),
        (["serve", "--port", "0", "--drain-seconds", "0"], {}, 1, "SCHEMA_BEHIND"),
    ],
)
def test_a_command_ends_with_a_code_and_tells_no_secret(
    command: list[str],
    changes: dict[str, str],
    code: int,
    said: str,
    tmp_path: Path,
    empty_mysql: str,
    servers: Backend,
    capfd: pytest.CaptureFixture[str],
) -> None:
    ended = tmp_path / "termination-log"
    ended.touch()
    (tmp_path / "url").write_text(f"{WRONG}@db/x")  # in the place of a signing key
    if user := changes.get("user"):
        url = make_url(empty_mysql).set(username=user, password=PASSWORD)
        changes = {"BAPSANG_DATABASE_URL": url.render_as_string(hide_password=False)}
    given = {**servers.environment, "BAPSANG_DATABASE_URL": empty_mysql, "BAPSANG_TERMINATION_LOG": str(ended)}
    given |= {"AWS_ACCESS_KEY_ID": PASSWORD, "AWS_SECRET_ACCESS_KEY": PASSWORD, "BAPSANG_LOG_LEVEL": "debug"}
    if said == "SCHEMA_BEHIND" and "serve" in command:
        # A pod that never became ready is ended by the kubelet.
        def end() -> None:
            eventually(lambda: ended.read_text() == said, 60)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=end).start()
    done = run_here(*command, cwd=tmp_path, **{**given, **changes})
    assert (done.returncode, ended.read_text()) == (code, said)
    told = "".join((done.stdout, done.stderr, *capfd.readouterr()))
    assert told
    assert PASSWORD not in told
    assert logging.getLogger("botocore").level == logging.WARNING  # at `debug` it writes down what signs a request
