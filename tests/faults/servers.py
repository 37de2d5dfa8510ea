"""Redis and MySQL that can be killed at any moment and come back with what they had written."""

from __future__ import annotations

import abc
import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

import pymysql
import redis

from bapsang_local import engine as engines
from bapsang_local import shell
from bapsang_local.engine import Engine
from bapsang_operator.build.redis import START

AnyServer = TypeVar("AnyServer", bound="Server")

# By engine.
IMAGES: Final = {"redis": "redis:8.0", "valkey": "valkey/valkey:8.1"}
MYSQL = "mysql:9.7"
START_SECONDS = 120
# As the operator runs it, but with a log that is rewritten early: a restart reads all of it. A restart waits for permission,
# so that nobody meets it unprepared. The data lie in memory, which outlives the process as a disk does. `$0` is the operator's
# start command, which repairs what a power loss cut.
REDIS_LOOP = """
while :; do
  sh -c "$0" redis --dir /data --save '' --appendonly yes --appendfsync everysec --maxmemory-policy noeviction \
    --auto-aof-rewrite-min-size 4mb --repl-diskless-sync-delay 0 --protected-mode no --loglevel warning &
  echo $! > /tmp/pid; wait $!
  until [ -e /tmp/go ]; do sleep 0.02; done; rm /tmp/go
done
"""
_TIMES = "cat /proc/1/stat /proc/$(cat /tmp/pid)/stat"
_NEWEST_LOG = "$(ls -v /data/appendonlydir/*.incr.aof | tail -n 1)"
MYSQL_LOOP = """
umask 077
echo "CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY ''; GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;" > /tmp/init.sql
mysqld --no-defaults --initialize-insecure --datadir=/data/mysql
while :; do
  mysqld --no-defaults --datadir=/data/mysql --init-file=/tmp/init.sql --mysqlx=OFF --secure-file-priv=NULL \
    --socket=/tmp/mysqld.sock --pid-file=/tmp/mysqld.pid --max-connections=200 --performance-schema=OFF --skip-log-bin --skip-name-resolve \
    --innodb-buffer-pool-size=32M --innodb-redo-log-capacity=16M &
  echo $! > /tmp/pid; wait $!
done
"""


@dataclass(frozen=True)
class Server(abc.ABC):
    """A container with one server that is started again whenever it dies."""

    PORT: ClassVar[int]

    name: str
    inside: tuple[str, ...]  # runs a command beside the server
    environment: Mapping[str, str]
    host: str
    port: int
    address: str  # for other containers

    def shell(self, script: str) -> str:
        """Run a shell script beside the server."""
        return shell.output([*self.inside, "sh", "-c", script], env=self.environment)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the server has used, those before it that were killed included."""
        dead, alive = (line.rpartition(")")[2].split() for line in self.shell(_TIMES).splitlines())
        return (int(dead[13]) + int(dead[14]) + int(alive[11]) + int(alive[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """kill -9 the server."""
        self.shell("kill -9 $(cat /tmp/pid)")

    @abc.abstractmethod
    def ping(self) -> None:
        """Return when the server answers, raise its client's error when it does not."""

    def pause(self) -> None:
        """Stop the server without closing a connection, as a frozen node does."""
        self.shell("kill -STOP $(cat /tmp/pid)")

    def resume(self) -> None:
        self.shell("kill -CONT $(cat /tmp/pid)")


class RedisServer(Server):
    """Redis, or what stands in for it, with an append-only file, synced every second."""

    PORT = 6379

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(host=self.host, port=self.port, decode_responses=True, **options)  # type: ignore[call-overload,no-any-return]

    def log_size(self) -> int:
        """Return the bytes of the append-only file's newest part."""
        return int(self.shell(f"wc -c < {_NEWEST_LOG}"))

    def cut_log(self, size: int) -> None:
        """Cut the newest part of a dead server's append-only file: what a power loss takes that nobody had synced."""
        self.shell(f"truncate -s {size} {_NEWEST_LOG}")

    @property
    def engine(self) -> str:
        return self.version().split()[0]

    def follow(self, primary: RedisServer) -> None:
        """Become its replica, with its data."""
        with contextlib.closing(self.client()) as client:
            client.replicaof(primary.address, str(primary.PORT))

    def follows(self) -> bool:
        """Whether it is a replica that receives what its primary writes."""
        with contextlib.closing(self.client()) as client:
            found = client.info("replication")
        return bool(found["role"] == "slave" and found["master_link_status"] == "up")  # type: ignore[index]

    def version(self) -> str:
        with contextlib.closing(self.client()) as client:
            found = client.info("server")
        name = found.get("server_name", "redis")  # type: ignore[union-attr]
        return f"{name} {found.get(f'{name}_version', '?')}"  # type: ignore[union-attr]

    def start(self) -> None:
        """Let a killed server start again, and wait until it answers."""
        self.shell("touch /tmp/go")
        wait(self.ping)

    def ping(self) -> None:
        with contextlib.closing(self.client(socket_timeout=2)) as client:
            client.ping()


