"""A control plane on which Kubernetes' own controllers and scheduler act; nodes are nothing but objects.

All modules of a run share it. A test has a namespace and nodes of its own and takes its pods and nodes away again:
what is left would take the next test's room.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bapsang_operator.kinds import BY_NAME, NODE, POD, Kind

from .client import NAMESPACE, Client, Object, client_of, install_crd
from .controlplane import COLLECTORS, ControlPlane, process, programs, running

CONTROLLERS = (
    *COLLECTORS,
    *("deployment-controller", "replicaset-controller", "job-controller", "disruption-controller"),
    "horizontal-pod-autoscaler-controller",
)
#: A round of the autoscaler a second, and what just started counts at once.
OPTIONS = (
    "--horizontal-pod-autoscaler-sync-period=1s",
    "--horizontal-pod-autoscaler-cpu-initialization-period=0s",
    "--horizontal-pod-autoscaler-initial-readiness-delay=0s",
)
MAKERS = (
    *(BY_NAME[name] for name in ("HorizontalPodAutoscaler", "Deployment", "Job")),
    Kind("ReplicaSet", "apps", "v1", "replicasets"),
)
ROOM = {"cpu": "8", "memory": "16Gi", "pods": "50"}
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[ControlPlane]:
    """Run the control plane with controllers and scheduler, without a node."""
    found = programs()
    assert found is not None

    def prepare(kubeconfig: Path) -> None:
        with client_of(kubeconfig) as admin:
            install_crd(admin)

    with running(found, folder, prepare, CONTROLLERS, OPTIONS) as plane:
        scheduler = [str(found.kube), "kube-scheduler", f"--kubeconfig={plane.admin}"]
        with process("scheduler", [*scheduler, "--leader-elect=false", "--secure-port=0"], folder):
            yield plane


@dataclass
class Site:
    """A namespace and nodes of a test's own on the cluster."""

    client: Client
    name: str = field(default_factory=lambda: f"test-{secrets.token_hex(4)}")
    nodes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.client.create(NAMESPACE, {"metadata": {"name": self.name}}).is_success

    def node(self, name: str, zone: str, labels: dict[str, str], *taints: Object, room: Object = ROOM) -> str:
        """Make a node without a kubelet that pods can be bound to."""
        metadata = {"name": name, "labels": {HOST: name, ZONE: zone, **labels}}
        answer = self.client.create(NODE, {"metadata": metadata})
        assert answer.is_success, answer.text
        self.nodes.append(name)
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        self.client.patch(NODE, None, name, {"status": status}, "/status")
        # New nodes are tainted until a controller has seen that they are ready.
        self.client.patch(NODE, None, name, {"spec": {"taints": list(taints)}})
        return name

    def leave(self) -> None:
        """Delete what makes pods, then all pods, which no kubelet would end, and the nodes.

        The namespace goes with the apiserver: its deletion would ask for objects of every kind.
        """
        for kind in MAKERS:
            self.client.delete_all(kind, self.name)
        self.client.delete_all(POD, self.name, gracePeriodSeconds="0")
        for node in self.nodes:
            self.client.delete(NODE, None, node)
