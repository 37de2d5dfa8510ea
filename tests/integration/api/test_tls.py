"""TLS to MySQL and Redis: a server that is not verified is told no password, whatever connects."""

import asyncio
import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import make_url, text
from tests.certificates import Authority
from tests.tls_servers import TlsServers
from tests.waiting import eventually

from bapsang_api.kit import tls

from .databases import connected
from .process import run_here
from .wiretap import impersonated, tapped, without_tls
from .world import UNKNOWN, Backend, open_world

PASSWORD = "Wonderland-2026"
USER = "tls_user"


@dataclass
class Stores:
    """A database and a Redis that only speak TLS, and the environment that names and verifies them."""

    servers: TlsServers
    environment: dict[str, str]
    folder: Path

    @property
    def mysql_port(self) -> int:
        return make_url(self.servers.mysql).port or 0

    def run(self, *command: str, **changes: str) -> tuple[int, str, str]:
        """Run a command and return its exit code, how it ended, and all that it said."""
        ended = self.folder / "termination-log"
        ended.write_text("")
        given = {**self.environment, **changes, "BAPSANG_TERMINATION_LOG": str(ended), "BAPSANG_LOG_LEVEL": "debug"}
        done = run_here(*command, cwd=self.folder, **given)
        said = f"{done.stdout}{done.stderr}"
        assert PASSWORD not in said
        return done.returncode, ended.read_text(), said

    def url(self, store: str, *, host: str = "127.0.0.1", port: int | None = None) -> dict[str, str]:
        """Return the setting of a store's URL with another address."""
        name = f"BAPSANG_{store}_URL"
        changed = make_url(self.environment[name]).set(host=host)
        changed = changed.set(port=port) if port else changed
        return {name: changed.render_as_string(hide_password=False)}


