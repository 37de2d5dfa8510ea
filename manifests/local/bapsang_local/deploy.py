"""What runs in the cluster: add-ons, the operator by its chart, and the sample Community."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from . import mailbox as mailboxes
from . import s3
from .cluster import Cluster
from .failure import Failure
from .progress import say, step
from .settings import COMMUNITY, COMMUNITY_NAMESPACE, LOCAL, OPERATOR_NAMESPACE, ROOT, Settings

CHART = ROOT / "charts" / "bapsang-operator"
SAMPLE = ROOT / "manifests" / "samples" / "community.yaml"
RELEASE = "bapsang-operator"
READY_SECONDS = 420
FIELD_MANAGER = "bapsang-local"
# A Community that has settled; the first one that differs is what the user is told.
SETTLED = {"Degraded": "False", "Ready": "True", "Progressing": "False"}


def addons(cluster: Cluster, *, bare: bool) -> None:
    """Install metrics-server, the ingress and, on a node image that brings none, volumes; wait until they work."""
    names = ["metrics-server", "contour", *(["local-path"] if bare else [])]
    with step("add-ons: " + ", ".join(names)):
        _apply(cluster, LOCAL / "addons" / "crds" / "contour.yaml")
        for name in names:
            _apply(cluster, LOCAL / "addons" / f"{name}.yaml")
        for namespace, name in (
            ("kube-system", "metrics-server"),
            ("projectcontour", "contour"),
            *((("local-path-storage", "local-path-provisioner"),) if bare else ()),
        ):
            _rolled_out(cluster, namespace, f"deployment/{name}", 180)
        _rolled_out(cluster, "kube-system", "deployment/coredns", 120)
        cluster.kubectl("wait", "apiservice/v1beta1.metrics.k8s.io", "--for=condition=Available", "--timeout=90s")


def storage(cluster: Cluster) -> None:
    """Install the S3 server with a bucket for images, and give the sample Community's namespace the credentials."""
    with step("image storage"):
        s3.ensure_credentials(cluster)  # before the server, which does not start without
        _apply(cluster, LOCAL / "addons" / "storage.yaml")
        _rolled_out(cluster, s3.NAMESPACE, "deployment/s3", 180)
        s3.ensure_bucket(cluster)


def mailbox(cluster: Cluster) -> None:
    """Install the mail server to which the sample Community sends its letters."""
    with step("mailbox"):
        _apply(cluster, LOCAL / "addons" / "mail.yaml")
        _rolled_out(cluster, mailboxes.NAMESPACE, "deployment/mailpit", 180)


def operator(cluster: Cluster, image: str) -> None:
    """Install or upgrade the operator by its chart. What it is already stays as it is, and no pod restarts."""
    crd = CHART / "crds" / "communities.bapsang.dev.yaml"
    _apply(cluster, crd)  # helm installs a CRD once and never upgrades it
    established(cluster, crd)
    repository, _, tag = image.partition(":")
    with step("operator installed (helm)"):
        _clear(cluster)
        # Always: helm remembers what it has installed, not what Tilt or somebody's hand has changed or deleted since.
        cluster.helm(
            *("upgrade", "--install", RELEASE, CHART, "--namespace", OPERATOR_NAMESPACE, "--create-namespace"),
            *("--set", f"image.repository={repository}", "--set", f"image.tag={tag}"),
            *("--server-side=true", "--force-conflicts", "--take-ownership", "--skip-crds", "--history-max", "3"),
            *("--wait", "--timeout", "3m"),
        )
    _rolled_out(cluster, OPERATOR_NAMESPACE, f"deployment/{RELEASE}", 120)


