"""A pass over one Community while the apiserver, or a webhook on the way, refuses some of its requests."""

from __future__ import annotations

import copy

import pytest

from bapsang_operator import names
from bapsang_operator.cluster.errors import KubeError, refused
from bapsang_operator.controller.reconciler import Reconciler
from bapsang_operator.informer.routes import NO_RIGHTS, Outlook
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.metrics import Metrics
from bapsang_operator.names import Component
from bapsang_operator.resource import parse
from bapsang_operator.unwatched.secrets import Secrets

from .fake_kube import FakeKube
from .world import NOW, Cluster, condition_of, resource

COMMUNITY = CommunityKey("ns", "c")
DENIED = 'admission webhook "policy.example.com" denied the request: no'


class Pass:
    """One Community, the cluster that it is in, and the process that looks after it."""

    def __init__(self, given: Manifest | None = None, *, sees_all: bool = True) -> None:
        self.resource = resource() if given is None else given
        self.outlook = NO_RIGHTS
        self.kube = FakeKube(self.resource)
        self.store = Store()
        self.store.listed.add(None)
        self.store.put(self.resource)
        self.now = 0.0
        secrets = Secrets(self.kube, lambda: self.now, 30)
        self.later: list[float] = []
        self.reconciler = Reconciler(
            self.kube,
            self.store,
            secrets,
            Metrics(),
            lambda _key, seconds: self.later.append(seconds),
            lambda: NOW,
            outlook=lambda _namespace: self.outlook,
            sees_all=sees_all,
        )

    async def run(self) -> bool:
        return await self.reconciler(COMMUNITY)

    async def settle(self) -> None:
        """Pass after pass, with controllers played in between, until a pass asks the apiserver for nothing."""
        for _ in range(10):
            asked = len(self.kube.asked)
            assert await self.run()
            if len(self.kube.asked) == asked:
                return
            self._play_controllers()
        raise AssertionError("it never settles")

    def _play_controllers(self) -> None:
        played = Cluster(parse(self.resource))
        played.live = copy.deepcopy(self.kube.objects_by_key)
        for live in played.live.values():
            live["metadata"].setdefault("generation", 1)
        played.settle()
        for key, live in played.live.items():
            if live.get("status") != self.kube.objects_by_key[key].get("status"):
                self.store.put(self.kube.put(live))

    def condition(self, kind: str) -> Manifest:
        return condition_of(self.kube.objects_by_key[Key(names.KIND, "ns", "c")]["status"], kind)

    def applied(self) -> set[Key]:
        return {key for verb, key in self.kube.writes if verb == "apply"}


def _webhook(code: int) -> KubeError:
    """Return what an admission webhook that denies with a code of its own makes of a write."""
    return refused(code, "", {"kind": "Status", "code": code, "message": DENIED, "reason": "NotFound"}, "")


def _absent(plural: str) -> KubeError:
    details = {"name": "x", "kind": plural}
    return refused(404, "", {"kind": "Status", "reason": "NotFound", "message": "not found", "details": details}, "")


async def test_pass_applies_what_waits_for_nothing_and_writes_a_status() -> None:
    found = Pass()
    assert await found.run()
    assert {key.kind for key in found.applied()} >= {"Service", "StatefulSet", "NetworkPolicy", "Ingress"}
    assert found.condition("Degraded")["status"] == "False"


async def test_community_that_has_settled_without_its_host_gets_it_when_the_holder_goes() -> None:
    found = Pass()
    host, ingress = parse(resource()).host, Key("Ingress", "ns", "c-api")
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix"}]}}
    metadata = {"name": "theirs", "namespace": "other", "uid": "f", "resourceVersion": "1"}
    metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
    theirs = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": {"rules": [rule]}}
    found.store.put(theirs)
    await found.settle()
    assert found.condition("Degraded")["reason"] == "HostTaken"
    assert ingress not in found.applied()
    found.store.drop(theirs)
    await found.settle()
    assert found.condition("Degraded")["status"] == "False"
    assert ingress in found.applied()


@pytest.mark.parametrize("code", [401, 403, 404, 409, 500])
async def test_child_that_a_webhook_denies_hides_no_other_and_no_status_whatever_its_code(code: int) -> None:
    found = Pass()
    found.kube.fails = lambda verb, key: _webhook(code) if (verb, key.kind) == ("apply", "Service") else None
    assert await found.run() is (code == 403)
    assert {"StatefulSet", "Ingress", "PodDisruptionBudget"} <= {key.kind for key in found.applied()}
    told = found.condition("Degraded")
    assert told["reason"] == ("ChildRejected" if code == 403 else "ChildFailed")
    assert DENIED in told["message"]


async def test_child_whose_deletion_a_webhook_denies_with_404_is_not_taken_for_gone() -> None:
    found = Pass()
    assert await found.run()
    without = resource()
    del without["spec"]["host"]
    found.store.put(without | {"metadata": without["metadata"] | {"resourceVersion": "1000"}})
    found.kube.fails = lambda verb, _key: _webhook(404) if verb == "delete" else None
    assert not await found.run()
    assert 'Ingress "c-api" failed' in found.condition("Degraded")["message"]


async def test_namespace_or_community_that_is_gone_ends_the_pass_without_an_error() -> None:
    for verb, plural in (("apply", "namespaces"), ("create", "namespaces"), ("status", "communities")):
        found = Pass()
        found.kube.fails = lambda asked, _key, verb=verb, plural=plural: _absent(plural) if asked == verb else None
        assert await found.run()
        assert "status" not in found.kube.objects_by_key[Key(names.KIND, "ns", "c")]
        assert found.kube.asked[-1][0] == verb


