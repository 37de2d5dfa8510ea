"""MySQL and Redis in containers, as the operator gives them, on the host's network: seen in /proc, bound to 127.0.0.1.

MySQL stands for an external database of a small instance: the operator's settings with a buffer pool of 1 GiB.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import redis

from bapsang_local.engine import Engine

from .proc import two_cores

MYSQL, REDIS = "mysql:9.7", "redis:8.0"
START_SECONDS = 120
LABEL = "dev.bapsang.bench"  # its value: the process that runs the bench
MYSQL_SETTINGS = (
    *("--mysqlx=OFF", "--secure-file-priv=NULL", "--skip-name-resolve", "--max-connections=200"),
    *("--character-set-server=utf8mb4", "--collation-server=utf8mb4_0900_ai_ci", "--disable-log-bin"),
    *("--performance-schema=OFF", "--innodb-redo-log-capacity=512M"),
)
REDIS_SETTINGS = (
    *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory", "1gb"),
    *("--maxmemory-policy", "noeviction", "--set-max-intset-entries", "50000"),
)
_MYSQL_START = """
umask 077
echo "CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY ''; GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;" > /tmp/init.sql
echo "CREATE DATABASE IF NOT EXISTS bapsang CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;" >> /tmp/init.sql
[ -d /data/mysql ] || mysqld --no-defaults --initialize-insecure --datadir=/data/mysql
exec mysqld --no-defaults --datadir=/data/mysql --init-file=/tmp/init.sql --socket=/tmp/mysqld.sock --pid-file=/tmp/mysqld.pid "$@"
"""


def owner() -> tuple[int, int]:
    """Return whom the servers' files belong to: neither server runs as root."""
    return (999, 999) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def own(folder: Path) -> None:
    """Make a folder for a server's files."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, *owner())


def free_port() -> int:
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass(frozen=True)
class Mysql:
    """A running server."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"mysql+pymysql://root:@127.0.0.1:{self.port}/bapsang?charset=utf8mb4"

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Any]:
        options: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "user": "root", "password": ""}
        with (
            contextlib.closing(
                pymysql.connect(**options, database="bapsang", charset="utf8mb4", autocommit=True)
            ) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def one(self, statement: str, *values: Any) -> Any:
        return self.rows(statement, *values)[0][0]

    def status(self, pattern: str) -> dict[str, int]:
        """Return counters of the server, such as `Handler_read%`."""
        return {name: int(value) for name, value in self.rows("SHOW GLOBAL STATUS LIKE %s", pattern)}


@dataclass(frozen=True)
class Redis:
    """A running server."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True)


@contextlib.contextmanager
def mysql(engine: Engine, folder: Path, *, buffer_pool: str, log: Path) -> Iterator[Mysql]:
    """Run MySQL on the data in `folder`; a new database where there are none. It ends in order, so the files are whole."""
    port = free_port()
    own(folder)
    command = ["sh", "-c", _MYSQL_START, "mysqld", f"--port={port}", "--bind-address=127.0.0.1", *MYSQL_SETTINGS]
    command.append(f"--innodb-buffer-pool-size={buffer_pool}")
    with container(engine, MYSQL, "mysql", command, log, _stored(folder), stop_seconds=60) as pid:
        server = Mysql(pid, port)
        wait_for(lambda: server.one("SELECT 1"), (pymysql.err.OperationalError,))
        yield server


@contextlib.contextmanager
def redis_server(engine: Engine, folder: Path, *, log: Path) -> Iterator[Redis]:
    """Run Redis with its append-only file in `folder`."""
    port = free_port()
    own(folder)
    command = ["redis-server", "--dir", "/data", "--port", str(port), "--bind", "127.0.0.1", *REDIS_SETTINGS]
    with container(engine, REDIS, "redis", command, log, _stored(folder), stop_seconds=60) as pid:
        server = Redis(pid, port)
        with contextlib.closing(server.client()) as client:
            wait_for(client.ping, (redis.ConnectionError,))
        yield server


def _stored(folder: Path) -> list[str]:
    return ["--user", ":".join(map(str, owner())), "--volume", f"{folder}:/data"]


@contextlib.contextmanager
def container(
    engine: Engine, image: str, name: str, command: list[str], log: Path, more: list[str], *, stop_seconds: int
) -> Iterator[int]:
    """Run a container that is gone afterwards; yields the process id of its only process."""
    name = f"bapsang-bench-{name}-{secrets.token_hex(4)}"
    cores = ",".join(map(str, sorted(two_cores())))
    options = ["--detach", "--name", name, "--label", f"{LABEL}={os.getpid()}", "--network", "host"]
    options += ["--cpuset-cpus", cores, *more, "--entrypoint", command[0]]
    engine.docker("run", *options, image, *command[1:])
    try:
        pid = int(engine.docker("inspect", "-f", "{{.State.Pid}}", name))
        if not pid:
            raise SystemExit(f"The {name} container ended at once: see {log}.")
        if not Path(f"/proc/{pid}/stat").exists():
            raise SystemExit("The Docker engine runs on another machine: its processes cannot be measured from here.")
        yield pid
    finally:
        engine.tries("stop", "--time", str(stop_seconds), name, timeout=stop_seconds + 30)
        log.write_text(engine.docker("logs", name))
        engine.tries("rm", "--force", "--volumes", name)


def wait_for(action: Callable[[], Any], errors: tuple[type[Exception], ...], seconds: float = START_SECONDS) -> Any:
    """Call `action` until it raises none of `errors`. Raises the last one after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except errors:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def clear(engine: Engine, cache: Path) -> None:
    """Remove what a run has left that was killed: its servers would take part in this one."""
    shown = engine.docker(
        "ps", "--all", "--filter", f"label={LABEL}", "--format", f'{{{{.Names}}}} {{{{.Label "{LABEL}"}}}}'
    )
    for name, pid in (line.split() for line in shown.splitlines()):
        if not Path(f"/proc/{pid}").exists():
            engine.tries("rm", "--force", "--volumes", name)
    for folder in cache.glob("run-*"):
        if not Path(f"/proc/{folder.name.removeprefix('run-')}").exists():
            remove(folder)


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
