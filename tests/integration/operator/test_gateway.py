"""An HTTPRoute in the place of the Ingress, with the Gateway API's own definition of it in a real apiserver. What a Gateway's
controller would write into its status, the tests write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator.kinds import COMMUNITY, HTTP_ROUTE
from bapsang_operator.offline.preview import preview
from bapsang_operator.planning import drift

from .client import Client, Object, install_crd, remove_crd
from .namespace import Namespace, resource
from .process import Operator

PUBLIC: dict[str, Any] = {"parentRefs": [{"name": "public", "namespace": "infra", "sectionName": "https"}]}
#: Also after the apiserver has filled in what it fills in.
RULE: dict[str, Any] = {
    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
    "backendRefs": [{"group": "", "kind": "Service", "name": "c-api", "port": 80, "weight": 1}],
}


@pytest.fixture
def elsewhere(client: Client) -> Iterator[Namespace]:
    """The namespace of another team."""
    found = Namespace(client)
    yield found
    found.leave()


def ask(namespace: Namespace, gateway: object = PUBLIC, **spec: object) -> None:
    namespace.patch("Community", "c", {"spec": {"gateway": gateway, **spec}})


def route(namespace: Namespace) -> Object:
    """Wait for the HTTPRoute and return it."""
    return eventually(lambda: namespace.get("HTTPRoute", "c-api"), what="an HTTPRoute") or {}


def answer(namespace: Namespace, **conditions: tuple[str, str, str]) -> None:
    """Write what the controller of each Gateway writes: status, reason and message by type of the condition."""
    found = route(namespace)
    generation, now = found["metadata"]["generation"], "2026-11-30T10:00:00Z"
    told = [
        {
            **{"type": kind, "status": status, "reason": reason, "message": message},
            **{"observedGeneration": generation, "lastTransitionTime": now},
        }
        for kind, (status, reason, message) in conditions.items()
    ]
    parents = [
        {"parentRef": ref, "controllerName": "example.com/gateways", "conditions": told}
        for ref in found["spec"]["parentRefs"]
    ]
    namespace.patch("HTTPRoute", "c-api", {"status": {"parents": parents}}, "/status")


def accept(namespace: Namespace) -> None:
    answer(namespace, Accepted=("True", "Accepted", ""), ResolvedRefs=("True", "ResolvedRefs", ""))


# First, while nobody has installed the Gateway API.
def test_ingress_stays_until_the_gateway_api_comes_and_a_gateway_takes_the_route(
    up: Namespace, operator: Operator, client: Client, routes_crd: Path
) -> None:
    serving = up.get("Ingress", "c-api") or {}
    ask(up, ingress={"annotations": {"not": "the Ingress's any more"}})
    up.wait_for("Degraded", "True", "GatewayApiMissing", saying=("install the Gateway API",))
    up.wait_for("Ready", "True", saying=("by the Ingress alone",))
    install_crd(client, routes_crd)
    try:
        route(up)
        up.wait_for("Degraded", "False")
        told = up.wait_for("Ready", "True", saying=("no controller has taken HTTPRoute c-api",))["message"]
        assert "infra/public, listener https" in told
        assert up.get("Ingress", "c-api") == serving, "what serves is neither deleted nor changed"
        accept(up)
        eventually(lambda: up.get("Ingress", "c-api") is None, what="the Ingress is gone")
        up.wait_for("Ready", "True", saying=(f"https://c.{up.name}.localhost.",))
    finally:
        remove_crd(client, "httproutes.gateway.networking.k8s.io")
    up.wait_for("Degraded", "True", "GatewayApiMissing")
    up.wait_for("Ready", "False", "GatewayApiMissing")
    up.delete("Service", "c-api")
    eventually(lambda: up.get("Service", "c-api"), what="the operator works on without the kind")
    ask(up, None, ingress=None)
    eventually(lambda: up.get("Ingress", "c-api"), what="an Ingress again")
    up.wait_for("Degraded", "False")
    up.settle()


def test_route_comes_and_goes_as_the_spec_says(up: Namespace, operator: Operator, gateway_api: None) -> None:
    # By http as before: another URL would roll the pods, and these writes are not counted here.
    gateway = {**PUBLIC, "scheme": "http", "keepIngress": True, "annotations": {"a": "b"}}
    ask(up, gateway)
    found = route(up)
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", **PUBLIC["parentRefs"][0]}
    assert found["spec"] == {"parentRefs": [ref], "hostnames": [f"c.{up.name}.localhost"], "rules": [RULE]}
    assert found["metadata"]["annotations"]["a"] == "b"
    accept(up)
    up.wait_for("Ready", "True", saying=(f"http://c.{up.name}.localhost.",))
    assert up.get("Ingress", "c-api"), "both, while names are moved from one to the other"
    up.wait_for("Degraded", "False")
    eventually(lambda: is_current(up))
    writes = operator.writes()
    up.patch("Community", "c", {"metadata": {"annotations": {"looked": "at"}}})
    ask(up, {**gateway, "requestTimeoutSeconds": 90})
    eventually(lambda: route(up)["spec"]["rules"] == [{**RULE, "timeouts": {"request": "90s"}}] and is_current(up))
    assert operator.writes() == writes + 2, "the HTTPRoute and the status' generation, and nothing twice"
    up.patch("HTTPRoute", "c-api", {"spec": {"hostnames": ["other.example.com"]}})
    eventually(lambda: route(up)["spec"]["hostnames"] == [f"c.{up.name}.localhost"], what="an edit is undone")
    up.delete("HTTPRoute", "c-api")
    eventually(lambda: up.get("HTTPRoute", "c-api"), what="it is back")
    ask(up, None)
    eventually(lambda: up.get("HTTPRoute", "c-api") is None, what="it is gone with the field")
    assert up.get("Ingress", "c-api")


def is_current(namespace: Namespace) -> bool:
    """Tell whether the status is that of the latest spec."""
    found = namespace.get("Community", "c") or {}
    current: bool = found["status"]["observedGeneration"] == found["metadata"]["generation"]
    return current


def test_conditions_say_what_the_controllers_say(up: Namespace, operator: Operator, gateway_api: None) -> None:
    ask(up, {**PUBLIC, "scheme": "http"})
    accept(up)
    eventually(lambda: up.get("Ingress", "c-api") is None)
    up.wait_for("Ready", "True", saying=("http://",))
    words = "hostname matches no listener"
    answer(up, Accepted=("False", "NoMatchingListenerHostname", words))
    up.wait_for("Degraded", "True", "RouteNotAccepted", saying=("infra/public, listener https", words))
    up.wait_for("Ready", "False", "RouteNotAccepted")
    assert up.get("Ingress", "c-api") is None
    answer(up, Accepted=("True", "Accepted", ""), ResolvedRefs=("False", "BackendNotFound", "no such Service"))
    up.wait_for("Degraded", "True", "RouteNotAccepted", saying=("ResolvedRefs is False", "no such Service"))
    accept(up)
    up.wait_for("Degraded", "False")
    up.wait_for("Ready", "True")
    assert up.events("RouteNotAccepted")
    ask(up, hibernate=True)
    up.settle(reason="Hibernated")
    accept(up)
    assert route(up), "a sleeping Community keeps its way in, as its Ingress"
    ask(up, None, hibernate=False)
    eventually(lambda: up.get("Ingress", "c-api"))
    up.settle()


def test_route_holds_its_host_through_a_restart(
    namespace: Namespace, elsewhere: Namespace, operator: Operator, gateway_api: None
) -> None:
    host = f"food.{namespace.name}.localhost"
    namespace.community()  # the older one
    elsewhere.community(host=host, gateway=PUBLIC)
    serving = route(elsewhere)
    namespace.patch("Community", "c", {"spec": {"host": host}})
    message = namespace.wait_for("Degraded", "True", "HostTaken", saying=("no Ingress",))["message"]
    assert elsewhere.name not in message
    operator.restart()
    woken = namespace.patch("Community", "c", {"spec": {"hibernate": True}})["metadata"]["generation"]
    eventually(lambda: (namespace.get("Community", "c") or {})["status"]["observedGeneration"] == woken)
    assert namespace.host() != host
    assert route(elsewhere) == serving
    elsewhere.patch("Community", "c", {"spec": {"gateway": None, "host": None}})
    eventually(lambda: namespace.host() == host, what="the other one takes over")


def test_route_of_somebody_else_at_the_same_gateway_holds_a_host(
    namespace: Namespace, elsewhere: Namespace, operator: Operator, gateway_api: None
) -> None:
    host = f"food.{namespace.name}.localhost"
    spec = {"parentRefs": [{"name": "public", "namespace": "infra"}], "hostnames": [host]}
    theirs = {"apiVersion": HTTP_ROUTE.api_version, "kind": "HTTPRoute", "spec": spec}
    theirs["metadata"] = {"name": "theirs", "namespace": elsewhere.name}
    operator.rest()  # so that it knows of this one first
    assert elsewhere.client.create(HTTP_ROUTE, theirs).is_success
    operator.lead()
    namespace.community(host=host, gateway=PUBLIC)
    namespace.wait_for("Degraded", "True", "HostTaken", saying=("no HTTPRoute",))
    namespace.community("d", host=f"d.{host}", gateway=PUBLIC)
    eventually(lambda: namespace.get("HTTPRoute", "d-api"))
    assert namespace.get("HTTPRoute", "c-api") is None
    elsewhere.delete("HTTPRoute", "theirs")
    route(namespace)


#: The most of everything that our CRD lets through, and what nobody gives a thought to.
ACCEPTED: dict[str, dict[str, Any]] = {
    "one Gateway": {"parentRefs": [{"name": "a"}]},
    "as many as there may be": {"parentRefs": [{"name": f"g{number}"} for number in range(16)]},
    "the longest names": {
        "parentRefs": [
            {"name": ".".join(["a" * 63] * 3), "namespace": "n" * 63, "sectionName": ".".join(["s" * 63] * 3)}
        ]
    },
    "listeners of one Gateway": {"parentRefs": [{"name": "a", "sectionName": one, "port": 65535} for one in "xyz"]},
    "Gateways of one name": {"parentRefs": [{"name": "a"}, {"name": "a", "namespace": "b"}]},
    "the longest time": {"parentRefs": [{"name": "a"}], "requestTimeoutSeconds": 3600},
}


@pytest.mark.parametrize("case", ACCEPTED)
@pytest.mark.usefixtures("gateway_api")
def test_route_of_whatever_our_crd_accepts_is_accepted_by_the_gateway_api(namespace: Namespace, case: str) -> None:
    host = ".".join(["h" * 60] * 4)
    wanted = resource(namespace.name, host=host, gateway=ACCEPTED[case])
    answer = Client._ok(namespace.client.create(COMMUNITY, wanted, dryRun="All"))
    (made,) = (child for child in preview(answer).children if child["kind"] == "HTTPRoute")
    given = namespace.client.create(HTTP_ROUTE, made, dryRun="All")
    assert given.status_code == 201, given.text
    assert drift.differing_fields(made, given.json()) == [], "every default is spelled out"


REFUSED: dict[str, list[dict[str, Any]]] = {
    "a Gateway twice": [{"name": "a"}, {"name": "a"}],
    "a Gateway and one of its listeners": [{"name": "a"}, {"name": "a", "sectionName": "b"}],
    "a listener twice": [{"name": "a", "sectionName": "b", "port": 1}, {"name": "a", "sectionName": "b", "port": 2}],
    "too many": [{"name": f"g{number}"} for number in range(33)],
    "a bad namespace": [{"name": "a", "namespace": "a.b"}],
    "no listener": [{"name": "a", "sectionName": ""}],
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.usefixtures("gateway_api")
def test_what_the_gateway_api_refuses_is_refused_by_our_crd_first(namespace: Namespace, case: str) -> None:
    """Else the Community would be accepted, and its route never made."""
    metadata = {"name": "x", "namespace": namespace.name}
    theirs = {"apiVersion": HTTP_ROUTE.api_version, "kind": "HTTPRoute", "metadata": metadata}
    answer = namespace.client.create(HTTP_ROUTE, {**theirs, "spec": {"parentRefs": REFUSED[case]}}, dryRun="All")
    assert answer.status_code == 422, "it is refused"
    ours = resource(namespace.name, gateway={"parentRefs": REFUSED[case]})
    refused = namespace.client.create(COMMUNITY, ours, dryRun="All")
    assert refused.status_code == 422
    assert "spec.gateway.parentRefs" in refused.json()["message"]
