"""`make run`: the operator of this checkout stands in for the cluster's own, which comes back when it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import shell
from .failure import Failure
from .progress import say
from .settings import OPERATOR_NAMESPACE, OWN_VARIABLES, Settings

#: How many replicas the Deployment had: whoever comes after a run that was killed puts these back.
BEFORE = "bapsang.dev/replicas-before-run"
SELECTOR = "app.kubernetes.io/name=bapsang-operator"
#: What the pod's environment says of the pod and not of the operator.
_OF_THE_POD = frozenset({"BAPSANG_ADMIN_PORT", "BAPSANG_NAMESPACE"})


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the kubeconfig of this run; KUBECONFIG may name several files, as usual."""

    program: Path
    kubeconfig: str

    def __call__(self, *arguments: str, timeout: float = 60) -> str:
        return shell.output([self.program, *arguments], env={"KUBECONFIG": self.kubeconfig}, timeout=timeout)


def run(settings: Settings, environ: Mapping[str, str] = os.environ) -> int:
    """Run the operator until it ends, and return its exit code. Raises Failure."""
    kubectl = _kubectl(settings, environ)
    context = kubectl("config", "current-context").strip()
    deployment = _deployment(kubectl)
    namespace = OPERATOR_NAMESPACE if deployment is None else deployment["metadata"]["namespace"]
    say(f"Context {context}: the operator of this checkout runs with your rights. Ctrl-C ends it.")
    with tempfile.TemporaryDirectory() as folder, _stood_down(kubectl, deployment):
        config = Path(kubectl.kubeconfig)
        if os.pathsep in kubectl.kubeconfig:  # of which the operator reads one file
            config = Path(folder) / "kubeconfig"
            config.touch(0o600)
            config.write_text(kubectl("config", "view", "--raw", "--minify", "--flatten"))
        environment = {name: text for name, text in environ.items() if name not in OWN_VARIABLES}
        given, arguments = _as_in_the_cluster(deployment)
        return _child(
            [sys.executable, "-m", "bapsang_operator", *arguments],
            {**given, "BAPSANG_NAMESPACE": namespace, **environment, "KUBECONFIG": str(config)},
        )


def _kubectl(settings: Settings, environ: Mapping[str, str]) -> Kubectl:
    own = settings.bin / "kubectl"
    program = own if own.exists() else shutil.which("kubectl")
    if program is None:
        raise Failure("kubectl is not on the PATH.", "Install it, or run `make up`.")
    kubeconfig = environ.get("KUBECONFIG") or str(settings.kubeconfig)
    if "KUBECONFIG" not in environ and not settings.kubeconfig.exists():
        raise Failure("No local cluster runs.", "Run `make up`, or set KUBECONFIG to the cluster that is meant.")
    return Kubectl(Path(program), kubeconfig)


def _deployment(kubectl: Kubectl) -> dict[str, Any] | None:
    """Return the cluster's own operator, None where there is none."""
    found = json.loads(kubectl("get", "deployments", "-A", "-l", SELECTOR, "-o", "json"))["items"]
    if len(found) > 1:
        several = ", ".join(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in found)
        raise Failure(f"Several operators are installed: {several}.", "Uninstall all but one.")
    return dict(found[0]) if found else None


def _as_in_the_cluster(deployment: Mapping[str, Any] | None) -> tuple[dict[str, str], list[str]]:
    """Return environment and arguments of the cluster's operator, as far as they are not about its pod."""
    if deployment is None:
        return {}, ["run"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    given = {one["name"]: one["value"] for one in container.get("env", ()) if "value" in one}
    return {name: text for name, text in given.items() if name not in _OF_THE_POD}, container["args"]


@contextmanager
def _stood_down(kubectl: Kubectl, deployment: Mapping[str, Any] | None) -> Iterator[None]:
    """Keep the cluster's own operator at no replicas meanwhile: it gives the Lease back as it ends."""
    if deployment is None:
        say("The cluster has no operator of its own. It needs the CRD: kubectl apply -f charts/bapsang-operator/crds/")
        yield
        return
    metadata = deployment["metadata"]
    where = f"{metadata['namespace']}/{metadata['name']}"
    before = int(metadata.get("annotations", {}).get(BEFORE, deployment["spec"]["replicas"]))

    def patch(replicas: int, annotation: str | None) -> None:
        body = {"metadata": {"annotations": {BEFORE: annotation}}, "spec": {"replicas": replicas}}
        kubectl("patch", "deployment", metadata["name"], "-n", metadata["namespace"], "-p", json.dumps(body))

    patch(0, str(before))
    say(f"Deployment {where} is scaled from {before} to 0 meanwhile.")
    try:
        pods = ("pod", "-n", metadata["namespace"], "-l", SELECTOR)
        if kubectl("get", *pods, "-o", "name").strip():
            kubectl("wait", *pods, "--for=delete", "--timeout=60s", timeout=75)
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave the cluster without an operator
        try:
            patch(before, None)
        except Failure as failure:
            by_hand = f"kubectl scale deployment {metadata['name']} -n {metadata['namespace']} --replicas={before}"
            raise Failure(f"{where} is still at 0 replicas.\n{failure.problem}", f"By hand: {by_hand}") from failure
        say(f"Deployment {where} is back at {before}.")


def _child(command: list[str], environment: Mapping[str, str]) -> int:
    """Run the operator and return its exit code. It gets Ctrl-C from the terminal, as this process does, and in its own
    time gives the Lease back."""
    child = subprocess.Popen(command, env=dict(environment))

    def pass_on(number: int, _frame: object) -> None:
        # The terminal has sent SIGINT to both.
        if number != signal.SIGINT or os.getpgid(child.pid) != os.getpgrp():
            child.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
