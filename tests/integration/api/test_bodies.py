"""Bodies that come slowly, are many or hold more than they should harm nobody but their sender."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from bapsang_api.http.bodies import MOST_OF_ONE
from bapsang_api.http.gateway import Gateway
from bapsang_api.http.request import BODY_LIMIT

from .world import API, World, assert_problem

HALF = 960 * 1024  # bytes, of a body that is declared to have BODY_LIMIT


@pytest.fixture
async def gateway(file_world: World) -> AsyncIterator[Gateway]:
    yield file_world.runtime.app
    assert file_world.runtime.app.bodies.held == 0


async def half_sent(gateway: Gateway, path: str, address: str, ended: asyncio.Event) -> tuple[int, bytes]:
    """Send half a body, and no more until the event; return status and body of the answer."""
    answer: list[Message] = []
    parts = iter([b"x" * (HALF // 4)] * 4)

    async def receive() -> Message:
        if (part := next(parts, None)) is not None:
            return {"type": "http.request", "body": part, "more_body": True}
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answer.append(message)

    names = {"content-type": "application/json", "content-length": str(BODY_LIMIT), "x-forwarded-for": address}
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"},
        **{"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "state": {}},
        **{"client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8000), "app": gateway},
        "headers": [(name.encode(), value.encode()) for name, value in names.items()],
    }
    await gateway(scope, receive, send)
    return (answer[0]["status"], answer[1]["body"]) if answer else (0, b"")


@pytest.mark.parametrize("path", [f"{API}/auth/tokens", "/uploads/presign/temp"])
async def test_bodies_that_do_not_end_take_a_bounded_amount_of_memory(
    file_world: World, gateway: Gateway, path: str
) -> None:
    ended = asyncio.Event()
    sending = [asyncio.create_task(half_sent(gateway, path, "192.0.2.1", ended)) for _ in range(100)]
    waiting, held = set(sending), MOST_OF_ONE // HALF
    async with asyncio.timeout(20):
        while len(waiting) > held:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result()[0] for task in sending if task.done()] == [429] * (100 - held)
    assert gateway.bodies.held <= MOST_OF_ONE
    alice = await file_world.person()  # from another address
    await alice.write_post()
    ended.set()
    await asyncio.gather(*sending)


async def test_a_body_that_takes_too_long_is_refused(gateway: Gateway) -> None:
    gateway.body_seconds = 0.05
    status, body = await half_sent(gateway, f"{API}/auth/tokens", "192.0.2.1", asyncio.Event())
    assert (status, [error["field"] for error in json.loads(body)["errors"]]) == (400, ["body"])


async def test_a_body_of_many_values_is_refused_and_a_text_of_many_commas_is_not(file_world: World) -> None:
    many = json.dumps({"email": "a@b.co", "password": "x", "x": [[]] * 2_000}).encode()
    headers = {"Content-Type": "application/json"}
    for path in (f"{API}/auth/tokens", f"{API}/auth/users", "/uploads/presign/temp"):
        body = assert_problem(await file_world.http.post(path, content=many, headers=headers), 400, "E400-1")
        assert [error["field"] for error in body["errors"]] == ["body"]
    alice = await file_world.person()
    await alice.write_post(content=',"[{' * 2_500)