async def test_secrets_that_a_webhook_holds_up_hide_no_child_and_no_status() -> None:
    found = Pass()

    def hang(verb: str, _key: Key) -> KubeError | None:
        if verb != "create":
            return None
        found.now += 4
        return KubeError(0, "Timeout", "POST: no answer from the apiserver")

    found.kube.fails = hang
    assert not await found.run()
    assert {"Service", "NetworkPolicy", "Ingress"} <= {key.kind for key in found.applied()}
    message = found.condition("Degraded")["message"]
    for name in ("c-mysql", "c-redis", "c-signing-key"):
        assert f'Secret "{name}" failed and is tried again: it could not be created.' in message
    found.kube.fails = lambda _verb, _key: None
    assert await found.run()
    assert found.condition("Degraded")["status"] == "False"


async def test_secrets_take_no_longer_than_leaves_the_children_their_turn() -> None:
    found = Pass()

    def hang(verb: str, _key: Key) -> KubeError | None:
        found.now += 11 if verb == "create" else 0
        return KubeError(0, "Timeout", "no answer") if verb == "create" else None

    found.kube.fails = hang
    assert not await found.run()
    assert len([key for verb, key in found.kube.asked if verb == "create"]) == 1
    assert found.applied()


async def test_secret_whose_creation_was_not_answered_but_took_place_has_not_failed() -> None:
    found = Pass()

    def lose(verb: str, key: Key) -> KubeError | None:
        if verb != "create":
            return None
        labels = {
            names.LABEL_MANAGED_BY: names.MANAGER,
            names.LABEL_COMMUNITY: "c",
            names.LABEL_COMPONENT: Component.API,
        }
        made = {"kind": "Secret", "metadata": {"name": key.name, "namespace": "ns", "labels": labels}, "data": {}}
        found.kube.objects_by_key[key_of(made)] = made
        return KubeError(0, "Timeout", "no answer")

    found.kube.fails = lose
    await found.run()
    assert "could not be created" not in found.condition("Degraded")["message"]


async def test_apiserver_that_is_slow_or_busy_while_secrets_are_read_is_left_alone() -> None:
    for error in (KubeError(0, "Timeout", "no answer"), KubeError(0, "NoAnswer", "refused")):
        found = Pass()
        found.kube.fails = lambda verb, _key, error=error: error if verb == "get" else None
        assert not await found.run()
        assert found.kube.writes == []


async def test_port_added_for_both_protocols_is_closed_for_both_and_no_webhook_is_blamed() -> None:
    found = Pass()
    assert await found.run()
    key = Key("Service", "ns", "c-mysql")
    before = found.kube.objects_by_key[key]["spec"]
    edited = copy.deepcopy(found.kube.objects_by_key[key])
    edited["spec"]["ports"] += [{"port": 53, "protocol": protocol} for protocol in ("TCP", "UDP")]
    owned = {f'k:{{"port":53,"protocol":"{protocol}"}}': {} for protocol in ("TCP", "UDP")}
    entry = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:ports": owned}}}
    edited["metadata"] |= {"managedFields": [entry], "resourceVersion": "1000"}
    found.kube.objects_by_key[key] = edited
    found.store.put(edited)
    found.kube.events.clear()
    assert await found.run()
    assert found.kube.objects_by_key[key]["spec"] == before
    assert [event["reason"] for event in found.kube.events] == ["ChildRestored"]
    assert found.store.baselines[key] == {}


@pytest.mark.parametrize(
    "answer",
    [
        {"details": "x", "message": {"a": 1}, "reason": ["b"]},
        {"details": {"causes": "x", "kind": None}, "message": None},
        {"details": {"causes": ["x", None, {"reason": 1}]}},
        {"details": ["x"]},
    ],
)
def test_error_of_a_proxy_is_an_error_like_any_other(answer: Manifest) -> None:
    error = refused(502, "9" * 5000, answer, "Bad gateway")
    assert (error.status, error.message, error.retry_after, error.ends_the_pass) == (502, "Bad gateway", 0, False)


GATEWAY = {"parentRefs": [{"name": "public"}]}


async def test_operator_without_the_rights_on_routes_says_what_to_switch_on() -> None:
    found = Pass(resource(gateway=GATEWAY))
    assert await found.run()
    assert found.condition("Degraded")["reason"] == "GatewayApiMissing"
    assert "gateway.enabled" in found.condition("Degraded")["message"]
    assert Key("HTTPRoute", "ns", "c-api") not in {key for _, key in found.kube.asked}


async def test_no_way_in_is_made_while_the_routes_are_not_known() -> None:
    """One of them may serve the host, for another Community."""
    found = Pass(resource(gateway={**GATEWAY, "keepIngress": True}))
    found.outlook = Outlook(unread="the apiserver is out of order")
    await found.settle()
    ways = {Key(kind, "ns", "c-api") for kind in ("Ingress", "HTTPRoute")}
    assert ways.isdisjoint(found.applied())
    assert found.condition("Degraded")["reason"] == "ChildFailed"
    found.outlook = Outlook()
    await found.settle()
    assert ways <= found.applied()


async def test_route_of_a_kind_that_is_refused_later_is_left_as_it_is() -> None:
    found = Pass(resource(gateway=GATEWAY))
    found.outlook = Outlook()
    await found.settle()
    found.outlook = Outlook("the apiserver refuses HTTPRoutes: no")
    await found.settle()
    assert Key("HTTPRoute", "ns", "c-api") in found.kube.objects_by_key
    assert found.condition("Degraded")["reason"] == "GatewayApiMissing"
