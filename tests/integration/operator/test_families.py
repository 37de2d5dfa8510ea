"""The stores as their pods start them, in a real container: they are reached over IPv4 and over IPv6."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.operator.world import children, community
from tests.waiting import eventually

from bapsang_local.engine import Engine
from bapsang_operator.build import mysql, redis

FILES = {"redis.conf": redis.config("geheim"), "init.sql": mysql.init_sql("geheim", "geheim")}
PINGS = {
    "c-redis": "REDISCLI_AUTH=geheim redis-cli -e -h {address} ping",
    "c-mysql": "MYSQL_PWD=geheim mysqladmin --no-defaults --protocol=tcp -u bapsang -h {address} ping",
}


def _pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        child.manifest["spec"]["template"]["spec"]
        for child in children(community())
        if (child.key.kind, child.key.name) == ("StatefulSet", name)
    )
    return found


@pytest.fixture(params=PINGS)
def store(request: pytest.FixtureRequest, engine: Engine) -> Iterator[tuple[str, str]]:
    """Run a store with the commands and arguments of its pod on a loopback interface of both families."""
    (container,), name = _pod(request.param)["containers"], f"bapsang-families-{secrets.token_hex(4)}"
    folders = ("/data", "/var/lib/mysql", "/run/mysqld", "/etc/bapsang", "/tmp")
    data = [part for folder in folders for part in ("--tmpfs", f"{folder}:uid=999,gid=999,mode=700")]
    loopback = ["--network", "none", *(f"--sysctl=net.ipv6.conf.{of}.disable_ipv6=0" for of in ("all", "lo"))]
    given = ["--label", "dev.bapsang.test=1", "--user", "999:999", "--read-only", *data, *loopback]
    engine.docker("run", "--detach", "--name", name, *given, "--entrypoint", "sleep", container["image"], "infinity")
    try:
        for file, text in FILES.items():
            engine.docker("exec", "-i", name, "sh", "-c", f"cat > /etc/bapsang/{file}", input=text.encode())
        for one in _pod(request.param).get("initContainers", []):
            engine.docker("exec", name, *one["command"])
        engine.docker("exec", "--detach", name, *container["command"], *container["args"])
        yield request.param, name
    finally:
        engine.docker("rm", "--force", "--volumes", name)


def test_store_is_reached_in_both_families(store: tuple[str, str], engine: Engine) -> None:
    kind, name = store

    for address in ("127.0.0.1", "::1"):
        ping = PINGS[kind].format(address=address)
        eventually(lambda ping=ping: engine.tries("exec", name, "sh", "-c", ping), 60, f"{kind} answers at {address}")
