"""Live notifications: every one once, over whatever ends a stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bapsang_api import server
from bapsang_api.http import streaming
from bapsang_api.http.protocol import GatewayProtocol
from bapsang_api.inbox import streams
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.security.tokens import LIFETIME
from bapsang_api.notifications.news import followed, moderated
from bapsang_api.notifications.service import tell

from .network import wire_to
from .process import serving
from .world import API, Backend, Person, World, assert_problem, eventually, open_world

PATH = f"{API}/users/me/notifications/stream"
NEVER = 3_600.0


class Events:
    """The events of an open stream, as they come."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()
        self.heartbeats = 0

    async def next(self) -> tuple[str, str, Any] | None:
        """Return name, id and data of the next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                name, _, value = line.partition(":")
                if name:
                    fields[name] = value.strip()
                elif line == ":":
                    self.heartbeats += 1
                elif "data" in fields:
                    return fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"])
        return None

    async def ids(self, count: int) -> list[str]:
        """Return the ids of that many events."""
        return [event[1] for event in [await self.next() for _ in range(count)] if event is not None]


@contextlib.asynccontextmanager
async def follow(url: str, person: Person, after: str | None = None) -> AsyncIterator[Events]:
    headers = person.headers | ({} if after is None else {"Last-Event-ID": after})
    async with (
        httpx.AsyncClient(base_url=url, timeout=30) as http,
        http.stream("GET", PATH, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield Events(answer)


@contextlib.asynccontextmanager
async def listening(world: World) -> AsyncIterator[str]:
    """Serve a world on a real socket and yield its URL."""
    public = server.listener(world.runtime.app, GatewayProtocol)
    with socket.create_server(("127.0.0.1", 0)) as at:
        serving_ = asyncio.create_task(public.serve(sockets=[at]))
        yield f"http://127.0.0.1:{at.getsockname()[1]}"
        world.runtime.lifecycle.drain()
        public.should_exit = True
        await serving_


@pytest.fixture
async def live(servers: Backend) -> AsyncIterator[tuple[World, str]]:
    async with open_world(servers) as world, listening(world) as url:
        yield world, url


async def is_open(world: World, count: int) -> None:
    await eventually(lambda: _equals(world, count))


async def _equals(world: World, count: int) -> bool:
    return world.runtime.metrics.streams == count


async def tell_elsewhere(world: World, backend: Backend, *people: Person) -> None:
    """Tell people of something in a process that dies before it can say so."""
    database = Database(backend.settings.database_url)
    news = [moderated(person.user_id, "공지") for person in people]
    await database.write(lambda connection: tell(connection, news, world.clock.now()))
    await database.close()


async def test_what_is_written_comes_at_once_and_what_was_written_before_does_not(
    live: tuple[World, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "POLL_SECONDS", NEVER)  # messages alone
    world, url = live
    author, reader = await world.person(), await world.person()
    post_id = await author.write_post()
    await reader.write_comment(post_id, "이전")
    async with follow(url, author) as events:
        assert events.answer.headers["content-type"] == "text/event-stream"
        assert events.answer.headers["cache-control"] == "no-store"
        assert events.answer.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in events.answer.headers
        await is_open(world, 1)
        await reader.write_comment(post_id, "이후")
        name, number, item = await events.next() or ("", "", None)
        assert (name, number) == ("notification", "2")
        assert item == (await author.get("/users/me/notifications")).json()["items"][0]
        await reader.toggle(post_id)
        await world.write_back()  # which reports what it wrote, too
        assert (await events.next() or ("", "", {}))[2]["kind"] == "LIKE"
        assert b"bapsang_streams 1.0" in world.runtime.metrics.render()
        assert b"bapsang_stream_events_total 2.0" in world.runtime.metrics.render()
    await is_open(world, 0)


async def test_who_comes_back_gets_what_was_missed_or_is_told_to_load_the_list(
    live: tuple[World, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_BEHIND", 3)
    world, url = live
    author, reader = await world.person(), await world.person()
    post_id = await author.write_post()
    for _ in range(5):
        await reader.write_comment(post_id)
    async with follow(url, author) as other, follow(url, author, after="2") as events:
        assert await events.ids(3) == ["3", "4", "5"]
        await reader.write_comment(post_id)
        assert await events.ids(1) == await other.ids(1) == ["6"]  # the other had seen those before
    await world.change("DELETE FROM notifications WHERE number = 6")
    await world.change("UPDATE inboxes SET last_number = 5")
    for after in ("1", "6", "x", ""):
        async with follow(url, author, after=after) as events:
            assert await events.next() == ("reset", "5", {})
            await reader.write_comment(post_id, "새 댓글")
            name, number, _ = await events.next() or ("", "", None)
            assert (name, number) == ("notification", "6")
        await world.change("DELETE FROM notifications WHERE number = 6")
        await world.change("UPDATE inboxes SET last_number = 5")


async def test_each_comes_once_however_often_the_stream_ends_and_however_many_write(live: tuple[World, str]) -> None:
    world, url = live
    author, *people = [await world.person() for _ in range(4)]

    async def write(person: Person) -> None:
        post_id = await author.write_post()  # one each: they share no lock but that of the inbox
        for _ in range(10):
            await person.write_comment(post_id)

    writing = asyncio.gather(*map(write, people))
    seen: list[str] = []
    while len(seen) < 30:
        async with follow(url, author, after=seen[-1] if seen else "0") as events:
            seen += await events.ids(min(7, 30 - len(seen)))
    await writing
    assert seen == [str(number) for number in range(1, 31)]


async def test_what_nobody_reported_comes_with_the_poll_also_without_redis(
    mysql_backend_by_wire: tuple[World, Backend, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, backend, wire = mysql_backend_by_wire
    monkeypatch.setattr(streams, "POLL_SECONDS", 0.2)
    alice, bob = await world.person(), await world.person()
    async with listening(world) as url, follow(url, alice) as hers, follow(url, bob) as his:
        await is_open(world, 2)
        await tell_elsewhere(world, backend, alice, bob)
        assert (await hers.ids(1), await his.ids(1)) == (["1"], ["1"])
        wire.cut()
        await tell_elsewhere(world, backend, alice)
        assert await hers.ids(1) == ["2"]


@pytest.fixture
async def mysql_backend_by_wire(servers: Backend) -> AsyncIterator[tuple[World, Backend, Any]]:
    redis = httpx.URL(servers.environment["BAPSANG_REDIS_URL"])
    async with wire_to(redis.host, redis.port or 6379) as wire:
        cuttable = str(redis.copy_with(host="127.0.0.1", port=wire.port))
        backend = Backend(servers.name, {**servers.environment, "BAPSANG_REDIS_URL": cuttable})
        async with open_world(backend) as world:
            yield world, backend, wire


async def test_stream_ends_with_its_session_and_with_its_token(live: tuple[World, str]) -> None:
    world, url = live
    alice, bob = await world.person(), await world.person()
    async with follow(url, alice) as hers, follow(url, bob) as his:
        await is_open(world, 2)
        assert (await world.log_out(alice.refresh_token, alice.token)).is_success
        assert await hers.next() is None
        assert world.runtime.metrics.streams == 1
        world.clock.passed += LIFETIME
        assert await his.next() is None
    async with httpx.AsyncClient(base_url=url) as http:
        assert (await http.get(PATH, headers=bob.headers)).status_code == 401
    await is_open(world, 0)


async def test_sixth_stream_of_somebody_ends_their_first_and_a_full_process_refuses(
    live: tuple[World, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, url = live
    alice, bob = await world.person(), await world.person()
    async with contextlib.AsyncExitStack() as stack:
        mine = []
        for number in range(streams.MOST_OF_ONE + 1):
            mine.append(await stack.enter_async_context(follow(url, alice)))
            await is_open(world, min(number + 1, streams.MOST_OF_ONE))
        assert await mine[0].next() is None
        await world.runtime.database.write(
            lambda connection: tell(connection, [moderated(alice.user_id, "공지")], world.clock.now())
        )
        assert [await events.ids(1) for events in mine[1:]] == [["1"]] * streams.MOST_OF_ONE
        monkeypatch.setattr(streams, "MOST", streams.MOST_OF_ONE)
        assert_problem(await alice.get("/users/me/notifications/stream"), 503, "E503-1")
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.head(PATH, headers=alice.headers)).status_code == 503
            monkeypatch.undo()
            assert (await http.head(PATH, headers=bob.headers)).status_code == 200  # without a stream
            assert world.runtime.metrics.streams == streams.MOST_OF_ONE


async def test_heartbeats_keep_an_idle_stream_open_beyond_the_time_of_idle_connections(
    servers: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 1)
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.4)
    monkeypatch.setattr(streams, "_TICK_SECONDS", 0.2)
    async with open_world(servers) as world, listening(world) as url:
        alice = await world.person()
        async with follow(url, alice) as events:
            waiting = asyncio.create_task(events.next())
            await eventually(lambda: _at_least(events, 3))
            await world.runtime.database.write(
                lambda connection: tell(connection, [moderated(alice.user_id, "공지")], world.clock.now())
            )
            assert (await waiting or ("", "", None))[1] == "1"


async def _at_least(events: Events, count: int) -> bool:
    return events.heartbeats >= count


async def test_who_does_not_read_is_dropped_and_holds_nobody_up(
    live: tuple[World, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "MOST_UNSENT", 1024)
    world, url = live
    alice = await world.person()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        slow.send(f"GET {PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {alice.token}\r\n\r\n".encode())
        await is_open(world, 1)
        inbox: streams.InboxStreams = world.runtime.app.services[streams.InboxStreams]
        (stream,) = inbox._all()
        async with follow(url, alice) as events:
            await is_open(world, 2)
            while stream.sink is not None and world.runtime.metrics.streams == 2:
                stream.send(b":" + b"x" * 65_536 + b"\n\n")
                await asyncio.sleep(0)
            await is_open(world, 1)
            news = followed(alice.user_id, (await world.person()).user_id)
            await world.runtime.database.write(lambda connection: tell(connection, [news], world.clock.now()))
            assert await events.ids(1) == ["1"]


async def test_process_that_drains_ends_its_streams_at_once_and_another_goes_on(
    tmp_path: Path, servers: Backend
) -> None:
    async with open_world(servers) as world, listening(world) as other:
        author, reader = await world.person(), await world.person()
        post_id = await author.write_post()
        issuer = {"BAPSANG_SIGNING_KEY_FILE": servers.environment["BAPSANG_SIGNING_KEY_FILE"]}
        with serving(tmp_path, "--drain-seconds", "1", **{**servers.environment, **issuer}) as service:
            async with follow(service.url, author) as events:
                await reader.write_comment(post_id)
                assert await events.ids(1) == ["1"]  # by a message of this process
                service.process.send_signal(signal.SIGTERM)
                assert await events.next() is None
                assert service.process.poll() is None  # it drains
                async with httpx.AsyncClient(base_url=service.url) as http:
                    assert_problem(await http.get(PATH, headers=author.headers), 503, "E503-1")
                await reader.write_comment(post_id)  # while no stream is open
                async with follow(other, author, after="1") as elsewhere:
                    await reader.write_comment(post_id)
                    assert await elsewhere.ids(2) == ["2", "3"]
            assert await asyncio.to_thread(service.wait, 10) == 0
            assert service.said("streams.drained") is not None
