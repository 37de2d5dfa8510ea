"""Admission webhooks between the operator and etcd: one that fails hides nothing else, one that rewrites is not fought,
and neither hides what is edited by hand meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.waiting import eventually

from bapsang_operator import names
from bapsang_operator.kinds import BY_NAME

from .client import Client, Object
from .controlplane import ControlPlane
from .namespace import Namespace
from .process import Operator
from .test_quiet import rounds
from .webhook import DeniedError, serving

MIRROR = "mirror.example.com/"
OURS = "bapsang/api:0.1.0"
TOLERATION = {"key": "webhook", "operator": "Exists"}


def _is_mutated(client: Client, namespace: Namespace, kind: str) -> None:
    """Wait until the apiserver has taken up the webhook: it does so a moment after its creation."""
    name = f"probe-{kind.lower()}"
    spec = {"ports": [{"port": 1}], "selector": {"a": "b"}}

    def probe() -> bool:
        metadata = {"name": name, "namespace": namespace.name}
        answer = client.create(BY_NAME[kind], {"metadata": metadata, "spec": spec}, dryRun="All")
        return answer.status_code >= 500 or "trafficDistribution" in answer.text

    eventually(probe, what="the webhook is called")


def test_webhook_that_fails_for_one_kind_hides_no_other_child_and_no_status(
    client: Client, operator: Operator, namespace: Namespace, tmp_path: Path
) -> None:
    broken = True

    def mutate(found: Object) -> None:
        if broken and found["metadata"]["name"] == "c-redis":
            raise DeniedError(404)  # as if the apiserver did not find something
        if broken:
            raise RuntimeError("no endpoints")

    with serving(client, namespace.name, ["services"], mutate, tmp_path):
        _is_mutated(client, namespace, "Service")
        namespace.community()
        told = namespace.wait_for(
            "Degraded",
            "True",
            "ChildFailed",
            saying=(
                'Service "c-redis"',
                'Service "c-api"',
                "failed calling webhook",
                "denied the request: not by this policy",
            ),
        )["message"]
        assert len(told) < 1500
        # Everything else is applied, from the first child to the last.
        for name in ("c-mysql", "c-redis"):
            namespace.finish_store(name)
        namespace.finish_job(namespace.migration())
        namespace.finish_rollout("c-api-base")
        namespace.finish_rollout("c-api-burst")
        namespace.wait_for("Ready", "True", "Serving")
        eventually(
            lambda: namespace.get("Ingress", "c-api") and namespace.get("HorizontalPodAutoscaler", "c-api-burst")
        )
        assert namespace.condition("Progressing")["reason"] == "Blocked"
        assert namespace.get("Service", "c-api") is None
        # A change reaches what it concerns while the webhook is down.
        namespace.patch("Community", "c", {"spec": {"likeSync": {"batchSize": 7}}})
        eventually(lambda: '"7"' in json.dumps(namespace.get("CronJob", "c-like-sync")))
        assert len(namespace.events("ChildFailed")) == 1
        broken = False
        namespace.wait_for("Degraded", "False", "AsExpected")
        assert namespace.wait_for("Progressing", "False", "UpToDate")
        assert namespace.get("Service", "c-api") is not None


def _rewrite(found: Object) -> None:
    """Mutate as registry mirrors, cost tools and policies do."""
    kind, spec = found["kind"], found["spec"]
    if kind == "Service":
        spec["trafficDistribution"] = "PreferClose"
        return
    if kind == "NetworkPolicy":
        if not spec.get("egress"):
            spec["egress"] = [{"ports": [{"protocol": "UDP", "port": 514}]}]
        return
    spec["revisionHistoryLimit"] = 7
    pod = spec["template"]["spec"]
    for container in pod["containers"]:
        if not container["image"].startswith(MIRROR):
            container["image"] = MIRROR + container["image"]
    if TOLERATION not in pod.get("tolerations", []):
        pod["tolerations"] = [*pod.get("tolerations", []), TOLERATION]


RESTARTED = {"kubectl.kubernetes.io/restartedAt": "2026-11-23T10:00:00Z"}


def _edit_by_hand(namespace: Namespace) -> None:
    """Do, as somebody with kubectl, what must be put back; and what must stay."""
    sidecar = {"name": "spy", "image": "evil"}
    pod = {"hostNetwork": True, "containers": [sidecar, {"name": "api", "image": "evil/api"}]}
    base: Object = {"paused": True, "template": {"metadata": {"labels": {"app": "x"}}, "spec": pod}}
    namespace.patch("Deployment", "c-api-base", {"spec": base}, form="strategic-merge")
    tolerations = {"spec": {"template": {"spec": {"tolerations": [{"key": "mine", "operator": "Exists"}]}}}}
    namespace.patch("Deployment", "c-api-burst", tolerations)
    peer = namespace.get("NetworkPolicy", "c-mysql")
    assert peer is not None
    (rule,) = peer["spec"]["ingress"]
    rule["from"][0]["namespaceSelector"] = {}
    namespace.patch("NetworkPolicy", "c-mysql", {"spec": {"ingress": [rule], "egress": [{}]}})
    ports = [{"name": "open", "port": 9999, "protocol": "TCP"}]
    service = {"externalIPs": ["192.0.2.1"], "ports": ports, "sessionAffinity": "ClientIP"}
    namespace.patch("Service", "c-mysql", {"spec": service}, form="strategic-merge")
    # Of one number, for both protocols; a strategic merge patch knows them by the number alone.
    open_ports = (namespace.get("Service", "c-mysql") or {})["spec"]["ports"]
    open_ports.append({"name": "open-udp", "port": 9999, "protocol": "UDP"})
    namespace.patch("Service", "c-mysql", {"spec": {"ports": open_ports}})
    metadata = {"metadata": {"labels": {"team": "food"}}}
    restart = {"spec": {"template": {"metadata": {"annotations": RESTARTED}}}}
    namespace.patch("Deployment", "c-api-burst", metadata | restart)


CHILDREN = (
    ("Deployment", "c-api-base"),
    ("Deployment", "c-api-burst"),
    ("NetworkPolicy", "c-mysql"),
    ("Service", "c-mysql"),
    ("StatefulSet", "c-redis"),
)


def _specs(namespace: Namespace) -> dict[str, Any]:
    """Return the specs of some children, without the one thing that stays of what is done by hand."""
    found = {}
    for kind, name in CHILDREN:
        spec = (namespace.get(kind, name) or {})["spec"]
        if kind == "Deployment":
            spec["template"]["metadata"].get("annotations", {}).pop(next(iter(RESTARTED)), None)
        found[f"{kind} {name}"] = spec
    return found


def _writes(plane: ControlPlane, namespace: Namespace) -> int:
    """Return how many requests of the operator have changed something in the namespace, dry runs aside."""
    return sum(
        event["verb"] in {"create", "update", "patch", "delete"} and "dryRun" not in event["requestURI"]
        for event in plane.audited()
        if event["objectRef"].get("namespace") == namespace.name
    )


def _is_quiet(plane: ControlPlane, namespace: Namespace, operator: Operator) -> None:
    rounds(operator, 1)
    before, versions = _writes(plane, namespace), namespace.versions()
    rounds(operator, 1)
    assert _writes(plane, namespace) == before
    assert namespace.versions() == versions


def test_webhook_that_rewrites_is_not_fought_and_hides_no_edit_by_hand_not_even_across_a_restart(
    client: Client, control_plane: ControlPlane, operator: Operator, namespace: Namespace, tmp_path: Path
) -> None:
    resources = ["deployments", "statefulsets", "services", "networkpolicies"]
    with serving(client, namespace.name, resources, _rewrite, tmp_path):
        _is_mutated(client, namespace, "Service")
        namespace.community()
        namespace.bring_up()
        eventually(lambda: namespace.events("RolloutCompleted"))
        before = _specs(namespace)
        assert MIRROR + OURS in json.dumps(before["Deployment c-api-base"])
        assert TOLERATION in before["StatefulSet c-redis"]["template"]["spec"]["tolerations"]
        assert before["Service c-mysql"]["trafficDistribution"] == "PreferClose"
        assert before["NetworkPolicy c-mysql"]["egress"][0]["ports"][0]["port"] == 514
        _is_quiet(control_plane, namespace, operator)
        rewritten = [event["message"] for event in namespace.events("ChildRewritten")]
        assert len([text for text in rewritten if "Deployment c-api-base" in text]) == 1, rewritten
        assert not namespace.events("ChildRestored")

        _edit_by_hand(namespace)
        assert _specs(namespace) != before
        eventually(lambda: _specs(namespace) == before, 60, f"restored, not {_specs(namespace)}")
        eventually(lambda: namespace.events("ChildRestored"))
        told = [event["message"] for event in namespace.events("ChildRestored")]
        assert any("NetworkPolicy c-mysql" in text for text in told), told
        assert not [text for text in told if "revisionHistoryLimit" in text], told

        # The same while no operator runs: the memory of what was applied is gone when it comes back.
        operator.rest()
        _edit_by_hand(namespace)
        assert _specs(namespace) != before
        operator.lead()
        eventually(lambda: _specs(namespace) == before, 60, f"restored, not {_specs(namespace)}")
        _is_quiet(control_plane, namespace, operator)

        versions, writes = namespace.versions(), _writes(control_plane, namespace)
        operator.restart()
        rounds(operator, 2)
        assert _writes(control_plane, namespace) == writes
        assert namespace.versions() == versions
        assert [event["message"] for event in namespace.events("ChildRewritten")] == rewritten
        # What stays: the restart, and the label of the object itself.
        burst = namespace.get("Deployment", "c-api-burst")
        assert burst is not None
        assert burst["metadata"]["labels"]["team"] == "food"
        assert burst["spec"]["template"]["metadata"]["annotations"].items() >= RESTARTED.items()
        assert burst["metadata"]["labels"][names.LABEL_COMMUNITY] == "c"
