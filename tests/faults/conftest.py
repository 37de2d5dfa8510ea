"""The servers that the tests of this folder kill and freeze; each test empties them first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .servers import MysqlServer, RedisServer, mysql_server, redis_server


def pytest_itemcollected(item: pytest.Item) -> None:
    """Harnesses run for minutes on purpose."""
    item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def mysql() -> Iterator[MysqlServer]:
    with mysql_server() as server:
        yield server
