"""Following a kind that may be absent, refused or fail: what is known then, who is told, and that it begins again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bapsang_operator import names
from bapsang_operator.cluster import fence
from bapsang_operator.cluster.client import Kube
from bapsang_operator.cluster.credentials import Credentials
from bapsang_operator.informer import routes
from bapsang_operator.informer.routes import Outlook, Routes
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.metrics import Metrics

from .world import resource

GROUP = "/apis/gateway.networking.k8s.io/v1"


def route(name: str, version: int, **metadata: Any) -> Manifest:
    """Return a route of the Community of its name, as a list has it: without its kind."""
    labels = {names.LABEL_COMMUNITY: name.removesuffix("-api")}
    own = {"name": name, "namespace": "a", "uid": name, "resourceVersion": str(version), "labels": labels}
    return {"metadata": own | metadata, "spec": {"hostnames": ["x.example.com"]}}


class Apiserver:
    """Serves HTTPRoutes, or what `fails` says: a status by namespace. Watches send the lines put into `events`, then end."""

    def __init__(self) -> None:
        self.is_served = True
        self.routes: dict[str, list[Manifest]] = {"a": [], "b": []}
        self.fails: dict[str, int] = {}
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.version = 100
        self.watched: list[str] = []
        self.refused = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if not self.is_served:
            return web.json_response({"kind": "Status", "reason": "NotFound"}, status=404)
        if request.path == GROUP:
            return web.json_response({"resources": [{"name": "httproutes"}]})
        namespace = request.path.split("/")[-2]
        if namespace in self.fails:
            code = self.fails[namespace]
            self.refused += 1
            return web.json_response({"message": f"no, says {namespace}"}, status=code)
        if "watch" not in request.query:
            return web.json_response(
                {"metadata": {"resourceVersion": str(self.version)}, "items": self.routes[namespace]}
            )
        self.watched.append(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        while namespace == "a" and (line := await self.events.get()) is not None:
            await response.write(line)
        if namespace != "a":
            await asyncio.sleep(60)
        return response

    def tell(self, kind: str, found: Manifest) -> None:
        """Send an event, in two pieces that end within a line."""
        line = json.dumps({"type": kind, "object": found}).encode() + b"\n"
        self.events.put_nowait(line[:7])
        self.events.put_nowait(line[7:])


class Following:
    """Routes of the namespaces a and b, followed until the test ends."""

    def __init__(self, kube: Kube) -> None:
        self.told: list[CommunityKey] = []
        self.store = Store()
        self.store.put({**resource(), "metadata": {**resource()["metadata"], "namespace": "a"}})
        self.routes = Routes(kube, self.store, ("a", "b"), self.told.append, 0.01)

    def knows(self, *found: str) -> Callable[[], bool]:
        return lambda: {one for one in ("c-api", "d-api") if self.store.find(Key("HTTPRoute", "a", one))} == {*found}


async def until(probe: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not probe():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "backoff", lambda _failures, _jitter: 0.01)
    monkeypatch.setattr(routes, "_PAUSE_SECONDS", 0.01)


@pytest.fixture
async def apiserver() -> Apiserver:
    return Apiserver()


@pytest.fixture
async def following(apiserver: Apiserver) -> AsyncIterator[Following]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", apiserver.answer)
    async with TestServer(application) as server:
        access = Credentials(str(server.make_url("")).rstrip("/"), tls=True)
        async with access.session(fence.trace(), "test") as session:
            found = Following(Kube(access, session, Metrics(), fence.Fence(), 5))
            tasks = [asyncio.create_task(found.routes.follow(scope)) for scope in ("a", "b")]
            yield found
            for task in tasks:
                assert not task.done(), "nothing of this ends the process"
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def test_nothing_is_known_before_the_first_answer(following: Following, apiserver: Apiserver) -> None:
    assert following.routes.outlook("a").unread
    assert not following.routes.are_tried.is_set()
    assert following.knows()()
    apiserver.routes["a"] = [route("c-api", 1)]
    await until(following.routes.are_tried.is_set)
    assert following.knows("c-api")()
    assert following.routes.outlook("a") == Outlook()
    assert following.told == [], "each Community is named by its own watch then"


async def test_kind_may_come_and_go_and_communities_look_again(following: Following, apiserver: Apiserver) -> None:
    apiserver.is_served = False
    await until(following.routes.are_tried.is_set)
    assert "install the Gateway API" in following.routes.outlook("a").lacking
    following.told.clear()
    apiserver.routes["a"] = [route("c-api", 1)]
    apiserver.is_served = True
    await until(following.knows("c-api"))
    await until(lambda: following.routes.outlook("a") == Outlook())
    assert CommunityKey("a", "c") in following.told
    following.told.clear()
    apiserver.is_served = False
    apiserver.events.put_nowait(None)
    await until(following.knows())
    await until(lambda: following.routes.outlook("a").lacking)
    assert CommunityKey("a", "c") in following.told


async def test_events_of_a_watch_reach_the_store_whatever_their_size(
    following: Following, apiserver: Apiserver
) -> None:
    await until(lambda: apiserver.watched)
    assert apiserver.watched[0] == "100", "from the version of the list on"
    apiserver.tell("ADDED", route("c-api", 101, annotations={"a": "밥" * 300_000}))
    apiserver.tell("BOOKMARK", {"metadata": {"resourceVersion": "102"}})
    apiserver.tell("ADDED", route("d-api", 103))
    await until(following.knows("c-api", "d-api"))
    assert {CommunityKey("a", "c"), CommunityKey("a", "d")} <= {*following.told}
    apiserver.tell("DELETED", route("c-api", 104))
    await until(following.knows("d-api"))


@pytest.mark.parametrize(
    "end",
    [
        None,
        b'{"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}\n',
        b"<html>a proxy's\n",
        b"[1]\n",
    ],
)
async def test_what_happened_while_no_watch_was_open_is_found_by_the_next_list(
    following: Following, apiserver: Apiserver, end: bytes | None
) -> None:
    apiserver.routes["a"] = [route("c-api", 1)]
    await until(following.knows("c-api"))
    await until(lambda: apiserver.watched)
    following.told.clear()
    apiserver.routes["a"], apiserver.version = [route("d-api", 150)], 200
    apiserver.events.put_nowait(end)
    await until(following.knows("d-api"))
    await until(lambda: "200" in apiserver.watched)
    assert {CommunityKey("a", "c"), CommunityKey("a", "d")} <= {*following.told}
    assert following.routes.outlook("a") == Outlook(), "what is known is known"


async def test_namespace_that_refuses_holds_up_no_other(following: Following, apiserver: Apiserver) -> None:
    apiserver.fails["b"] = 403
    await until(following.routes.are_tried.is_set)
    await until(lambda: following.routes.outlook("a") == Outlook())
    assert "no, says b" in following.routes.outlook("b").lacking
    del apiserver.fails["b"]
    await until(lambda: following.routes.outlook("b") == Outlook())


async def test_namespace_that_fails_at_first_may_serve_a_host_so_that_all_wait(
    following: Following, apiserver: Apiserver
) -> None:
    apiserver.fails["b"] = 500
    await until(following.routes.are_tried.is_set)
    await until(lambda: following.routes.outlook("a").unread == "no, says b")
    del apiserver.fails["b"]
    await until(lambda: following.routes.outlook("a") == Outlook())
    # Later, what was listed before still counts.
    apiserver.fails["a"] = 500
    apiserver.events.put_nowait(None)
    apiserver.refused = 0
    await until(lambda: apiserver.refused > 1)
    assert following.routes.outlook("a") == Outlook()
