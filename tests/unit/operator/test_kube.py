"""Requests to the apiserver as they leave, and what its answers are taken for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bapsang_operator.cluster import fence
from bapsang_operator.cluster.client import Kube
from bapsang_operator.cluster.credentials import Credentials
from bapsang_operator.manifest import Key
from bapsang_operator.metrics import Metrics


class Apiserver:
    """Answers everything with 404 and notes the paths that it was asked for, as they came."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.raw_path.partition("?")[0])
        return web.json_response({"kind": "Status", "reason": "NotFound"}, status=404)


@pytest.fixture
async def apiserver() -> Apiserver:
    return Apiserver()


@pytest.fixture
async def kube(apiserver: Apiserver) -> AsyncIterator[Kube]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", apiserver.answer)
    async with TestServer(application) as server:
        access = Credentials(str(server.make_url("")).rstrip("/"), tls=True)
        async with access.session(fence.trace(), "test") as session:
            yield Kube(access, session, Metrics(), fence.Fence(), 5)


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("db", "db"),
        ("../../kube-system/secrets/root", "..%2F..%2Fkube-system%2Fsecrets%2Froot"),
        ("..", ".."),
        ("a%2f?b#c", "a%252f%3Fb%23c"),
        ("a b", "a%20b"),
    ],
)
async def test_name_is_one_segment_of_the_path_whatever_it_holds(
    kube: Kube, apiserver: Apiserver, name: str, segment: str
) -> None:
    assert await kube.get(Key("Secret", "ns", name)) is None
    assert apiserver.paths == [f"/api/v1/namespaces/ns/secrets/{segment}"]
