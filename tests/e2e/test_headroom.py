"""Placeholder pods keep place, and burst pods get it at once when the nodes are full."""

from __future__ import annotations

import json

from .conftest import API, Community, eventually
from .reading import Reader

WORKERS = ("bapsang-worker", "bapsang-worker2")


def _millicores(quantity: str) -> int:
    return int(quantity[:-1]) if quantity.endswith("m") else int(float(quantity) * 1000)


def _free(reader: Reader, node: str) -> int:
    """Return the CPU of a node that no pod has asked for, in millicores. No pod of it may be about to go."""
    found = reader.get("node", node)
    pods = reader.items("pods", fields=f"spec.nodeName={node}")
    assert not [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" in pod["metadata"]]
    asked = sum(
        _millicores(container["resources"].get("requests", {}).get("cpu", "0"))
        for pod in pods
        if pod["status"]["phase"] in {"Pending", "Running"}
        for container in pod["spec"]["containers"]
    )
    return _millicores(found["status"]["allocatable"]["cpu"]) - asked


def _fill(community: Community, node: str, millicores: int) -> None:
    """Let a pod of the test's own ask for that much of a node's CPU."""
    container = {
        "name": "ballast",
        "image": community.get("community")["spec"]["image"],
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": f"{millicores}m"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "nodeName": node,
        "containers": [container],
        "securityContext": security,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
    }
    labels = {"bapsang.dev/test": "ballast"}
    metadata = {"name": f"ballast-{node}", "namespace": community.namespace, "labels": labels}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    community.cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(pod).encode())


def _running(community: Community, component: str, tier: str = "") -> list[str]:
    more = f",bapsang.dev/tier={tier}" if tier else ""
    pods = community.reader.items("pods", community.namespace, labels=f"app.kubernetes.io/component={component}{more}")
    return [
        pod["metadata"]["name"]
        for pod in pods
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


def test_burst_pods_take_the_place_of_placeholders_when_the_nodes_are_full(own: Community, reader: Reader) -> None:
    before = own.get("community")["spec"]["api"]["burst"]
    own.patch({"api": {"burst": {"minReplicas": 1, "maxReplicas": 1}}})
    own.wait_ready()
    # Pods of the tests before this one still drain on some worker, and where the others went is chance.
    free = eventually(lambda: {node: _free(reader, node) for node in WORKERS}, 120, what="no pod is about to go")
    freer = max(free, key=lambda node: free[node])
    least = min(free.values())
    if free[freer] > least:
        _fill(own, freer, free[freer] - least)
    # So large that each worker has room for one of them and no more, also when runs of jobs that were counted have ended.
    large = least // 2 + 150
    assert large < least, f"the workers have {free} millicores left"
    burst = {"minReplicas": 1, "maxReplicas": 2, "headroom": 1, "resources": {"requests": {"cpu": f"{large}m"}}}
    own.patch({"api": {"burst": burst}})
    own.wait_ready()
    (placeholder,) = eventually(lambda: _running(own, "headroom"), 60, what="the placeholder has its place")
    assert len(_running(own, "api", "burst")) == 1

    own.patch({"api": {"burst": {"minReplicas": 2}}})
    eventually(lambda: len(_running(own, "api", "burst")) == 2, 60, what="the second burst pod has its place")
    assert placeholder not in _running(own, "headroom"), "it gave way"
    assert own.condition("Degraded")["status"] == "False", "a placeholder that waits is no problem"

    own.cluster.kubectl("delete", "pods", "-n", own.namespace, "-l", "bapsang.dev/test=ballast", "--wait=false")
    own.patch(
        {"api": {"burst": {**API["burst"], "headroom": before.get("headroom"), "resources": before.get("resources")}}}
    )
    eventually(
        lambda: not reader.items("pods", own.namespace, labels="app.kubernetes.io/component=headroom"),
        60,
        what="no placeholder is left",
    )
    own.wait_ready()
