"""`Idempotency-Key` when things go wrong in between: a lapsed reservation, a bug, a client that leaves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.idempotency import Idempotency
from bapsang_api.kit.problem import Conflict
from bapsang_api.kit.redis import EMBEDDED, open_redis
from bapsang_api.kit.tokens import TokenVerifier

SCOPE = {"type": "http", "method": "POST", "path": "/api/v1/posts", "query_string": b"", "headers": []}


class Client:
    """Sends one request after the other with the same key."""

    def __init__(self) -> None:
        self.redis = open_redis(EMBEDDED)
        verifier = TokenVerifier([], issuer="", audience="", clock=SystemClock(), revoked=lambda _: False)
        self._idempotency = Idempotency(self.redis, verifier)
        self.answers: list[bytes] = []

    async def send(self, work: Callable[[], Awaitable[bytes]], *, leaves: bool = False) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            body = await work()
            await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": body})

        async def receive() -> Any:
            return {"type": "http.disconnect"} if leaves else {"type": "http.request", "body": b"{}"}

        async def keep(message: Any) -> None:
            if message["type"] == "http.response.body":
                self.answers.append(message["body"])

        await self._idempotency.run(app, {**SCOPE}, receive, keep, "key-1")

    async def name(self) -> str:
        (name,) = await self.redis.keys("*")
        return str(name)


async def test_a_lapsed_reservation_does_not_overwrite_what_came_after_it() -> None:
    client = Client()

    async def slow() -> bytes:
        await client.redis.set(await client.name(), "another request's")
        return b"late"

    await client.send(slow)
    assert client.answers == [b"late"]
    assert await client.redis.get(await client.name()) == "another request's"


async def test_a_bug_frees_the_key() -> None:
    client = Client()

    async def broken() -> bytes:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await client.send(broken)
    assert await client.redis.keys("*") == []


async def test_while_one_runs_the_other_is_told_to_come_back_and_then_gets_the_same() -> None:
    client, begun, go = Client(), asyncio.Event(), asyncio.Event()

    async def work() -> bytes:
        begun.set()
        await go.wait()
        return b"first"

    async def never() -> bytes:
        raise AssertionError

    running = asyncio.create_task(client.send(work))
    await begun.wait()
    with pytest.raises(Conflict) as refused:
        await client.send(never)
    assert refused.value.headers == {"Retry-After": "1"}
    go.set()
    await running
    await client.send(never)
    assert client.answers == [b"first", b"first"]


async def test_a_client_that_leaves_while_sending_starts_nothing() -> None:
    client = Client()

    async def never() -> bytes:
        raise AssertionError

    await client.send(never, leaves=True)
    assert (client.answers, await client.redis.keys("*")) == ([], [])
