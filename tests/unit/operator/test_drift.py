"""What others add to a child is seen and can be taken off; defaults, counts, restarts and webhooks are left alone."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.planning import drift

from .fake_kube import patched
from .world import Cluster, community

UP = Cluster(community())
UP.bring_up()
POD = ("template", "spec")


def _set(node: Any, path: tuple[Any, ...], value: Any) -> None:
    for step in path[:-1]:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    if path[-1] == "+":
        node.append(value)
    else:
        node[path[-1]] = value


def _edited(key: Key, path: tuple[Any, ...], value: Any, owned: Manifest | None) -> Manifest:
    """Return a live child after an edit; `owned` is what the editor's entry in managedFields holds of the spec."""
    live = copy.deepcopy(UP.live[key])
    live["metadata"]["resourceVersion"] = "7"
    _set(live["spec"], path, value)
    if owned is not None:
        entry = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": owned}}
        live["metadata"]["managedFields"] = [entry]
    return live


BASE, SERVICE = Key("Deployment", "ns", "c-api-base"), Key("Service", "ns", "c-mysql")
POLICY, CRON = Key("NetworkPolicy", "ns", "c-mysql"), Key("CronJob", "ns", "c-like-sync")
CONTAINERS: tuple[Any, ...] = (*POD, "containers")
SIDECAR = {"name": "spy", "image": "evil"}


def _in_pod(owned: Manifest) -> Manifest:
    return {"f:template": {"f:spec": owned}}


#: Edit, what it is known by, and whether who owns it matters.
ADDED: dict[str, tuple[Key, tuple[Any, ...], Any, Manifest, str]] = {
    "peer widened": (POLICY, ("ingress", 0, "from", 0, "namespaceSelector"), {}, {"f:ingress": {}}, "spec.ingress[0]"),
    "end port": (POLICY, ("ingress", 0, "ports", 0, "endPort"), 9999, {"f:ingress": {}}, "spec.ingress[0]"),
    "second rule": (POLICY, ("ingress", "+"), {}, {"f:ingress": {}}, "spec.ingress"),
    "way out": (POLICY, ("egress",), [{}], {"f:egress": {}}, "spec.egress"),
    "external address": (SERVICE, ("externalIPs",), ["192.0.2.1"], {"f:externalIPs": {}}, "spec.externalIPs"),
    "source ranges": (SERVICE, ("loadBalancerSourceRanges",), ["0.0.0.0/0"], {}, "spec.loadBalancerSourceRanges"),
    "affinity": (SERVICE, ("sessionAffinity",), "ClientIP", {}, "spec.sessionAffinity"),
    "second port": (SERVICE, ("ports", "+"), {"port": 22, "protocol": "TCP"}, {}, "spec.ports[22/TCP]"),
    "pause": (BASE, ("paused",), True, {"f:paused": {}}, "spec.paused"),
    "host network": (
        BASE,
        (*POD, "hostNetwork"),
        True,
        _in_pod({"f:hostNetwork": {}}),
        "spec.template.spec.hostNetwork",
    ),
    "container": (
        BASE,
        (*CONTAINERS, "+"),
        SIDECAR,
        _in_pod({"f:containers": {'k:{"name":"spy"}': {".": {}, "f:image": {}, "f:name": {}}}}),
        "spec.template.spec.containers[spy]",
    ),
    "variable": (
        BASE,
        (*CONTAINERS, 0, "env", "+"),
        {"name": "PYTHONPATH", "value": "/evil"},
        _in_pod({"f:containers": {'k:{"name":"api"}': {"f:env": {'k:{"name":"PYTHONPATH"}': {"f:value": {}}}}}}),
        "spec.template.spec.containers[api].env[PYTHONPATH]",
    ),
    "privilege": (
        BASE,
        (*CONTAINERS, 0, "securityContext", "privileged"),
        True,
        _in_pod({"f:containers": {'k:{"name":"api"}': {"f:securityContext": {"f:privileged": {}}}}}),
        "spec.template.spec.containers[api].securityContext.privileged",
    ),
    "toleration within the list": (
        BASE,
        (*POD, "tolerations", 0, "value"),
        "x",
        _in_pod({"f:tolerations": {}}),
        "spec.template.spec.tolerations[0].value",
    ),
    "label of pods": (
        BASE,
        ("template", "metadata", "labels", "app"),
        "other",
        {"f:template": {"f:metadata": {"f:labels": {"f:app": {}}}}},
        "spec.template.metadata.labels.app",
    ),
    "host network of a job": (
        CRON,
        ("jobTemplate", "spec", "template", "spec", "hostPID"),
        True,
        {"f:jobTemplate": {"f:spec": {"f:template": {"f:spec": {"f:hostPID": {}}}}}},
        "spec.jobTemplate.spec.template.spec.hostPID",
    ),
}


