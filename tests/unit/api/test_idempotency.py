"""`Idempotency-Key` when things go wrong in between (a lapsed reservation, a bug, a client that leaves), and how much of it is
kept."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis.exceptions
from fastapi.routing import APIRoute

from bapsang_api.app import REPLAYS, ROUTERS
from bapsang_api.http.answers import Answer
from bapsang_api.http.idempotency import KEPT_SECONDS, Idempotency, Replay
from bapsang_api.http.request import Request
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.problem import Conflict, TooManyRequests
from bapsang_api.kit.redis.client import EMBEDDED, open_redis
from bapsang_api.kit.security.tokens import TokenVerifier

SCOPE = {"type": "http", "method": "POST", "path": "/api/v1/posts", "query_string": b"", "headers": []}


async def cook(*_: object) -> None:
    """An endpoint, and how a repeat of it finds the dish: not at all."""


class Client:
    """Sends one request after the other, with the same key unless it is told another."""

    def __init__(self, *, most: int = 10) -> None:
        self.redis = open_redis(EMBEDDED)
        verifier = TokenVerifier([], issuer="", audience="", clock=SystemClock(), revoked=frozenset())
        self._idempotency = Idempotency(self.redis, verifier, [Replay(cook, "dishId", cook)], most=most)
        self.answers: list[bytes] = []

    async def send(
        self,
        work: Callable[[], Awaitable[bytes]],
        *,
        key: str = "key-1",
        leaves: bool = False,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        request = Request({**SCOPE}, hops=1)

        async def answer(_receive: Any) -> Answer:
            body = await work()
            request.scope["route"] = SimpleNamespace(endpoint=cook)
            return Answer(201, body, headers)

        async def receive() -> Any:
            return {"type": "http.disconnect"} if leaves else {"type": "http.request", "body": b"{}"}

        answered = await self._idempotency.run(answer, request, {}, receive, key)
        if answered is not None:
            self.answers.append(answered.body)

    async def name(self) -> str:
        (name,) = await self.redis.keys("idempotency:*")
        return str(name)


def dish(dish_id: str, **rest: str) -> Callable[[], Awaitable[bytes]]:
    async def work() -> bytes:
        return json.dumps({"dishId": dish_id, **rest}).encode()

    return work


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
        return b'{"dishId":"1"}'

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
    assert client.answers == [b'{"dishId":"1"}'] * 2


async def test_a_client_that_leaves_while_sending_starts_nothing() -> None:
    client = Client()

    async def never() -> bytes:
        raise AssertionError

    await client.send(never, leaves=True)
    assert (client.answers, await client.redis.keys("*")) == ([], [])


async def test_a_record_is_small_whatever_is_answered() -> None:
    client = Client()
    await client.send(dish("1", text="밥" * 10_000), headers=((b"location", b"/" + b"x" * 5_000),))
    record = str(await client.redis.get(await client.name()))
    assert record.split(" ")[1:] == ["201", "dishId:1", "-"]
    assert 0 < await client.redis.ttl(await client.name()) <= KEPT_SECONDS == 3600


async def test_one_sender_may_keep_so_many_records_within_an_hour_and_repeats_are_none() -> None:
    client = Client(most=3)

    async def refuse() -> bytes:
        raise RuntimeError

    for number in range(3):
        with pytest.raises(RuntimeError):
            await client.send(refuse, key=f"refused-{number}")
        for _ in range(2):
            await client.send(dish(str(number)), key=f"key-{number}")
    with pytest.raises(TooManyRequests) as refused:
        await client.send(refuse, key="key-3")
    assert 3_590 <= int(refused.value.headers["Retry-After"]) <= 3_600
    assert len(await client.redis.keys("*")) == 4
    (budget,) = await client.redis.keys("idempotency-kept:*")
    await client.redis.delete(budget)  # an hour later
    await client.send(dish("3"), key="key-3")


@pytest.mark.parametrize("error", [redis.exceptions.OutOfMemoryError(), RuntimeError()], ids=["refusal", "bug"])
async def test_what_cannot_be_noted_is_answered_all_the_same(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()

    async def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(client._idempotency, "_settle", fail)
    await client.send(dish("1"))
    assert client.answers == [b'{"dishId": "1"}']


def test_every_post_that_answers_with_something_can_be_answered_again() -> None:
    """A new one needs a Replay, or a `no-store` like these, which are done again."""
    done_again = {"log_in", "check_password", "presign", "presign_temp"}
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    answering = {
        route.endpoint
        for route in routes
        if "POST" in (route.methods or ()) and (route.status_code or 200) not in {202, 204}
    }
    assert {endpoint.__name__ for endpoint in answering} == done_again | {
        replay.endpoint.__name__ for replay in REPLAYS
    }
    assert len({replay.id_field for replay in REPLAYS}) == len(REPLAYS)
