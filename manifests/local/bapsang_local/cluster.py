"""The kind cluster: a control plane, an on-demand worker in zone a and a spot worker in zone c, like EKS node groups."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from . import preflight, programs, shell
from .docker import Engine
from .failure import Failure
from .from_packages import network, node_image
from .progress import say, step
from .settings import CLUSTER, Settings

POD_SUBNET = "10.244.0.0/16"
SERVICE_SUBNET = "10.96.0.0/16"
INGRESS_NODE_PORT = 30080
READY_SECONDS = 180
SPOT_TAINT = {"key": "bapsang.dev/capacity", "value": "spot", "effect": "NoSchedule"}
#: The nodes, by the names that kind gives them in the order of `_config`, and their sorts in `parts.toml`.
SORTS = {f"{CLUSTER}-control-plane": "control-plane", f"{CLUSTER}-worker": "on-demand", f"{CLUSTER}-worker2": "spot"}
TEST_LABEL = "dev.bapsang.test=1"  # on every container that a test starts
MARKER = "/var/lib/bapsang-images.json"  # on each node: which image id each name was loaded from


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that can be talked to. `context` is None for the kind cluster of this tool."""

    engine: Engine
    settings: Settings
    kubectl_path: Path
    context: str | None = None

    def kubectl(self, *arguments: str | Path, input: bytes | None = None, timeout: float = 120) -> str:
        """Run `kubectl` against this cluster and return what it prints. Raises Failure."""
        return shell.output(self._command(*arguments), env=self._environment(), input=input, timeout=timeout)

    def kubectl_tries(self, *arguments: str | Path, input: bytes | None = None, timeout: float = 120) -> bool:
        command = self._command(*arguments)
        return shell.attempt(command, env=self._environment(), input=input, timeout=timeout).returncode == 0

    def helm(self, *arguments: str | Path, timeout: float = 300) -> str:
        """Run `helm` against this cluster. Raises Failure."""
        selected = ["--kube-context", self.context] if self.context else []
        command = [programs.on_host("helm", self.settings), *arguments, *selected]
        return shell.output(command, env=self._environment(), timeout=timeout)

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the items of `kubectl get ARGUMENTS`."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]
        return found

    @contextmanager
    def forwarded(self, namespace: str, target: str, port: int) -> Iterator[int]:
        """Forward a port of this machine to `port` of `target` (`service/name`) and yield its number. Raises Failure."""
        with self.following("port-forward", "-n", namespace, target, f":{port}") as process:
            line = cast(TextIO, process.stdout).readline()  # ends when the process does
            found = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ", line)
            if not found:
                raise Failure(f"{target} in namespace {namespace} cannot be reached: {line.strip()}")
            yield int(found[1])

    @contextmanager
    def following(self, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
        """Run a `kubectl` that does not end by itself, yield it, and end it. A thread that reads it ends it first."""
        with subprocess.Popen(
            [str(word) for word in self._command(*arguments)],
            env={**os.environ, **self._environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.terminate()

    def _command(self, *arguments: str | Path) -> list[str | Path]:
        selected = ["--context", self.context] if self.context else []
        return [self.kubectl_path, *selected, *arguments]

    def _environment(self) -> dict[str, str]:
        return {} if self.context else {"KUBECONFIG": str(self.settings.kubeconfig)}


def ensure(engine: Engine, settings: Settings, kubectl: Path, image: str) -> Cluster:
    """Return the running cluster: the one that is there, started again after a crash or a reboot, or a new one."""
    cluster = Cluster(engine, settings, kubectl)
    nodes = _nodes(engine)
    if nodes and _usable(cluster, nodes, image):
        return cluster
    if nodes:
        say("The cluster that is there cannot be used any more: making a new one.")
    delete(engine, settings)
    _create(cluster, image)
    return cluster


def delete(engine: Engine, settings: Settings) -> None:
    """Remove the cluster's containers, its network and its kubeconfig."""
    if containers := _nodes(engine):
        with step("cluster removed"):
            engine.docker("rm", "--force", "--volumes", *containers, timeout=180)
    if not engine.docker("ps", "--all", "--quiet", "--filter", "label=io.x-k8s.kind.cluster").split():
        engine.tries("network", "rm", "kind")
    settings.kubeconfig.unlink(missing_ok=True)


def delete_test_containers(engine: Engine) -> None:
    """Remove the containers of test runs that were killed before they could do it."""
    if left := engine.docker("ps", "--all", "--quiet", "--filter", f"label={TEST_LABEL}").split():
        with step(f"{len(left)} containers of tests removed"):
            engine.docker("rm", "--force", "--volumes", *left, timeout=180)


def load(cluster: Cluster, exact: dict[str, str], wanted: dict[str, tuple[str, ...]]) -> None:
    """Load images onto the nodes that lack them. `wanted` maps image name to sorts of nodes; `exact` renames the project's own."""
    engine = cluster.engine
    ids = {
        exact.get(name, name): engine.docker("image", "inspect", "--format", "{{.Id}}", name).strip() for name in wanted
    }
    groups: dict[tuple[str, ...], list[str]] = {}
    for node in _nodes(engine):
        have = _marker(engine, node)
        fits = {exact.get(name, name) for name, sorts in wanted.items() if SORTS[node] in sorts}
        missing = tuple(sorted(name for name in fits if have.get(name) != ids[name]))
        if missing:
            groups.setdefault(missing, []).append(node)
    for missing, nodes in groups.items():
        archive = cluster.settings.home / "load.tar"
        with step(f"{len(missing)} images loaded onto {', '.join(nodes)}"):
            engine.save(archive, *missing)
            command: list[str | Path] = [
                programs.on_host("kind", cluster.settings),
                "load",
                "image-archive",
                archive,
                "--name",
                CLUSTER,
                "--nodes",
                ",".join(nodes),
            ]
            shell.output(command, env=engine.environment(), timeout=900)
            archive.unlink()
            for node in nodes:
                loaded = {**_marker(engine, node), **{name: ids[name] for name in missing}}
                engine.docker("exec", "-i", node, "sh", "-c", f"cat > {MARKER}", input=json.dumps(loaded).encode())


def _create(cluster: Cluster, image: str) -> None:
    settings = cluster.settings
    bare = node_image.is_bare(image, cluster.engine)
    config = settings.home / "kind.json"
    config.write_text(json.dumps(_config(image, settings, bare=bare), indent=1))
    kind = programs.on_host("kind", settings)
    command: list[str | Path] = [kind, "create", "cluster", "--config", config, "--kubeconfig", settings.kubeconfig]
    with step("kind cluster created"):
        shell.logged(command, settings.logs / "kind.log", env=cluster.engine.environment())
        settings.kubeconfig.chmod(0o600)
    with step("nodes ready"):
        if bare:
            network.lay(cluster.engine, cluster.items("nodes"), POD_SUBNET, SERVICE_SUBNET)
        _wait_ready(cluster, READY_SECONDS)


def _usable(cluster: Cluster, nodes: list[str], image: str) -> bool:
    """Wake the nodes and tell whether the cluster works and is the one that this checkout describes."""
    engine = cluster.engine
    images = {_image(engine, node) for node in nodes}
    port = engine.docker("container", "inspect", "--format", "{{json .HostConfig.PortBindings}}", *nodes)
    if (
        nodes != sorted(SORTS)
        or images != {image}
        or f'"{cluster.settings.ingress_port}"' not in port
        or not cluster.settings.kubeconfig.exists()
    ):
        return False
    try:
        wake(cluster)
    except Failure:
        return False
    return True


def wake(cluster: Cluster) -> None:
    """Start the nodes that stand still, and wait until all are ready. Raises Failure."""
    engine = cluster.engine
    nodes = _nodes(engine)
    stopped = [node for node in nodes if not _running(engine, node)]
    if stopped:
        say(f"Nodes stand still ({', '.join(stopped)}): starting them again.")
        for node in stopped:
            engine.docker("start", node, timeout=60)
    _wait_api(cluster, 90)
    if node_image.is_bare(_image(engine, nodes[0]), engine):
        network.lay(cluster.engine, cluster.items("nodes"), POD_SUBNET, SERVICE_SUBNET)
    _wait_ready(cluster, READY_SECONDS)


def _config(image: str, settings: Settings, *, bare: bool) -> dict[str, Any]:
    """Return kind's configuration. JSON is YAML, so no YAML library is needed here."""

    def worker(zone: str, capacity: str, taints: list[dict[str, str]]) -> dict[str, Any]:
        labels = {"topology.kubernetes.io/zone": f"ap-northeast-2{zone}", "eks.amazonaws.com/capacityType": capacity}
        join = {"kind": "JoinConfiguration", "nodeRegistration": {"taints": taints}}
        return {"role": "worker", "image": image, "labels": labels, "kubeadmConfigPatches": [json.dumps(join)]}

    ingress = {"containerPort": INGRESS_NODE_PORT, "hostPort": settings.ingress_port, "listenAddress": "127.0.0.1"}
    patches = [{"kind": "KubeletConfiguration", "failSwapOn": False}]
    if bare:
        patches[0].update({"cgroupDriver": "cgroupfs", "oomScoreAdj": 0})
        patches.append({"kind": "KubeProxyConfiguration", "oomScoreAdj": 0})
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": CLUSTER,
        "networking": {
            "disableDefaultCNI": bare,
            "podSubnet": POD_SUBNET,
            "serviceSubnet": SERVICE_SUBNET,
            "apiServerAddress": "127.0.0.1",
        },
        "kubeadmConfigPatches": [json.dumps(patch) for patch in patches],
        "nodes": [
            {"role": "control-plane", "image": image, "extraPortMappings": [ingress]},
            worker("a", "ON_DEMAND", []),
            worker("c", "SPOT", [SPOT_TAINT]),
        ],
    }


def _wait_api(cluster: Cluster, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not cluster.kubectl_tries("get", "--raw", "/readyz", "--request-timeout=5s"):
        if time.monotonic() > deadline:
            raise Failure("The apiserver does not answer.")
        time.sleep(1)


def _wait_ready(cluster: Cluster, seconds: float) -> None:
    try:
        cluster.kubectl(
            "wait", "node", "--all", "--for=condition=Ready", f"--timeout={int(seconds)}s", timeout=seconds + 15
        )
    except Failure as failure:
        raise Failure(
            f"The nodes did not become ready.\n{failure.problem}",
            f"{preflight.inotify_hint()}See docs/local-cluster.md, or `make down` and again `make up`.",
        ) from failure


def _nodes(engine: Engine) -> list[str]:
    names = engine.docker("ps", "--all", "--filter", f"label=io.x-k8s.kind.cluster={CLUSTER}", "--format", "{{.Names}}")
    return sorted(names.split())


def _image(engine: Engine, node: str) -> str:
    return engine.docker("container", "inspect", "--format", "{{.Config.Image}}", node).strip()


def _running(engine: Engine, node: str) -> bool:
    return engine.docker("container", "inspect", "--format", "{{.State.Running}}", node).strip() == "true"


def _marker(engine: Engine, node: str) -> dict[str, str]:
    text = engine.docker("exec", node, "sh", "-c", f"cat {MARKER} 2>/dev/null || echo '{{}}'")
    marker: dict[str, str] = json.loads(text)
    return marker
