"""What the operator watches may go and come back: its own kind, and single namespaces of several."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.waiting import eventually

from bapsang_operator.kinds import COMMUNITY

from .controlplane import NAMESPACED_USER, ControlPlane
from .faults import Proxy
from .world import (
    BINDINGS,
    ROLES,
    Client,
    Namespace,
    Operator,
    bind,
    install_crd,
    remove_crd,
    rules,
)


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[Proxy]:
    """Stands before the apiserver of an operator that may act in single namespaces only."""
    found = Proxy(control_plane.namespaced)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def elsewhere(client: Client) -> Iterator[Namespace]:
    found = Namespace(client)
    yield found
    found.remove()


@pytest.fixture
def away() -> str:
    """The name of a namespace that does not exist."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
def narrow(
    client: Client, operator: Operator, namespace: Namespace, away: str, proxy: Proxy, tmp_path: Path
) -> Iterator[Operator]:
    """An operator of `namespace` and of `away`; the suite's own rests meanwhile."""
    for found in (rules(), rules(namespaced=True)):
        bind(client, ROLES, BINDINGS, namespace.name, found, NAMESPACED_USER)
    # Rarely enough that no look by the clock repairs what nobody watches.
    settings = {"BAPSANG_NAMESPACE": namespace.name, "BAPSANG_RESYNC_SECONDS": "30"}
    chosen = ("--namespace", away, "--namespace", namespace.name)
    found = Operator(proxy.kubeconfig(tmp_path / "kubeconfig"), tmp_path / "log", settings, chosen)
    operator.stop()
    try:
        found.start()
        yield found
    finally:
        found.stop()
        operator.start()
        eventually(lambda: operator.leads, 40)


def test_operator_of_some_namespaces_works_in_those_that_it_may_and_only_there(
    client: Client, narrow: Operator, namespace: Namespace, elsewhere: Namespace, away: str, proxy: Proxy
) -> None:
    assert f"refuses namespace {away}" in narrow.admin("/readyz").text
    back = Namespace(client, away)
    try:
        bind(client, ROLES, BINDINGS, away, rules(), NAMESPACED_USER)
        back.community()
        elsewhere.community()
        namespace.community()
        namespace.bring_up()
        eventually(lambda: back.get("Service", "c-api"), 30, "the namespace is looked after once it is there")
        # It cannot tell whose the host is elsewhere, and says so.
        assert "was not compared with namespaces" in namespace.condition("Degraded")["message"]
        # Its rights are taken away, as they go with a namespace, while the operator runs.
        (binding,) = client.list(BINDINGS, away)
        client.delete(BINDINGS, away, binding["metadata"]["name"])
        proxy.cut_watches()
        eventually(lambda: f"refuses namespace {away}" in narrow.admin("/readyz").text)
        namespace.delete("Service", "c-api")
        eventually(lambda: namespace.get("Service", "c-api"), what="the other one is looked after")
        back.delete("Service", "c-api")
        bind(client, ROLES, BINDINGS, away, rules(), NAMESPACED_USER)
        eventually(lambda: back.get("Service", "c-api"), 30, "it is looked after again")
        assert narrow.admin("/livez").text == "ok\n"
    finally:
        back.remove()
    assert elsewhere.get("Community", "c") is not None
    assert not elsewhere.children()
    forbidden = [line for line in narrow.log.read_text().splitlines() if "forbidden" in line.lower()]
    assert all(away in line for line in forbidden)


def _revived(operator: Operator) -> bool:
    """Start the process anew when it has ended, as the kubelet does, and tell whether it leads."""
    assert operator.process is not None
    if operator.process.poll() is not None:
        operator.launch()
    return operator.leads


def test_operator_ends_with_its_kind_and_works_again_once_that_is_back(operator: Operator, client: Client) -> None:
    # Nobody else's Communities go with it: modules clear up after themselves.
    assert client.raw(COMMUNITY.path(None))["items"] == []
    remove_crd(client, "communities.bapsang.dev")
    try:
        assert operator.wait() == 1
        assert 'task \\"watches\\" has ended' in operator.log.read_text()
        operator.launch()
    finally:
        install_crd(client)
    eventually(lambda: _revived(operator), 60, "it leads again", errors=(httpx.TransportError,))
    namespace = Namespace(client)
    try:
        namespace.community()
        eventually(lambda: namespace.get("Service", "c-api"))
    finally:
        namespace.remove()
