"""No write leaves a process that may no longer be the only writer, however late that turns out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bapsang_operator.cluster import fence
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.cluster.credentials import Credentials
from bapsang_operator.cluster.fence import Fence, FencedError
from bapsang_operator.metrics import Metrics

from .world import resource


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Apiserver:
    """Answers everything with a Community and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.came = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.query["timeout"]))
        self.came.set()
        await self.go_on.wait()
        return web.json_response(resource())


@pytest.fixture
async def apiserver() -> AsyncIterator[tuple[Apiserver, str]]:
    found = Apiserver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", found.answer)
    async with TestServer(application) as server:
        yield found, str(server.make_url("")).rstrip("/")


def _client(url: str, gate: Fence, *more: aiohttp.TraceConfig) -> tuple[Kube, aiohttp.ClientSession]:
    access = Credentials(url, tls=True)
    session = access.session(fence.trace(), "test")
    for config in more:
        config.freeze()
        session.trace_configs.append(config)
    return Kube(access, session, Metrics(), gate, 4.0), session


def test_fence_is_shut_until_opened_and_after_its_time() -> None:
    clock = Clock()
    gate = Fence(clock)
    with pytest.raises(FencedError):
        gate.check()
    gate.open_until(10)
    gate.check()
    clock.now = 10
    with pytest.raises(FencedError):
        gate.check()
    gate.open_until(20)
    gate.close()
    assert not gate.is_open


async def test_write_that_was_asleep_while_connecting_never_leaves(apiserver: tuple[Apiserver, str]) -> None:
    seen, url = apiserver
    clock = Clock()
    gate = Fence(clock)
    gate.open_until(10)
    asleep = aiohttp.TraceConfig()

    async def sleep(_session: Any, _context: SimpleNamespace, _params: Any) -> None:
        clock.now = 30

    asleep.on_connection_create_end.append(sleep)
    kube, session = _client(url, gate, asleep)
    async with session:
        with pytest.raises(KubeError):
            await kube.apply(resource())
    assert seen.asked == []


async def test_reading_needs_no_lease_and_writing_does(apiserver: tuple[Apiserver, str]) -> None:
    seen, url = apiserver
    gate = Fence(Clock())
    kube, session = _client(url, gate)
    async with session:
        await kube.check_list(None)
        with pytest.raises(KubeError, match="does not hold the lease"):
            await kube.write_status(resource(), {})
        gate.open_until(10)
        await kube.write_status(resource(), {})
    assert seen.asked == [("GET", "15s"), ("PATCH", "4s")]


async def test_idle_waits_for_the_answers_of_what_is_under_way(apiserver: tuple[Apiserver, str]) -> None:
    seen, url = apiserver
    gate = Fence(Clock())
    gate.open_until(10)
    kube, session = _client(url, gate)
    seen.go_on.clear()
    async with session:
        write = asyncio.create_task(kube.apply(resource()))
        await seen.came.wait()
        idle = asyncio.create_task(gate.idle())
        await asyncio.sleep(0)
        assert not idle.done()
        seen.go_on.set()
        await idle
        await write