@pytest.fixture
def stores(tls_servers: TlsServers, tmp_path: Path, signing_key_file: Path) -> Iterator[Stores]:
    name = f"bapsang_test_{secrets.token_hex(4)}"
    with connected(tls_servers.mysql, isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        connection.execute(text(f"CREATE USER IF NOT EXISTS {USER} IDENTIFIED BY '{PASSWORD}'"))
        connection.execute(text(f"GRANT ALL ON *.* TO {USER}"))
        url = make_url(tls_servers.mysql).set(username=USER, password=PASSWORD, database=name)
        ca = tls_servers.authority.save(tmp_path)
        environment = {
            "BAPSANG_DATABASE_URL": url.render_as_string(hide_password=False),
            "BAPSANG_REDIS_URL": f"rediss://127.0.0.1:{tls_servers.redis_port}/0",
            "BAPSANG_DATABASE_TLS_CA": ca,
            "BAPSANG_REDIS_TLS_CA": ca,
            "BAPSANG_SIGNING_KEY_FILE": str(signing_key_file),
            "BAPSANG_ADMIN_PORT": "0",
            "BAPSANG_RATE_LIMITS": "off",
            "BAPSANG_HOLD_POSTS": "off",
        }
        yield Stores(tls_servers, environment, tmp_path)
        connection.execute(text(f"DROP DATABASE {name}"))


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_all_that_connects_does_so_by_tls_and_the_servers_say_so(stores: Stores, scheme: str) -> None:
    # Neither server takes anybody without TLS; that MySQL names the cipher says that it is this session's.
    environment = stores.environment | {
        "BAPSANG_REDIS_URL": f"{scheme}://127.0.0.1:{stores.servers.redis_port}/0",
        "BAPSANG_DATABASE_READER_URL": stores.environment["BAPSANG_DATABASE_URL"],
    }
    settings = Backend("tls", environment).settings
    assert "?tls_ca=" in settings.database_url
    with pytest.raises(pymysql.err.OperationalError, match="3159"):
        pymysql.connect(host="127.0.0.1", port=stores.mysql_port, user="root", ssl_disabled=True)
    await _in_a_thread(lambda: stores.run("migrate", **environment))
    async with open_world(Backend("tls", environment)) as world:
        alice = await world.person()
        post_id = await alice.write_post()
        assert (await alice.toggle(post_id)).status_code == 204
        assert (await world.write_back()).ran
        assert await world.like_count_column(post_id) == 1
        cipher = text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        for one in world.runtime.database.servers():
            assert (await one.read(lambda connection: connection.execute(cipher).one()))[1]
    code, ended, said = await _in_a_thread(lambda: stores.run("like-sync", **environment))
    assert (code, ended) == (0, ""), said


async def _in_a_thread(work: Callable[[], tuple[int, str, str]]) -> tuple[int, str, str]:
    """Run a command, which has an event loop of its own."""
    return await asyncio.to_thread(work)


@pytest.mark.parametrize(
    "command",
    [
        ["migrate", "--wait", "60"],
        ["serve", "--port", "0", "--drain-seconds", "0"],
        ["like-sync"],
        ["image-collector"],
        ["recount", "--all"],
        ["reindex"],
        ["erase-user", UNKNOWN, "--yes"],
        ["admin", "block", UNKNOWN],
        ["seed", "--users", "1", "--posts", "1", "--likes", "1"],
    ],
    ids=lambda command: command[0],
)
def test_no_command_talks_to_a_database_that_it_cannot_verify(stores: Stores, command: list[str]) -> None:
    ending = "DATABASE_TLS 19 BAPSANG_DATABASE_TLS_CA"
    changes = {"BAPSANG_DATABASE_TLS_CA": Authority().save(stores.folder), "BAPSANG_S3_BUCKET": "media"}
    changes |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "BAPSANG_S3_ENDPOINT": "http://127.0.0.1:1"}
    if command[0] == "serve":
        (stores.folder / "termination-log").touch()

        def end() -> None:  # it is not ready, and waits
            try:
                eventually(lambda: (stores.folder / "termination-log").read_text() == ending, 30)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=end).start()
    code, ended, said = stores.run(*command, **changes)
    assert (code, "BAPSANG_DATABASE_TLS_CA" in said) == (1, True), said
    # What people start by hand has no pod whose status somebody would look at.
    assert ended == (ending if command[0] in {"migrate", "serve", "like-sync", "image-collector"} else "")


CASES = {"another authority": 19, "another host name": 62, "expired": 10, "no TLS": tls.NO_TLS}


@pytest.mark.parametrize(
    ("store", "case"),
    [
        *(("DATABASE", case) for case in CASES),
        *(("DATABASE_READER", case) for case in ("another host name", "no TLS")),
        *(("REDIS", case) for case in CASES),
    ],
)
def test_migration_fails_first_and_says_why_a_server_is_not_verified(
    stores: Stores, redis_url: str, store: str, case: str
) -> None:
    setting = f"BAPSANG_{store.removesuffix('_READER')}_TLS_CA"
    stores.environment["BAPSANG_DATABASE_READER_URL"] = stores.environment["BAPSANG_DATABASE_URL"]
    with contextlib.ExitStack() as stack:
        changes = {}
        if case == "another authority":
            changes = {setting: Authority().save(stores.folder)}
        elif case == "another host name":
            changes = stores.url(store, host="localhost")
        elif case == "expired":
            brief = stores.servers.authority.certificate("127.0.0.1", seconds=3)  # MySQL takes none that has expired
            expires = time.monotonic() + 3
            stack.enter_context(stores.servers.showing(store, brief))
            eventually(lambda: time.monotonic() > expires)
        elif store == "REDIS":
            changes = stores.url(store, port=make_url(redis_url).port)
        else:
            changes = stores.url(store, port=stack.enter_context(tapped(stores.mysql_port, without_tls)).port)
        code, ended, said = stores.run("migrate", "--wait", "60", **changes)
    ending = "REDIS_TLS" if store == "REDIS" else "DATABASE_TLS"
    assert (code, ended) == (1, f"{ending} {CASES[case]} {setting}"), said
    assert f"{setting} asks for a verified server, but {tls.WORDS[CASES[case]]}" in said
    with connected(stores.servers.mysql) as connection:
        name = make_url(stores.environment["BAPSANG_DATABASE_URL"]).database
        tables = text("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = :name")
        assert connection.execute(tables, {"name": name}).scalar() == 0, "the schema was changed all the same"


