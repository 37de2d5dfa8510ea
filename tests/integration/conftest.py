"""The real servers that integration tests run against: containers of the images that the cluster runs."""

from __future__ import annotations

import contextlib
import os
import time
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest
import redis
from tests.certificates import Authority
from tests.mail_server import MailServer, serving_mail
from tests.tls_servers import TlsServers

from bapsang_local import engine as engines
from bapsang_local.engine import Engine

START_SECONDS = 120
MYSQL = "mysql:9.7"
# Or valkey/valkey:8.1, by which the nightly part `valkey` runs tests of this folder.
REDIS = os.environ.get("BAPSANG_TEST_REDIS_IMAGE", "redis:8.0")
# As the operator runs it, but in memory: each test run starts from nothing. The statement RESTART works: 16 asks for it.
MYSQL_START = """
umask 077
echo "CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY ''; GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;" > /tmp/init.sql
mysqld --no-defaults --initialize-insecure --datadir=/data/mysql
export MYSQLD_PARENT_PID=$$
ended=16
while [ $ended = 16 ]; do
  mysqld --no-defaults --datadir=/data/mysql --init-file=/tmp/init.sql --mysqlx=OFF --secure-file-priv=NULL \
    --socket=/tmp/mysqld.sock --pid-file=/tmp/mysqld.pid --max-connections=200 --performance-schema=OFF "$@" && ended=0 || ended=$?
done
exit $ended
"""


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The Docker engine that `make up` uses."""
    found = engines.find()
    if found is None:
        pytest.fail(
            "No Docker engine answers: run `make up` first (or give BAPSANG_TEST_MYSQL_URL and BAPSANG_TEST_REDIS_URL)."
        )
    return found


@pytest.fixture(scope="session")
def mysql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A MySQL server on which the tests may create and drop databases: `mysql+pymysql://user:password@host:port/`."""
    if given := os.environ.get("BAPSANG_TEST_MYSQL_URL"):
        yield given
        return
    with _mysql(request.getfixturevalue("engine"), "--skip-log-bin") as server:
        yield server.url


