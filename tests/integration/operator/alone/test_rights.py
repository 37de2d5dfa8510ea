"""The operator's rights: the ones it has are the ones it uses, by the apiserver's audit log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.operator.client import BINDINGS, ROLES, Client, bind, rules
from tests.integration.operator.controlplane import ControlPlane
from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.waiting import eventually

from bapsang_operator.kinds import BY_NAME, LEASE, POD
from bapsang_operator.names import LABEL_COMMUNITY, LABEL_COMPONENT, LABEL_MANAGED_BY, MANAGER

Rights = set[tuple[str, str, str]]


def _granted() -> Rights:
    return {
        (group, resource, verb)
        for rule in [*rules(keda=True, gateway=True), *rules(namespaced=True)]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _used(plane: ControlPlane, holder: str) -> Rights:
    """Return the rights that one process has used, and fail where it was refused one."""
    found: Rights = set()
    for event in plane.audited():
        if holder not in event["userAgent"]:
            continue
        what, code = event["objectRef"], event.get("responseStatus", {}).get("code", 200)
        resource = "/".join(part for part in (what["resource"], what.get("subresource")) if part)
        assert code != 403 or "forbidden" not in event["responseStatus"].get("message", ""), event
        verbs = [event["verb"]]
        # An apply that creates needs both rights, and the log knows one verb for it.
        if event["verb"] == "patch" and code == 201:
            verbs.append("create")
        found |= {(what.get("apiGroup", ""), resource, verb) for verb in verbs}
    return found


@pytest.fixture
def own(control_plane: ControlPlane, client: Client, namespace: Namespace, tmp_path: Path) -> Iterator[Operator]:
    """An operator that has done nothing yet, with a Lease of its own, which it has to create."""
    bind(client, ROLES, BINDINGS, namespace.name, rules(namespaced=True))
    settings = {"BAPSANG_KEDA": "true", "BAPSANG_GATEWAY": "true", "BAPSANG_NAMESPACE": namespace.name}
    found = Operator(control_plane.operator, tmp_path / "log", settings)
    found.lead()
    yield found
    found.rest()


def test_every_right_is_used_and_every_use_is_a_right(
    client: Client, namespace: Namespace, control_plane: ControlPlane, keda: None, gateway_api: None, own: Operator
) -> None:
    holder = (client.get(LEASE, namespace.name, "bapsang-operator") or {})["spec"]["holderIdentity"]
    variable = {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}}
    config = {"metadata": {"name": "settings", "namespace": namespace.name}, "data": {"level": "one"}}
    assert client.create(BY_NAME["ConfigMap"], config).is_success
    namespace.community(storage={"bucket": "media"}, api={"burst": {"headroom": 1}, "env": [variable]})
    first = namespace.bring_up()
    labels = {LABEL_MANAGED_BY: MANAGER, LABEL_COMMUNITY: "c", LABEL_COMPONENT: "mysql"}
    pod = {"metadata": {"name": "c-mysql-0", "namespace": namespace.name, "labels": labels}}
    pod["spec"] = {"containers": [{"name": "x", "image": "x"}], "nodeName": "a-node"}
    assert client.create(POD, pod).is_success
    requests = {"prometheusUrl": "http://prometheus", "requestsPerPod": 50}
    namespace.patch("Community", "c", {"spec": {"api": {"autoscaling": {"keda": requests}}}})
    eventually(lambda: namespace.get("ScaledObject", "c-api-burst"))
    namespace.patch("Community", "c", {"spec": {"api": {"autoscaling": {"keda": None}}}})
    eventually(lambda: namespace.get("ScaledObject", "c-api-burst") is None)
    namespace.patch("Community", "c", {"spec": {"gateway": {"parentRefs": [{"name": "public"}]}}})
    eventually(lambda: namespace.get("HTTPRoute", "c-api"))
    namespace.patch("Community", "c", {"spec": {"gateway": None}})
    eventually(lambda: namespace.get("HTTPRoute", "c-api") is None)
    namespace.patch("Secret", "c-redis", {"metadata": {"ownerReferences": None}})
    eventually(lambda: "ownerReferences" in (namespace.get("Secret", "c-redis") or {})["metadata"])
    namespace.hold_up("c-redis")
    eventually(lambda: namespace.get("Pod", "c-redis-0") is None)
    namespace.patch("Community", "c", {"spec": {"hibernate": True}})
    namespace.wait_for("Progressing", "True", "Hibernating")
    eventually(lambda: namespace.get("Deployment", "c-headroom") is None)
    namespace.patch(
        "Community", "c", {"spec": {"hibernate": False, "host": None, "image": "bapsang/api:0.2.0", "storage": None}}
    )
    namespace.finish_job(namespace.migration(other_than=first))
    eventually(lambda: namespace.get("Job", first) is None and namespace.get("Ingress", "c-api") is None)
    # A watch is in the log once it has been answered, and that of a quiet kind a little later.
    eventually(
        lambda: _used(control_plane, holder) >= _granted(), 60, f"unused: {_granted() - _used(control_plane, holder)}"
    )
    assert _used(control_plane, holder) - _granted() == set()