class MysqlServer(Server):
    """MySQL; comes back by itself."""

    PORT = 3306

    @property
    def url(self) -> str:
        # Without TLS: for each connection PyMySQL would read all certificates of the machine, longer than a process starts.
        return f"mysql+pymysql://root:@{self.host}:{self.port}/bapsang?charset=utf8mb4&ssl_disabled=true"

    def connect(self, database: str | None = None) -> pymysql.Connection:
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user="root",
            password="",
            database=database,
            connect_timeout=3,
            autocommit=True,
            ssl_disabled=True,
        )

    def ping(self) -> None:
        self.connect().close()

    def create_database(self) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DROP DATABASE IF EXISTS bapsang")
            cursor.execute("CREATE DATABASE bapsang")


@contextlib.contextmanager
def redis_server(engine: str = "redis") -> Iterator[RedisServer]:
    with _container(RedisServer, IMAGES[engine], REDIS_LOOP, START) as server:
        yield server


@contextlib.contextmanager
def mysql_server() -> Iterator[MysqlServer]:
    with _container(MysqlServer, MYSQL, MYSQL_LOOP) as server:
        server.create_database()
        yield server


@contextlib.contextmanager
def _container(kind: type[AnyServer], image: str, *loop: str) -> Iterator[AnyServer]:
    engine = _engine()
    name = f"bapsang-faults-{secrets.token_hex(4)}"
    arguments = ["--detach", "--name", name, "--label", "dev.bapsang.test=1", "--publish", f"127.0.0.1::{kind.PORT}"]
    data = ["--user", "999:999", "--tmpfs", "/data:uid=999,gid=999,mode=700"]
    engine.docker("run", *arguments, *data, "--entrypoint", "sh", image, "-c", *loop)
    try:
        yield attach(kind, name)
    finally:
        engine.docker("rm", "--force", "--volumes", name)


def attach(kind: type[AnyServer], name: str) -> AnyServer:
    """Return the server that runs in the container, once it answers."""
    engine = _engine()
    published = int(engine.docker("port", name, f"{kind.PORT}/tcp").split()[0].rpartition(":")[2])
    address = engine.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name).strip()
    # Past the engine's proxy where that is possible: it may still hold a dead process's last command.
    for host, port in ((address, kind.PORT), ("127.0.0.1", published)):
        server = kind(name, _way_in(engine, name), engine.environment(), host, port, address)
        with contextlib.suppress(TimeoutError):
            wait(server.ping, START_SECONDS if host == "127.0.0.1" else 30)
            return server
    raise SystemExit(f"{name} did not start:\n{engine.docker('logs', name)[-2000:]}")


def _engine() -> Engine:
    engine = engines.find()
    if engine is None:
        raise SystemExit("No Docker engine answers: run `make up` first.")
    return engine


def _way_in(engine: Engine, name: str) -> tuple[str, ...]:
    """Return the command that runs others in the container: a kill must take milliseconds where the machine allows it."""
    process = engine.docker("inspect", "-f", "{{.State.Pid}}", name).strip()
    quick = ("nsenter", "--target", process, "--mount", "--pid", "--root", "--setuid", "999", "--setgid", "999")
    if shell.attempt([*quick, "true"]).returncode == 0:
        return quick
    return ("docker", "exec", name)


def wait(action: Callable[[], None], seconds: float = START_SECONDS) -> None:
    """Call `action` until it succeeds. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except (pymysql.err.OperationalError, redis.ConnectionError, redis.TimeoutError, OSError) as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {seconds} s: {error}") from error
            time.sleep(0.02)