@pytest.mark.parametrize("case", ADDED)
def test_addition_is_seen_and_what_takes_it_off_takes_off_nothing_else(case: str) -> None:
    key, path, value, owned, text = ADDED[case]
    live = _edited(key, path, value, owned)
    found = drift.deviations(UP.applied[key], live)
    assert len(found) == 1, found
    assert found[0].text.startswith(text)
    cluster = copy.deepcopy(UP)
    cluster.live[key] = live
    (apply,) = cluster.plan().applies
    assert apply.fields == (found[0].text,)
    if not found[0].added:
        return  # by force: the apiserver takes such a list whole
    patch = drift.removal(live, found)
    assert patch["metadata"] == {"resourceVersion": "7"}
    assert patched(live["spec"], patch["spec"]) == UP.live[key]["spec"]
    assert drift.differing_fields(UP.applied[key], live, drift.as_baseline(found)) == []


@pytest.mark.parametrize("case", [name for name, row in ADDED.items() if row[0] in {POLICY, SERVICE}])
def test_addition_to_policy_or_service_is_seen_whoever_owns_it(case: str) -> None:
    key, path, value, _, text = ADDED[case]
    (found,) = drift.deviations(UP.applied[key], _edited(key, path, value, None))
    assert found.text.startswith(text)


LEFT_ALONE: dict[str, tuple[Key, tuple[Any, ...], Any, Manifest | None]] = {
    "default": (BASE, (*POD, "dnsPolicy"), "ClusterFirst", None),
    "addition of a webhook": (BASE, (*CONTAINERS, "+"), SIDECAR, None),
    "rollout restart": (
        BASE,
        ("template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"),
        "2026-11-23T10:00:00Z",
        {"f:template": {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}}},
    ),
    "restart of a job's pods": (
        CRON,
        ("jobTemplate", "spec", "template", "metadata", "annotations"),
        {"a": "b"},
        {"f:jobTemplate": {"f:spec": {"f:template": {"f:metadata": {"f:annotations": {".": {}, "f:a": {}}}}}}},
    ),
    "count of the autoscaler": (
        Key("Deployment", "ns", "c-api-burst"),
        ("replicas",),
        7,
        {"f:replicas": {}},
    ),
    "address of a Service": (SERVICE, ("clusterIP",), "10.0.0.1", None),
    "addresses of a Service": (SERVICE, ("clusterIPs",), ["10.0.0.1"], None),
    "traffic policy by default": (SERVICE, ("internalTrafficPolicy",), "Cluster", None),
    "volume of a claim": (
        Key("PersistentVolumeClaim", "ns", "c-mysql"),
        ("volumeName",),
        "pv-1",
        {"f:volumeName": {}},
    ),
    "what is gone again": (BASE, ("progressDeadlineSeconds",), 300, {"f:paused": {}}),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_others_may_add_is_left_alone(case: str) -> None:
    key, path, value, owned = LEFT_ALONE[case]
    assert drift.deviations(UP.applied[key], _edited(key, path, value, owned)) == []


def _keyed(name: str, *items: Manifest) -> Manifest:
    """Return what managedFields hold of the items of a list that was edited by hand."""
    return {f"f:{name}": {f"k:{json.dumps(item)}": {} for item in items}}


