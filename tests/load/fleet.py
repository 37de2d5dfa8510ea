"""A cluster of fake nodes for measurements: a control plane with the real scheduler and controllers, kubelets by kwok.

Everything that decides where pods go and how many there are is the real thing; only the machines are missing.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.operator.client import Client, client_of, grant, install_crd
from tests.integration.operator.controlplane import ControlPlane, process, programs, running
from tests.integration.operator.namespace import Namespace
from tests.waiting import eventually

from bapsang_local import programs as built
from bapsang_local.settings import from_environment
from bapsang_operator import names
from bapsang_operator.kinds import POD, SECRET, Kind

NODE = Kind("Node", "", "v1", "nodes")
ZONES = ("ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c")
ARCHES = ("arm64", "amd64")
#: One node in this many is on demand, as in an estate whose floor is small and whose peak is spot.
ON_DEMAND_EVERY = 4
_CONTROLLERS = (
    *("garbage-collector-controller", "namespace-controller", "pod-garbage-collector-controller"),
    *("deployment-controller", "replicaset-controller", "statefulset-controller", "job-controller"),
    *("cronjob-controller", "horizontal-pod-autoscaler-controller", "disruption-controller"),
    *("endpointslice-controller", "node-lifecycle-controller", "taint-eviction-controller"),
    "persistentvolume-binder-controller",
)
_STAGES = (
    *("node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease"),
    *("pod/fast/pod-ready", "pod/fast/pod-complete"),
)
_END = "pod/fast/pod-delete"


@dataclass
class Fleet:
    """A running cluster; `folder` holds the logs of its programs."""

    plane: ControlPlane
    client: Client
    folder: Path

    def add_nodes(self, count: int) -> None:
        """Create nodes of every zone, architecture and capacity, and wait until they are ready."""
        for number in range(count):
            answer = self.client.create(NODE, node(number))
            assert answer.is_success, answer.text

        def ready() -> bool:
            return sum(_is_ready(one) for one in self.client.raw("/api/v1/nodes")["items"]) == count

        eventually(ready, 120, "all nodes are ready")

    def nodes(self) -> dict[str, dict[str, str]]:
        """Return the labels of all nodes by name."""
        found = self.client.raw("/api/v1/nodes")["items"]
        return {one["metadata"]["name"]: one["metadata"]["labels"] for one in found}

    def pods(self, namespace: str) -> list[dict[str, Any]]:
        return self.client.list(POD, namespace)


@contextlib.contextmanager
def standing(folder: Path, end: Path | None = None) -> Iterator[Fleet]:
    """Run the cluster, without a node. Builds kwok when the cache has none.

    Pods that are deleted end at once, or as a stage of kwok's in the file `end` says.
    """
    found = programs()
    if found is None:
        sys.exit("etcd and kube are not there: run `make up` first.")
    settings = from_environment()
    kwok, row = built.on_host("kwok", settings), built.table()["kwok"]
    # What its fake kubelets do is not in the program, but lies beside its sources.
    stages = built.module_folder(row.module, row.version, settings) / "kustomize" / "stage"
    files = [*(stages / f"{one}.yaml" for one in _STAGES), end or stages / f"{_END}.yaml"]
    configs = [f"--config={file}" for file in files]

    def prepare(kubeconfig: Path) -> None:
        with client_of(kubeconfig) as admin:
            install_crd(admin)

    with contextlib.ExitStack() as stack:
        plane = stack.enter_context(running(found, folder, prepare, _CONTROLLERS))
        client = stack.enter_context(client_of(plane.admin))
        grant(client)
        config = f"--kubeconfig={plane.admin}"
        scheduler = [str(found.kube), "kube-scheduler", config, "--leader-elect=false", "--secure-port=0"]
        stack.enter_context(process("scheduler", scheduler, folder))
        kubelets = [str(kwok), config, *configs, "--manage-all-nodes", "--node-lease-duration-seconds=40"]
        stack.enter_context(process("kwok", kubelets, folder))
        yield Fleet(plane, client, folder)


def node(number: int) -> dict[str, Any]:
    """Return a node of two cores and four GiB; each combination of zone, architecture and capacity comes in turn."""
    place, turn = divmod(number, len(ZONES))
    turns, arch = divmod(place, len(ARCHES))
    is_spot = turns % ON_DEMAND_EVERY != 0
    name = f"node-{number}"
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": ARCHES[arch],
        "topology.kubernetes.io/zone": ZONES[turn],
        names.SPOT_NODE_LABEL: names.SPOT_NODE_VALUE if is_spot else "ON_DEMAND",
    }
    room = {"cpu": "2", "memory": "4Gi", "pods": "29"}
    taint = {"key": names.SPOT_TAINT, "value": "spot", "effect": "NoSchedule"}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [taint] if is_spot else []},
        "status": {"capacity": room, "allocatable": room},
    }


def community(fleet: Fleet, **spec: Any) -> Namespace:
    """Create a Community whose database and Redis are elsewhere, in a namespace of its own."""
    namespace = Namespace(fleet.client)
    url = {"metadata": {"name": "w", "namespace": namespace.name}, "stringData": {"url": "mysql+pymysql://a@db/b"}}
    answer = fleet.client.create(SECRET, url)
    assert answer.is_success, answer.text
    stores = {
        "redis": {"mode": "external", "url": "redis://cache.example.com:6379/0"},
        "database": {"mode": "external", "writerSecretRef": {"name": "w"}},
    }
    namespace.community(host=f"{namespace.name}.example.com", **stores, **spec)
    return namespace


def is_settled(namespace: Namespace) -> bool:
    """Tell whether a Community serves, runs what its spec says and has the pods that its autoscaler wants."""
    found = namespace.get("Community", "c") or {}
    told = {one["type"]: (one["status"], one["reason"]) for one in found.get("status", {}).get("conditions", ())}
    if told.get("Ready") != ("True", "Serving") or told.get("Progressing") != ("False", "UpToDate"):
        return False
    scaler = namespace.get("HorizontalPodAutoscaler", names.api_burst("c")) or {"spec": {"minReplicas": -1}}
    counts = found["status"]["replicas"]
    return bool(counts["burst"] >= scaler["spec"]["minReplicas"])


def until(settled: Any, seconds: float, what: str) -> float:
    """Wait until something is so, looking once a second, and return the seconds that it took."""
    begun = time.monotonic()
    while not settled():
        if time.monotonic() - begun > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(1)
    return time.monotonic() - begun


def rest(seconds: float) -> None:
    """Let time pass."""
    time.sleep(seconds)


def _is_ready(found: dict[str, Any]) -> bool:
    conditions = found.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