def test_database_that_offers_no_tls_is_sent_nothing(stores: Stores) -> None:
    with tapped(stores.mysql_port, without_tls) as wire:
        stores.run("migrate", **stores.url("DATABASE", port=wire.port))
        assert wire.connections >= 1
        assert wire.sent == b""


@pytest.mark.parametrize("store", ["DATABASE", "REDIS"])
def test_somebody_in_the_place_of_a_server_is_told_nothing(stores: Stores, store: str) -> None:
    certificate = stores.folder / "impostor.pem"
    certificate.write_text(Authority().certificate("127.0.0.1"))
    target, is_mysql = stores.mysql_port, store == "DATABASE"
    with impersonated(target, certificate, mysql=is_mysql) as impostor:
        url = make_url(stores.environment[f"BAPSANG_{store}_URL"]).set(port=impostor.port, password=PASSWORD)
        code, ended, _ = stores.run("migrate", **{f"BAPSANG_{store}_URL": url.render_as_string(hide_password=False)})
        assert (code, ended) == (1, f"{store}_TLS 20 BAPSANG_{store}_TLS_CA")
        eventually(lambda: impostor.refused)
        assert impostor.told == []


def test_redis_without_tls_is_sent_no_password(stores: Stores, redis_url: str) -> None:
    with tapped(make_url(redis_url).port or 0) as wire:
        code, ended, _ = stores.run("migrate", BAPSANG_REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{wire.port}/0")
        assert (code, ended) == (1, f"REDIS_TLS {tls.NO_TLS} BAPSANG_REDIS_TLS_CA")
        assert wire.sent
        assert PASSWORD.encode() not in wire.sent
        assert b"AUTH" not in wire.sent


def test_authorities_of_the_machine_verify_where_they_are_named(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {"BAPSANG_DATABASE_TLS_CA": tls.SYSTEM, "BAPSANG_REDIS_TLS_CA": tls.SYSTEM}
    tls.verifying.cache_clear()
    assert stores.run("migrate", **named)[:2] == (1, "REDIS_TLS 19 BAPSANG_REDIS_TLS_CA")
    monkeypatch.setenv("SSL_CERT_FILE", stores.environment["BAPSANG_DATABASE_TLS_CA"])  # what the machine trusts
    tls.verifying.cache_clear()
    assert stores.run("migrate", **named)[0] == 0
    tls.verifying.cache_clear()


def test_file_of_authorities_stands_alone(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names an authority of their own trusts no other: not what the machine trusts besides."""
    monkeypatch.setenv("SSL_CERT_FILE", stores.environment["BAPSANG_DATABASE_TLS_CA"])
    other = Authority().save(stores.folder)
    assert stores.run("migrate", BAPSANG_REDIS_TLS_CA=other)[1] == "REDIS_TLS 19 BAPSANG_REDIS_TLS_CA"
    assert stores.run("migrate", BAPSANG_DATABASE_TLS_CA=other)[1] == "DATABASE_TLS 19 BAPSANG_DATABASE_TLS_CA"


def test_without_the_setting_the_url_alone_counts(stores: Stores) -> None:
    """As in every version before: an older operator sets nothing else, and its servers have certificates of their own."""
    stores.environment.pop("BAPSANG_DATABASE_TLS_CA")
    stores.environment.pop("BAPSANG_REDIS_TLS_CA")
    assert stores.run("migrate")[0] == 0