UDP, TCP = {"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}
POD_UDP, POD_TCP = {"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}
SPREAD = [{"topologyKey": "rack", "whenUnsatisfiable": when} for when in ("DoNotSchedule", "ScheduleAnyway")]


@pytest.mark.parametrize(
    ("key", "path", "items", "owned"),
    [
        (SERVICE, ("ports",), [TCP, UDP], {}),
        (
            BASE,
            (*CONTAINERS, 0, "ports"),
            [POD_TCP, POD_UDP],
            _in_pod({"f:containers": {'k:{"name":"api"}': _keyed("ports", POD_TCP, POD_UDP)}}),
        ),
        (
            BASE,
            (*POD, "topologySpreadConstraints"),
            SPREAD,
            _in_pod(_keyed("topologySpreadConstraints", *SPREAD)),
        ),
    ],
)
def test_additions_that_differ_in_their_second_key_alone_are_all_taken_off(
    key: Key, path: tuple[Any, ...], items: list[Manifest], owned: Manifest
) -> None:
    live = _edited(key, (*path, "+"), items[0], owned)
    _set(live["spec"], (*path, "+"), items[1])
    found = drift.deviations(UP.applied[key], live)
    assert len(found) == len({one.text for one in found}) == 2
    assert patched(live["spec"], drift.removal(live, found)["spec"]) == UP.live[key]["spec"]
    # One of them in the baseline excuses the other one at no time.
    baseline = drift.as_baseline(found[:1])
    assert drift.differing_fields(UP.applied[key], live, baseline) == [found[1].text]


def test_metadata_of_others_stays_and_their_scaling_and_status_own_no_spec() -> None:
    live = copy.deepcopy(UP.live[BASE])
    live["metadata"]["labels"]["team"] = "food"
    live["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = "3"
    live["spec"]["paused"] = True
    fields = {"f:spec": {"f:paused": {}}}
    live["metadata"]["managedFields"] = [
        {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": fields},
        {"manager": "bapsang-operator", "operation": "Apply", "fieldsV1": fields},
    ]
    assert drift.deviations(UP.applied[BASE], live) == []


def test_baseline_excuses_one_value_and_no_other() -> None:
    live = copy.deepcopy(UP.live[BASE])
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "mirror.example.com/bapsang/api:0.1.0"
    baseline = drift.as_baseline(drift.deviations(UP.applied[BASE], live))
    assert drift.differing_fields(UP.applied[BASE], live, baseline) == []
    cluster = copy.deepcopy(UP)
    cluster.live[BASE] = live
    assert cluster.plan(baselines={BASE: baseline}).applies == []
    container["image"] = "evil"
    assert drift.differing_fields(UP.applied[BASE], live, baseline) == ["spec.template.spec.containers[api].image"]
    assert len(cluster.plan(baselines={BASE: baseline}).applies) == 1


IMAGE = ("template", "spec", "containers", 0, "image")
OWN_IMAGE: Manifest = {
    "manager": "bapsang-operator",
    "operation": "Apply",
    "fieldsV1": {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"api"}': {".": {}, "f:image": {}}}}}},
    },
}


def _with_image(image: str, *managers: Manifest) -> Manifest:
    live = _edited(BASE, IMAGE, image, None)
    live["metadata"]["managedFields"] = list(managers)
    return live


@pytest.mark.parametrize(
    ("live", "applied", "is_webhook"),
    [
        # A webhook that rewrites on every write: the dry run shows it, whoever wrote last.
        (_with_image("mirror/api"), _with_image("mirror/api"), True),
        # One that does so on creation only: the field is still ours as applied.
        (_with_image("mirror/api", OWN_IMAGE), _with_image("bapsang/api:0.1.0"), True),
        # An edit: an apply would change it.
        (_with_image("evil/api"), _with_image("bapsang/api:0.1.0"), False),
        # An edit of what a webhook rewrites as well.
        (_with_image("mirror/evil/api"), _with_image("mirror/api"), False),
    ],
)
def test_after_a_restart_dry_runs_and_owners_tell_a_webhook_from_an_edit(
    live: Manifest, applied: Manifest, is_webhook: bool
) -> None:
    baseline = drift.learned(UP.applied[BASE], live, applied, None)
    assert (drift.differing_fields(UP.applied[BASE], live, baseline) == []) is is_webhook


@pytest.mark.parametrize(
    ("case", "cleaned", "is_webhook"),
    [
        ("way out", "gone", False),
        ("way out", "back", True),
        ("way out", "refused", False),
        ("external address", "gone", False),
        ("external address", "back", True),
        ("external address", "refused", False),
        ("container", "gone", False),
        ("container", "back", True),
    ],
)
def test_after_a_restart_an_addition_is_a_webhooks_when_it_comes_back(
    case: str, cleaned: str, is_webhook: bool
) -> None:
    key, path, value, owned, _ = ADDED[case]
    live = _edited(key, path, value, owned)
    would_be = {"gone": UP.live[key], "back": live, "refused": None}[cleaned]
    baseline = drift.learned(UP.applied[key], live, live, would_be)
    assert (drift.differing_fields(UP.applied[key], live, baseline) == []) is is_webhook


def test_unowned_addition_counts_as_a_webhooks_except_to_a_network_policy() -> None:
    for case, trusted in (("external address", True), ("way out", False)):
        key, path, value, _, _ = ADDED[case]
        live = _edited(key, path, value, None)
        baseline = drift.learned(UP.applied[key], live, live, UP.live[key])
        assert (drift.differing_fields(UP.applied[key], live, baseline) == []) is trusted


def test_fields_and_additions_are_put_right_in_one_patch_where_one_needs_the_other() -> None:
    live = _edited(SERVICE, ("loadBalancerSourceRanges",), ["0.0.0.0/0"], {"f:loadBalancerSourceRanges": {}})
    live["spec"] |= {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}
    live["spec"]["ports"][0]["targetPort"] = 1
    live["spec"]["ports"].append({"port": 22, "protocol": "TCP"})
    found = drift.deviations(UP.applied[SERVICE], live)
    patch = drift.removal(live, [one for one in found if one.added], UP.applied[SERVICE])
    assert patch["spec"]["loadBalancerSourceRanges"] is None
    assert patched(live["spec"], patch["spec"]) == UP.live[SERVICE]["spec"] | {"clusterIP": "10.0.0.1"}
