"""One namespace of several that cannot be listed, or not any more: the others go on, and nobody takes its hosts."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from yarl import URL

from bapsang_operator.cluster.errors import KubeError
from bapsang_operator.informer import resync
from bapsang_operator.informer.health import Health
from bapsang_operator.informer.scopes import Scopes
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.kinds import COMMUNITY, Kind
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.metrics import Metrics
from bapsang_operator.resource import parse

from .fake_kube import FakeKube
from .test_hosts import EARLY, LATE, ingress_of, named
from .test_passes import Pass
from .world import resource


class Listed(FakeKube):
    """Lists objects by namespace; `errors` are what lists of one kind of a namespace end with."""

    def __init__(self, *objects: Manifest) -> None:
        super().__init__(*objects)
        self.errors: dict[str | None, KubeError] = {}
        self.fails_at = COMMUNITY.name

    async def objects(self, kind: Kind, namespace: str | None) -> AsyncIterator[Manifest]:
        if namespace in self.errors and kind.name == self.fails_at:
            raise self.errors[namespace]
        for key, found in self.objects_by_key.items():
            if (key.kind, key.namespace) == (kind.name, namespace):
                yield found


class Watches:
    """Notes which scopes are watched."""

    def __init__(self) -> None:
        self.scopes: set[str | None] = set()
        self.changed = asyncio.Event()

    async def begin(self, scope: str | None) -> None:
        self.scopes.add(scope)
        self.changed.set()

    async def end(self, scope: str | None) -> None:
        self.scopes.discard(scope)
        self.changed.set()

    async def are(self, *scopes: str) -> None:
        async with asyncio.timeout(5):
            while self.scopes != set(scopes):
                self.changed.clear()
                await self.changed.wait()


class Following:
    """The scopes `good` and `bad`, followed until the test ends."""

    def __init__(self, *objects: Manifest) -> None:
        self.kube, self.watches = Listed(*objects), Watches()
        self.concerned: list[CommunityKey] = []
        self.store = Store(self.concerned.append)
        self.signs = Health((COMMUNITY,), Metrics(), lambda: 0.0, lambda: 0.0, ("good", "bad"))
        watches: Any = self.watches
        self.scopes = Scopes(self.kube, self.store, watches, self.signs, ("good", "bad"))

    async def refuse(self, namespace: str) -> None:
        """Let the apiserver refuse a watch of a namespace."""
        trace, session, context = self.signs.trace(), Mock(), SimpleNamespace()
        trace.freeze()
        url = URL(f"https://apiserver/apis/bapsang.dev/v1alpha1/namespaces/{namespace}/communities?watch=true")
        await trace.on_request_end.send(session, context, Mock(url=url, response=Mock(status=403)))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "Patience", lambda: itertools.repeat(0.01))


async def test_namespace_that_fails_at_the_start_keeps_no_other_waiting_and_is_listed_later() -> None:
    found = Following(resource())
    found.kube.errors["bad"] = KubeError(503, "", "conversion webhook")
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(found.scopes.follow(scope)) for scope in found.scopes.all]
        await found.scopes.are_tried.wait()
        await found.watches.are("good")
        assert (found.store.listed, found.store.awaited) == ({"good"}, {"bad"})
        # Neither is the process ended for it.
        assert found.signs.refused == ["bad"]
        del found.kube.errors["bad"]
        await found.watches.are("good", "bad")
        assert (found.store.listed, found.store.awaited, found.signs.refused) == ({"good", "bad"}, set(), [])
        for task in following:
            task.cancel()


async def test_namespace_that_is_refused_keeps_the_host_that_it_serves_and_no_other() -> None:
    serving, waiting = (
        named("serving", EARLY, namespace="bad"),
        named("old", EARLY, namespace="bad", host="free.example.com"),
    )
    ours, free = named("c", LATE, namespace="good"), named("d", LATE, namespace="good", host="free.example.com")
    found = Following(serving, ingress_of(serving), waiting, ours, free)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(found.scopes.follow(scope)) for scope in found.scopes.all]
        await found.watches.are("good", "bad")
        assert found.store.hosts.holder(parse(free)) is not None
        found.kube.errors["bad"] = KubeError(403, "Forbidden", "no rights")
        await found.refuse("bad")
        await found.watches.are("good")
        assert {key.namespace for key in found.store.communities()} == {"good"}
        holder = found.store.hosts.holder(parse(ours))
        assert holder is not None
        assert holder.key == key_of(ingress_of(serving))
        assert found.store.hosts.holder(parse(free)) is None
        assert CommunityKey("good", "d") in found.concerned
        for task in following:
            task.cancel()


async def test_namespace_that_is_refused_half_way_holds_no_host_with_what_was_listed_of_it() -> None:
    waiting, ours = named("old", EARLY, namespace="bad"), named("c", LATE, namespace="good")
    found = Following(waiting, ours)
    found.kube.errors["bad"], found.kube.fails_at = KubeError(403, "Forbidden", "no rights"), "Service"
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(found.scopes.follow(scope)) for scope in found.scopes.all]
        await found.scopes.are_tried.wait()
        assert found.store.hosts.holder(parse(ours)) is None
        for task in following:
            task.cancel()


async def test_community_in_a_namespace_that_is_half_listed_is_left_alone() -> None:
    found = Pass()
    found.store.listed.clear()
    assert await found.run()
    assert found.kube.asked == []


async def test_host_is_taken_by_nobody_before_every_namespace_is_known() -> None:
    found, ingress = Pass(), Key("Ingress", "ns", "c-api")
    found.store.awaited = {"other"}
    assert await found.run()
    assert ingress not in found.applied()
    assert 'Ingress "c-api"' in found.condition("Degraded")["message"]
    assert Key("Service", "ns", "c-api") in found.applied()
    found.store.awaited.clear()
    assert await found.run()
    assert ingress in found.applied()
    # Known by then, it is put back whatever else cannot be listed.
    found.store.awaited = {"other"}
    found.store.gone(ingress)
    del found.kube.objects_by_key[ingress]
    assert await found.run()
    assert ingress in found.kube.objects_by_key