@pytest.fixture(scope="session")
def replicated_mysql(engine: Engine) -> Iterator[tuple[str, str]]:
    """The URLs of a MySQL server and of a replica of it, each as root."""
    shared = ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
    with _mysql(engine, *shared, "--server-id=1") as source, _mysql(engine, *shared, "--server-id=2") as replica:
        with pymysql.connect(host="127.0.0.1", port=replica.port, user="root") as connection:
            connection.cursor().execute(
                f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{source.address}', SOURCE_USER = 'root',"
                " SOURCE_PASSWORD = '', SOURCE_AUTO_POSITION = 1"
            )
            connection.cursor().execute("START REPLICA")
        yield source.url, replica.url


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A Redis server whose database the tests may empty: `redis://host:port/number`."""
    if given := os.environ.get("BAPSANG_TEST_REDIS_URL"):
        yield given
        return
    arguments = ["--entrypoint", "redis-server", REDIS, "--save", "", "--appendonly", "no", "--protected-mode", "no"]
    arguments += ["--enable-protected-configs", "yes"]  # a test moves `dir` to where nothing can be saved
    with _container(request.getfixturevalue("engine"), 6379, arguments) as (_, port, alive):

        def ping() -> None:
            with redis.Redis(port=port) as client:
                client.ping()

        _wait(ping, alive)
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def mail_server() -> Iterator[MailServer]:
    """A mail server of all tests: each writes to addresses of its own."""
    with serving_mail() as server:
        yield server


@pytest.fixture(scope="session")
def tls_servers(engine: Engine) -> Iterator[TlsServers]:
    authority = Authority()
    files = {"good": authority.certificate("127.0.0.1"), "authority": authority.pem}
    secure = (
        "--ssl-ca=/tmp/authority.pem",
        "--ssl-cert=/tmp/good.pem",
        "--ssl-key=/tmp/good.pem",
        "--require-secure-transport=ON",
    )
    # Or it lets nobody in any more once a hundred clients have not liked its certificate.
    secure += ("--max-connect-errors=1000000",)
    redis_tls = "--port 0 --tls-port 6379 --tls-auth-clients no --tls-ca-cert-file /tmp/authority.pem"
    start = f"{_writing(files)}exec redis-server {redis_tls} --tls-cert-file /tmp/good.pem --tls-key-file /tmp/good.pem"
    options = '--save "" --appendonly no --protected-mode no'
    given = [*_given(files), "--entrypoint", "sh", REDIS, "-c", f"{start} {options}"]
    with _mysql(engine, "--skip-log-bin", *secure, files=files) as mysql, _container(engine, 6379, given) as found:
        name, port, alive = found

        def ping() -> None:
            with redis.Redis(port=port, ssl=True, ssl_cert_reqs="none") as client:
                client.ping()

        _wait(ping, alive)
        yield TlsServers(authority, engine, mysql.url, mysql.container, port, name)


def _given(files: Mapping[str, str]) -> list[str]:
    return [word for name, text in files.items() for word in ("--env", f"{name}={text}")]


def _writing(files: Mapping[str, str]) -> str:
    return "".join(f'printf %s "${name}" > /tmp/{name}.pem\n' for name in files)


@dataclass(frozen=True)
class _MySql:
    """A running server."""

    port: int  # on 127.0.0.1
    address: str  # for other containers
    container: str

    @property
    def url(self) -> str:
        return f"mysql+pymysql://root:@127.0.0.1:{self.port}/"


@contextlib.contextmanager
def _mysql(engine: Engine, *options: str, files: Mapping[str, str] = types.MappingProxyType({})) -> Iterator[_MySql]:
    arguments = [*("--tmpfs", "/data:uid=999,gid=999,mode=700", "--user", "999:999", "--entrypoint", "sh")]
    arguments += [*_given(files), MYSQL, "-c", _writing(files) + MYSQL_START, "mysqld", *options]
    with _container(engine, 3306, arguments) as (name, port, alive):
        _wait(
            lambda: pymysql.connect(host="127.0.0.1", port=port, user="root", password="", connect_timeout=2).close(),
            alive,
        )
        networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        yield _MySql(port, engine.docker("container", "inspect", "--format", networks, name).strip(), name)


@contextlib.contextmanager
def _container(engine: Engine, port: int, arguments: list[str]) -> Iterator[tuple[str, int, Callable[[], str]]]:
    """Run a container that is gone afterwards.

    Yields its name, its port on 127.0.0.1 and a function that returns its log once it has ended.
    """
    with running_container(engine, "--publish", f"127.0.0.1::{port}", *arguments) as name:
        published = engine.docker("port", name, f"{port}/tcp").split()[0]

        def alive() -> str:
            running = engine.docker("container", "inspect", "--format", "{{.State.Running}}", name).strip()
            return "" if running == "true" else engine.docker("logs", name)

        yield name, int(published.rpartition(":")[2]), alive


@contextlib.contextmanager
def running_container(engine: Engine, *arguments: str | Path) -> Iterator[str]:
    """Run a container that is gone afterwards, and yield its name."""
    name = engine.docker("run", "--detach", "--label", "dev.bapsang.test=1", *arguments).strip()
    try:
        yield name
    finally:
        engine.docker("rm", "--force", "--volumes", name)


def _wait(action: Callable[[], None], ended: Callable[[], str]) -> None:
    """Call `action` until it succeeds. Fails at once, with the log, when the container ended."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return action()
        except (pymysql.err.OperationalError, redis.ConnectionError, OSError) as error:
            if log := ended():
                pytest.fail(f"The container ended:\n{log[-3000:]}")
            if time.monotonic() > deadline:
                pytest.fail(f"No answer within {START_SECONDS} s: {error}")
            time.sleep(0.2)
