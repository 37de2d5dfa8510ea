"""Whatever is done to a child by hand is undone, and what is not ours is never touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator import names
from bapsang_operator.kinds import BY_NAME

from .client import Object
from .namespace import Namespace
from .test_lifecycle import CHILDREN

EDITS: dict[str, Any] = {
    "ServiceAccount": {"automountServiceAccountToken": True},
    "NetworkPolicy": {"spec": {"policyTypes": ["Ingress"], "ingress": None, "egress": None}},
    "PersistentVolumeClaim": {"metadata": {"labels": {names.LABEL_MANAGED_BY: None}}},
    "Service": {"spec": {"selector": {names.LABEL_COMMUNITY: "other"}}},
    "StatefulSet": {"spec": {"replicas": 0}},
    "Job": {"metadata": {"labels": {names.LABEL_COMMUNITY: "other"}}},
    "Deployment": {"spec": {"template": {"spec": {"enableServiceLinks": True, "nodeSelector": None}}}},
    "HorizontalPodAutoscaler": {"spec": {"maxReplicas": 99}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 0}},
    "CronJob": {"spec": {"suspend": True, "jobTemplate": {"spec": {"backoffLimit": 6}}}},
    "Ingress": {"spec": {"rules": [{"host": "elsewhere.example.com"}]}},
}
APPLIED = sorted((kind, name) for kind, name in CHILDREN | {("Job", "migrate")} if kind != "Secret")


pytestmark = pytest.mark.usefixtures("operator")


def _name(up: Namespace, kind: str, name: str) -> str:
    return up.migration() if kind == "Job" else name


def _essence(found: Object) -> str:
    metadata = found["metadata"]
    kept = {key: value for key, value in found.items() if key not in {"metadata", "status"}}
    return json.dumps([kept, metadata.get("labels"), metadata.get("ownerReferences")], sort_keys=True)


@pytest.mark.parametrize(("kind", "name"), APPLIED)
def test_edited_child_is_restored_within_seconds(up: Namespace, kind: str, name: str) -> None:
    name = _name(up, kind, name)
    before = up.get(kind, name)
    assert before is not None
    edited = up.patch(kind, name, EDITS[kind])
    assert _essence(edited) != _essence(before)
    eventually(lambda: _essence(up.get(kind, name) or {"metadata": {}}) == _essence(before), 60, f"{kind} restored")
    if kind != "Job":
        up.finish(kind, name)


@pytest.mark.parametrize(("kind", "name"), APPLIED)
def test_deleted_child_comes_back_within_seconds(up: Namespace, kind: str, name: str) -> None:
    name, job = _name(up, kind, name), up.migration()
    before = up.get(kind, name)
    assert before is not None
    up.delete(kind, name)

    def is_back() -> bool:
        found = up.get(kind, name)
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    eventually(is_back, 60, f"{kind} {name} back")
    if (kind, name) == ("PersistentVolumeClaim", "c-mysql"):
        # The database is another one now: it is migrated, although the image is the same.
        up.finish_job(up.migration(other_than=job))
        eventually(lambda: up.get("Job", job) is None)
    up.finish(kind, name)
    up.wait_for("Progressing", "False", "UpToDate")


def test_label_added_to_a_selector_is_taken_off(up: Namespace) -> None:
    up.patch("Service", "c-api", {"spec": {"selector": {"app": "other"}}})
    eventually(lambda: "app" not in (up.get("Service", "c-api") or {})["spec"]["selector"], 60)


SPY = {"name": "spy", "image": "evil"}


def _pod(**spec: Any) -> Object:
    return {"template": {"spec": spec}}


#: What somebody may add; strategic merge patches, as `kubectl edit` and `kubectl patch` send them.
ADDITIONS: dict[tuple[str, str], list[Object]] = {
    ("NetworkPolicy", "c-redis"): [{"ingress": [{}]}],
    ("NetworkPolicy", "c-mysql"): [{"egress": [{}]}],
    ("NetworkPolicy", "c-jobs"): [{"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}],
    ("Service", "c-mysql"): [
        {"externalIPs": ["192.0.2.1"]},
        {"ports": [{"name": "open", "port": 9999, "protocol": "TCP"}]},
        {"sessionAffinity": "ClientIP"},
        {"publishNotReadyAddresses": True},
        {"internalTrafficPolicy": "Local"},
    ],
    ("Service", "c-redis"): [{"type": "LoadBalancer", "loadBalancerSourceRanges": ["0.0.0.0/0"]}],
    ("Service", "c-api"): [{"type": "NodePort", "externalTrafficPolicy": "Local"}],
    ("Deployment", "c-api-base"): [
        {"paused": True},
        {"minReadySeconds": 60},
        _pod(containers=[SPY]),
        _pod(initContainers=[SPY]),
        _pod(hostNetwork=True),
        _pod(volumes=[{"name": "host", "hostPath": {"path": "/"}}]),
        _pod(nodeSelector={"disk": "none"}),
        _pod(containers=[{"name": "api", "env": [{"name": "PYTHONPATH", "value": "/evil"}]}]),
        {"template": {"metadata": {"labels": {"app": "other"}}}},
    ],
    ("Deployment", "c-api-burst"): [
        _pod(tolerations=[{"key": "x", "operator": "Exists"}]),
        _pod(priorityClassName="x"),
    ],
    ("StatefulSet", "c-mysql"): [_pod(containers=[SPY]), _pod(shareProcessNamespace=True), {"minReadySeconds": 9}],
    ("CronJob", "c-like-sync"): [{"jobTemplate": {"spec": _pod(hostPID=True, containers=[SPY])}}],
    ("HorizontalPodAutoscaler", "c-api-burst"): [{"behavior": {"scaleDown": {"selectPolicy": "Disabled"}}}],
    ("Ingress", "c-api"): [
        {"defaultBackend": {"service": {"name": "spy", "port": {"number": 80}}}},
        {"tls": [{"hosts": ["bapsang.localhost"], "secretName": "spy"}]},
    ],
}
#: What goes on to stay.
RESTARTED = {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-23T10:00:00Z"}}}}


def test_whatever_is_added_by_hand_is_taken_off_and_a_restart_of_pods_stays(up: Namespace) -> None:
    before = {key: (up.get(*key) or {})["spec"] for key in ADDITIONS}
    for (kind, name), patches in ADDITIONS.items():
        for patch in patches:
            up.patch(kind, name, {"spec": patch}, form="strategic-merge")
            eventually(lambda key=(kind, name): (up.get(*key) or {})["spec"] == before[key], 60, f"{name}: {patch}")
    up.patch("Deployment", "c-api-burst", {"metadata": {"annotations": {"team": "food"}}, "spec": RESTARTED})
    up.patch("Deployment", "c-api-burst", {"spec": {"paused": True}})
    eventually(lambda: "paused" not in (up.get("Deployment", "c-api-burst") or {})["spec"], 60)
    found = up.get("Deployment", "c-api-burst") or {}
    assert found["metadata"]["annotations"]["team"] == "food"
    assert (
        found["spec"]["template"]["metadata"]["annotations"].items()
        >= RESTARTED["template"]["metadata"]["annotations"].items()
    )
    for kind, name in ADDITIONS:
        if kind in {"Deployment", "StatefulSet"}:
            up.finish(kind, name)
    up.wait_for("Progressing", "False", "UpToDate")


def test_restoring_is_told_by_an_event(up: Namespace) -> None:
    up.delete("PodDisruptionBudget", "c-api")
    told = eventually(lambda: [event for event in up.events("ChildRestored") if "Budget c-api" in event["message"]])
    assert told[0]["type"] == "Normal"
    assert told[0]["involvedObject"]["name"] == "c"


@pytest.mark.parametrize("name", ["c-mysql", "c-redis", "c-signing-key"])
def test_deleted_secret_comes_back_with_the_same_values(up: Namespace, name: str) -> None:
    before = up.get("Secret", name)
    assert before is not None
    up.delete("Secret", name)
    found = eventually(lambda: up.get("Secret", name), 60)
    assert found["data"] == before["data"]


def test_autoscaler_alone_decides_the_burst_count(up: Namespace) -> None:
    up.patch("Deployment", "c-api-burst", {"spec": {"replicas": 7}})
    up.finish_rollout("c-api-burst")
    eventually(lambda: ((up.get("Community", "c") or {})["status"]["replicas"]["burst"]) == 7)
    found = up.get("Deployment", "c-api-burst")
    assert found is not None
    assert found["spec"]["replicas"] == 7
    assert up.condition("Progressing")["status"] == "False"


def test_scaled_base_tier_is_scaled_back(up: Namespace) -> None:
    up.patch("Deployment", "c-api-base", {"spec": {"replicas": 0}})
    eventually(lambda: (up.get("Deployment", "c-api-base") or {})["spec"]["replicas"] == 2, 60)
    up.finish_rollout("c-api-base")


def test_object_of_somebody_else_is_never_taken_over(namespace: Namespace) -> None:
    mine = {
        "metadata": {"name": "c-redis", "namespace": namespace.name},
        "spec": {"ports": [{"port": 1234}], "selector": {"app": "mine"}},
    }
    assert namespace.client.create(BY_NAME["Service"], mine).is_success
    namespace.community()
    told = namespace.wait_for("Degraded", "True", "ForeignObject")
    assert 'Service "c-redis"' in told["message"]
    assert namespace.condition("Progressing")["reason"] == "Blocked"
    eventually(lambda: namespace.events("ForeignObject"))
    found = namespace.get("Service", "c-redis")
    assert found is not None
    assert found["spec"]["selector"] == {"app": "mine"}
    assert "ownerReferences" not in found["metadata"]
    namespace.delete("Service", "c-redis")
    namespace.wait_for("Degraded", "False")
    assert (namespace.get("Service", "c-redis") or {})["spec"]["ports"][0]["port"] == 6379


def test_secret_of_somebody_else_is_never_used(namespace: Namespace) -> None:
    mine = {"metadata": {"name": "c-mysql", "namespace": namespace.name}, "stringData": {"url": "mine"}}
    assert namespace.client.create(BY_NAME["Secret"], mine).is_success
    namespace.community()
    told = namespace.wait_for("Degraded", "True", "ForeignObject")
    assert 'Secret "c-mysql"' in told["message"]
    assert namespace.get("StatefulSet", "c-mysql") is None


def _hold(namespace: Namespace, kind: str, name: str, finalizers: list[str] | None) -> None:
    namespace.patch(kind, name, {"metadata": {"finalizers": finalizers}})


def test_child_that_is_slow_to_go_is_awaited(up: Namespace) -> None:
    _hold(up, "PersistentVolumeClaim", "c-redis", ["kubernetes.io/pvc-protection"])
    up.delete("PersistentVolumeClaim", "c-redis")
    told = up.wait_for("Progressing", "True", "WaitingForDeletion")
    assert "PersistentVolumeClaim c-redis is still being deleted" in told["message"]
    _hold(up, "PersistentVolumeClaim", "c-redis", None)
    eventually(
        lambda: up.get("PersistentVolumeClaim", "c-redis") and not up.is_going("PersistentVolumeClaim", "c-redis"), 60
    )
    up.wait_for("Progressing", "False", "UpToDate")


def test_community_made_anew_waits_for_the_children_of_the_earlier_one(namespace: Namespace) -> None:
    first = namespace.community()
    namespace.bring_up()
    held = [("Secret", "c-redis"), ("Service", "c-mysql")]
    for kind, name in held:
        _hold(namespace, kind, name, ["bapsang.dev/test"])
    namespace.delete("Community", "c")
    second = namespace.community()
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    namespace.wait_for("Progressing", "True", "WaitingForDeletion")
    assert namespace.condition("Degraded")["status"] == "False"
    for kind, name in held:
        eventually(lambda kind=kind, name=name: namespace.is_going(kind, name))
        _hold(namespace, kind, name, None)

    def belongs_to_the_second() -> bool:
        owners = [child["metadata"]["ownerReferences"][0]["uid"] for child in namespace.children().values()]
        return len(owners) > 15 and set(owners) == {second["metadata"]["uid"]}

    eventually(belongs_to_the_second, 120)
