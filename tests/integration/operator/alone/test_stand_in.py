"""`make run`: the operator of the checkout works in the place of the cluster's own, which is put back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.integration.operator.client import ROOT, Client
from tests.integration.operator.controlplane import ControlPlane, free_port
from tests.integration.operator.namespace import Namespace
from tests.waiting import eventually

from bapsang_local import stand_in
from bapsang_operator.kinds import BY_NAME, LEASE

DEPLOYMENT = BY_NAME["Deployment"]
LABELS = dict([stand_in.SELECTOR.split("=")])


class Cluster:
    """A namespace with an operator of its own, as the chart installs it: its pods run nowhere."""

    def __init__(self, client: Client, namespace: Namespace) -> None:
        self.client, self.namespace = client, namespace
        environment = [
            {"name": "BAPSANG_RESYNC_SECONDS", "value": "7"},
            {"name": "BAPSANG_ADMIN_PORT", "value": "9000"},
            {"name": "BAPSANG_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ]
        container = {
            **{"name": "operator", "image": "bapsang/operator:0.1.0", "env": environment},
            "args": ["run", f"--namespace={namespace.name}"],
        }
        template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
        spec = {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": template}
        metadata = {"name": "bapsang-operator", "namespace": namespace.name, "labels": LABELS}
        assert client.create(DEPLOYMENT, {"metadata": metadata, "spec": spec}).is_success

    def replicas(self) -> tuple[int, str | None]:
        """Return how many there are to be, and what is noted of before."""
        found = self.client.get(DEPLOYMENT, self.namespace.name, "bapsang-operator")
        assert found is not None
        return found["spec"]["replicas"], found["metadata"].get("annotations", {}).get(stand_in.BEFORE)

    def holder(self) -> str:
        lease = self.client.get(LEASE, self.namespace.name, "bapsang-operator") or {}
        return str(lease.get("spec", {}).get("holderIdentity", ""))


@pytest.fixture
def cluster(client: Client, namespace: Namespace) -> Iterator[Cluster]:
    found = Cluster(client, namespace)
    yield found
    client.delete(DEPLOYMENT, namespace.name, "bapsang-operator")


@pytest.fixture
def kubeconfig(control_plane: ControlPlane, tmp_path: Path) -> Path:
    """As the user's own: the cluster is that of its current context, and a program gives the token."""
    config = yaml.safe_load(control_plane.admin.read_text())
    token = config["users"][0]["user"]["token"]
    version = "client.authentication.k8s.io/v1beta1"
    program = tmp_path / "get-token"
    answer = f'{{"apiVersion": "{version}", "kind": "ExecCredential", "status": {{"token": "{token}"}}}}'
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    config["users"][0]["user"] = {"exec": {"apiVersion": version, "command": str(program)}}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def running(cluster: Cluster, kubeconfig: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    # Also a killed run before this one: three replicas are to come back.
    note = {"metadata": {"annotations": {stand_in.BEFORE: "3"}}, "spec": {"replicas": 0}}
    cluster.client.patch(DEPLOYMENT, cluster.namespace.name, "bapsang-operator", note)
    environment = {
        **os.environ,
        "KUBECONFIG": f"{kubeconfig}:{tmp_path}/none",
        "BAPSANG_HOME": str(tmp_path),
        "BAPSANG_ADMIN_PORT": str(free_port()),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "manifests/local"), str(ROOT / "operator")]),
    }
    command = [sys.executable, "-m", "bapsang_local", "run"]
    log = (tmp_path / "run.log").open("w+")
    with subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True, start_new_session=True) as found:
        yield found
        if found.poll() is None:
            found.terminate()
    log.close()


def test_operator_of_the_checkout_stands_in_until_ctrl_c(
    cluster: Cluster, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    said = tmp_path / "run.log"
    eventually(lambda: cluster.holder() or running.poll() is not None, 60, "it leads")
    assert running.poll() is None, said.read_text()
    assert cluster.replicas() == (0, "3")
    cluster.namespace.community()
    eventually(lambda: cluster.namespace.get("StatefulSet", "c-mysql"), 30, "a child")
    # Twice, as people do, to the whole group, as a terminal does.
    for _ in range(2):
        os.killpg(running.pid, signal.SIGINT)
    assert running.wait(60) == 0, said.read_text()
    assert cluster.replicas() == (3, None)
    assert cluster.holder() == "", "the Lease is given back"
    assert "is scaled from 3 to 0 meanwhile" in said.read_text()


def test_operator_that_cannot_start_leaves_the_cluster_s_own(
    cluster: Cluster, kubeconfig: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "BAPSANG_HOME": str(tmp_path), "BAPSANG_WORKERS": "0"}
    paths = os.pathsep.join([str(ROOT / "manifests/local"), str(ROOT / "operator")])
    ended = subprocess.run(
        [sys.executable, "-m", "bapsang_local", "run"],
        env={**environment, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2, ended.stderr
    assert "BAPSANG_WORKERS" in ended.stderr
    assert cluster.replicas() == (2, None)


def test_without_a_cluster_nothing_is_guessed(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if name != "KUBECONFIG"}
    paths = str(ROOT / "manifests/local")
    ended = subprocess.run(
        [sys.executable, "-m", "bapsang_local", "run"],
        env={**environment, "PYTHONPATH": paths, "BAPSANG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "No local cluster runs." in ended.stderr
