"""One host, one Community: the one that serves keeps it, the others wait without an Ingress and take over in turn."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.waiting import eventually

from bapsang_operator import build
from bapsang_operator.kinds import BY_NAME
from bapsang_operator.resource import parse

from .client import Client, Object
from .namespace import Namespace
from .process import Operator


@pytest.fixture
def elsewhere(client: Client) -> Iterator[Namespace]:
    """The namespace of another team."""
    found = Namespace(client)
    yield found
    found.leave()


@pytest.fixture
def host(namespace: Namespace) -> str:
    return f"food.{namespace.name}.localhost"


def _path(elsewhere: Namespace, host: str, path: str) -> Object:
    """Return an Ingress of somebody else's that sends a path of a host elsewhere."""
    backend = {"service": {"name": "theirs", "port": {"number": 80}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": backend}]
    metadata = {"name": "theirs", "namespace": elsewhere.name}
    return {"metadata": metadata, "spec": {"rules": [{"host": host, "http": {"paths": paths}}]}}


def test_serving_community_keeps_its_host_also_from_an_older_one_and_through_a_restart(
    namespace: Namespace, elsewhere: Namespace, operator: Operator, host: str
) -> None:
    namespace.community()
    elsewhere.community(host=host)
    eventually(lambda: elsewhere.host() == host and namespace.host())
    former, serving = namespace.host(), elsewhere.get("Ingress", "c-api")
    # The older one asks for it, and the case that was seen: one that sleeps would answer everybody with 503.
    namespace.patch("Community", "c", {"spec": {"host": host}})
    namespace.community("d", host=host, hibernate=True)
    for name in ("c", "d"):
        message = namespace.wait_for("Degraded", "True", "HostTaken", name, saying=(host,))["message"]
        assert elsewhere.name not in message, "who reads this may know nothing of other namespaces"
    assert namespace.condition("Ready", "c")["status"] == "False"
    assert namespace.events("HostTaken")
    # As an operator that did not compare hosts has left it: the second one has an Ingress, too.
    operator.rest()
    second = parse(namespace.get("Community", "d") or {})
    assert namespace.client.create(BY_NAME["Ingress"], build.ingress.ingress(second, host).manifest).is_success
    operator.lead()
    eventually(lambda: namespace.host("d") is None, 60, "it is removed again")
    woken = namespace.patch("Community", "d", {"spec": {"hibernate": False}})["metadata"]["generation"]
    eventually(lambda: (namespace.get("Community", "d") or {})["status"]["observedGeneration"] == woken)
    assert namespace.host("d") is None
    assert namespace.host("c") == former, "what runs stays in service"
    assert elsewhere.get("Ingress", "c-api") == serving
    elsewhere.delete("Community", "c")
    eventually(lambda: namespace.host("c") == host, what="the older of those who wait takes over")
    eventually(
        lambda: 'Community "c"' in namespace.condition("Degraded", "d")["message"], what="its neighbour is named"
    )
    assert namespace.host("d") is None


@pytest.mark.usefixtures("operator")
def test_of_communities_made_at_the_same_instant_one_gets_the_host(namespace: Namespace, host: str) -> None:
    everybody = ["e", "c", "d"]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: namespace.community(name, host=host), everybody))

    def served_and_waiting() -> tuple[int, int]:
        taken = [namespace.condition("Degraded", name).get("reason") == "HostTaken" for name in everybody]
        return sum(namespace.host(name) == host for name in everybody), sum(taken)

    eventually(lambda: served_and_waiting() == (1, 2))


@pytest.mark.usefixtures("operator")
def test_foreign_ingress_holds_a_host_and_a_path_does_not(
    namespace: Namespace, elsewhere: Namespace, host: str
) -> None:
    kind = BY_NAME["Ingress"]
    assert elsewhere.client.create(kind, _path(elsewhere, host, "/page")).is_success
    namespace.community(host=host)
    eventually(lambda: namespace.host() == host)
    # Ours was first: somebody who claims all of it later changes nothing for us.
    assert elsewhere.client.replace(kind, _path(elsewhere, host, "/")).is_success
    namespace.community("d", host=f"d.{host}")
    other = _path(elsewhere, f"e.{host}", "/")
    assert elsewhere.client.create(kind, other | {"metadata": other["metadata"] | {"name": "first"}}).is_success
    namespace.community("e", host=f"e.{host}")
    namespace.wait_for("Degraded", "True", "HostTaken", "e")
    eventually(lambda: namespace.host("d"))
    assert namespace.condition("Degraded")["reason"] != "HostTaken"
    assert namespace.host("e") is None
    elsewhere.delete("Ingress", "first")
    eventually(lambda: namespace.host("e") == f"e.{host}")
    elsewhere.delete("Ingress", "theirs")
