"""Real servers that speak TLS alone, and what certificate they show."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pymysql
import redis
from tests.certificates import Authority

from bapsang_local.engine import Engine


@dataclass(frozen=True)
class TlsServers:
    """A MySQL and a Redis that take nobody without TLS, with certificates for 127.0.0.1 of `authority`."""

    authority: Authority
    engine: Engine
    mysql: str  # its URL, as root
    mysql_container: str
    redis_port: int
    redis_container: str

    @contextlib.contextmanager
    def showing(self, store: str, certificate: str) -> Iterator[None]:
        """Have the MySQL or the Redis show another certificate for a while."""
        container = self.redis_container if store == "REDIS" else self.mysql_container
        show = self._redis_shows if store == "REDIS" else self._mysql_shows
        write = 'printf %s "$PEM" > /tmp/another.pem'
        self.engine.docker("exec", "--env", f"PEM={certificate}", container, "sh", "-c", write)
        show("another")
        try:
            yield
        finally:
            show("good")

    def _mysql_shows(self, name: str) -> None:
        port = int(self.mysql.rstrip("/").rpartition(":")[2])
        with pymysql.connect(host="127.0.0.1", port=port, user="root") as connection:
            for statement in (f"SET GLOBAL ssl_cert = '/tmp/{name}.pem'", f"SET GLOBAL ssl_key = '/tmp/{name}.pem'"):
                connection.cursor().execute(statement)
            connection.cursor().execute("ALTER INSTANCE RELOAD TLS")

    def _redis_shows(self, name: str) -> None:
        with redis.Redis(port=self.redis_port, ssl=True, ssl_cert_reqs="none") as client:
            files = ("tls-cert-file", f"/tmp/{name}.pem", "tls-key-file", f"/tmp/{name}.pem")
            client.execute_command("CONFIG", "SET", *files)