def established(cluster: Cluster, crd: Path) -> None:
    """Wait until the apiserver serves a CRD that was just applied. Raises Failure.

    `kubectl wait` ends at once with "accessor error" while `status.conditions` is null (kubernetes/kubernetes#66439).
    """
    deadline = time.monotonic() + 30
    while True:
        try:
            cluster.kubectl("wait", "--for=condition=Established", "-f", crd, "--timeout=30s")
        except Failure as failure:
            if "accessor error" not in failure.problem + failure.advice or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def sample(cluster: Cluster, settings: Settings, image: str) -> dict[str, Any]:
    """Apply the sample Community with `image` and this run's port, wait until it is ready, and return it."""
    text = sample_text(settings, image).encode()
    cluster.kubectl(
        "apply", "--server-side", "--field-manager", FIELD_MANAGER, "--force-conflicts", "-f", "-", input=text
    )
    with step(f"Community {COMMUNITY_NAMESPACE}/{COMMUNITY} ready"):
        return wait_ready(cluster, READY_SECONDS)


def sample_text(settings: Settings, image: str) -> str:
    """Return the sample's file with `image` and this run's port."""
    text = re.sub(r"(?m)^(\s+image:) bapsang/api:\S+", rf"\g<1> {image}", SAMPLE.read_text())
    return text.replace("bapsang.localhost:8880", f"bapsang.localhost:{settings.ingress_port}")


def wait_ready(cluster: Cluster, seconds: float) -> dict[str, Any]:
    """Wait until the sample Community serves its newest generation and nothing is left to do, telling what it waits for. Raises Failure."""
    deadline = time.monotonic() + seconds
    told = ""
    while True:
        found = json.loads(cluster.kubectl("get", "community", COMMUNITY, "-n", COMMUNITY_NAMESPACE, "-o", "json"))
        waiting = [
            condition
            for kind, wanted in SETTLED.items()
            if _differs(condition := _condition(found, kind), wanted, found)
        ]
        if not waiting:
            return dict(found)
        first = waiting[0]
        message = f"{first.get('reason', 'Pending')}: {first.get('message', 'the operator has not seen it yet')}"
        if message != told:
            told = message
            say(f"… {message}")
        if time.monotonic() > deadline:
            raise Failure(
                f"Community {COMMUNITY_NAMESPACE}/{COMMUNITY} is not ready after {seconds:.0f} s: {message}",
                f"Look at `kubectl describe community {COMMUNITY} -n {COMMUNITY_NAMESPACE}` "
                f"and `kubectl logs -n {OPERATOR_NAMESPACE} deployment/{RELEASE}` (KUBECONFIG: `make -s kubeconfig`).",
            )
        time.sleep(1)


def _differs(condition: dict[str, Any], wanted: str, community: dict[str, Any]) -> bool:
    current = community["metadata"]["generation"]
    return condition.get("status") != wanted or condition.get("observedGeneration") != current


def _condition(community: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = community.get("status", {}).get("conditions", [])
    return next((dict(condition) for condition in conditions if condition["type"] == kind), {})


def _clear(cluster: Cluster) -> None:
    """Remove an installation that was cut off, which blocks the next one."""
    try:
        status = json.loads(cluster.helm("status", RELEASE, "--namespace", OPERATOR_NAMESPACE, "-o", "json"))
    except Failure:
        return
    if status["info"]["status"].startswith("pending"):
        cluster.helm("uninstall", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--wait")


def _apply(cluster: Cluster, file: Path) -> None:
    cluster.kubectl("apply", "--server-side", "--field-manager", FIELD_MANAGER, "--force-conflicts", "-f", file)


def _rolled_out(cluster: Cluster, namespace: str, name: str, seconds: int) -> None:
    try:
        cluster.kubectl("rollout", "status", name, "-n", namespace, f"--timeout={seconds}s", timeout=seconds + 15)
    except Failure as failure:
        pods = cluster.kubectl("get", "pods", "-n", namespace, "-o", "wide")
        raise Failure(
            f"{namespace}/{name} did not start.\n{failure.problem}\n{pods}",
            f"`kubectl describe pods -n {namespace}` tells why.",
        ) from failure
