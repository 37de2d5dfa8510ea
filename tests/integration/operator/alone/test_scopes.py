"""An operator of single namespaces, which may go and come back, with no more rights than that needs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from tests.integration.operator.client import BINDINGS, ROLES, Client, bind, rules
from tests.integration.operator.controlplane import NAMESPACED_USER, ControlPlane
from tests.integration.operator.faults import Proxy
from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.waiting import eventually


@pytest.fixture(scope="module")
def proxy(control_plane: ControlPlane) -> Iterator[Proxy]:
    """Stands before the apiserver of an operator that may act in single namespaces only."""
    with Proxy(control_plane.namespaced) as found:
        yield found


@pytest.fixture(scope="module")
def away() -> str:
    """The name of a namespace that does not exist."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def here(client: Client) -> Iterator[Namespace]:
    found = Namespace(client)
    for one in (rules(gateway=True), rules(namespaced=True)):
        bind(client, ROLES, BINDINGS, found.name, one, NAMESPACED_USER)
    yield found
    found.leave()


@pytest.fixture(scope="module")
def narrow(here: Namespace, away: str, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator of `here` and of `away`."""
    folder = tmp_path_factory.mktemp("narrow")
    # Rarely enough that no look by the clock repairs what nobody watches.
    settings = {"BAPSANG_NAMESPACE": here.name, "BAPSANG_RESYNC_SECONDS": "600", "BAPSANG_GATEWAY": "true"}
    chosen = ("--namespace", away, "--namespace", here.name)
    found = Operator(proxy.kubeconfig(folder / "kubeconfig"), folder / "log", settings, chosen)
    found.start()
    yield found
    found.rest()


@pytest.fixture(scope="module")
def up(here: Namespace, narrow: Operator) -> Namespace:
    """`here`, with a Community that serves."""
    here.community()
    here.bring_up()
    return here


def _assert_forbidden_only(narrow: Operator, away: str) -> None:
    forbidden = [line for line in narrow.log.read_text().splitlines() if "forbidden" in line.lower()]
    assert all(away in line for line in forbidden)


def test_operator_of_some_namespaces_works_in_those_that_it_may_and_only_there(
    client: Client, narrow: Operator, up: Namespace, namespace: Namespace, away: str, proxy: Proxy
) -> None:
    eventually(lambda: f"refuses namespace {away}" in narrow.admin("/readyz").text)
    back = Namespace(client, away)
    try:
        bind(client, ROLES, BINDINGS, away, rules(gateway=True), NAMESPACED_USER)
        back.community()
        namespace.community()
        eventually(lambda: back.get("Service", "c-api"), 60, "the namespace is looked after once it is there")
        # It cannot tell whose the host is elsewhere, and says so.
        assert "was not compared with namespaces" in up.condition("Degraded")["message"]
        # Its rights are taken away, as they go with a namespace, while the operator runs.
        (binding,) = client.list(BINDINGS, away)
        client.delete(BINDINGS, away, binding["metadata"]["name"])
        proxy.cut_watches()
        eventually(lambda: f"refuses namespace {away}" in narrow.admin("/readyz").text)
        up.delete("Service", "c-api")
        eventually(lambda: up.get("Service", "c-api"), what="the other one is looked after")
        back.delete("Service", "c-api")
        bind(client, ROLES, BINDINGS, away, rules(gateway=True), NAMESPACED_USER)
        eventually(lambda: back.get("Service", "c-api"), 60, "it is looked after again")
        assert narrow.admin("/livez").text == "ok\n"
    finally:
        back.leave()
    assert namespace.get("Community", "c") is not None
    assert not namespace.children()
    _assert_forbidden_only(narrow, away)


def test_an_operator_without_the_rights_on_keda_says_what_to_switch_on(
    narrow: Operator, up: Namespace, away: str, keda: None
) -> None:
    requests = {"prometheusUrl": "http://prometheus.monitoring:9090", "requestsPerPod": 50}
    up.patch("Community", "c", {"spec": {"api": {"autoscaling": {"keda": requests}}}})
    assert "keda.enabled" in up.wait_for("Degraded", "True", "KedaMissing")["message"]
    assert up.get("HorizontalPodAutoscaler", "c-api-burst")
    assert up.get("ScaledObject", "c-api-burst") is None
    _assert_forbidden_only(narrow, away)


def test_routes_are_followed_in_each_namespace_by_itself(narrow: Operator, up: Namespace, away: str) -> None:
    up.patch("Community", "c", {"spec": {"gateway": {"parentRefs": [{"name": "public"}]}}})
    up.wait_for("Degraded", "True", "GatewayApiMissing", saying=("install the Gateway API",))
    assert up.get("Ingress", "c-api")
    _assert_forbidden_only(narrow, away)
