"""The operator's own installation: helm's test, an upgrade of the custom resource, and two replicas of which one leads."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bapsang_local.cluster import Cluster
from bapsang_local.deploy import CHART, FIELD_MANAGER, RELEASE
from bapsang_local.settings import OPERATOR_NAMESPACE, ROOT

from .conftest import OPERATOR, Community, eventually
from .reading import Reader

CRD = CHART / "crds" / "communities.bapsang.dev.yaml"
NAME = "communities.bapsang.dev"


def test_helm_test_passes(cluster: Cluster) -> None:
    said = cluster.helm("test", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--timeout", "90s")
    assert re.search(r"Phase:\s+Succeeded", said), said


def _burst_fields(cluster: Cluster) -> set[str]:
    found = json.loads(cluster.kubectl("get", "crd", NAME, "-o", "json"))
    return set(_burst(found)["properties"])


def _burst(crd: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in ("spec", "api", "burst"):
        schema = schema["properties"][name]
    return schema


def test_the_documented_command_upgrades_the_custom_resource_that_helm_once_installed(
    cluster: Cluster, sample: Community, tmp_path: Path
) -> None:
    """Helm owns every field of it afterwards; Communities and what they run stay as they are."""
    older = yaml.safe_load(CRD.read_text())
    del _burst(older)["properties"]["headroom"]
    (tmp_path / "crd.yaml").write_text(yaml.safe_dump(older))
    before = sample.get("community")["metadata"]
    (command,) = set(re.findall(r"(?m)^kubectl (apply .*crds/?)$", (ROOT / "docs/operator.md").read_text()))
    words = [str(ROOT / word) if word.startswith("charts/") else word for word in shlex.split(command)]
    try:
        cluster.kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", tmp_path / "crd.yaml"
        )
        cluster.kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager", FIELD_MANAGER, "-f", tmp_path / "crd.yaml"
        )
        assert "headroom" not in _burst_fields(cluster)
        cluster.kubectl(*words)
        assert "headroom" in _burst_fields(cluster)
    finally:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager", FIELD_MANAGER, "-f", CRD)
    after = sample.get("community")["metadata"]
    assert (after["uid"], after["generation"]) == (before["uid"], before["generation"])
    sample.wait_ready(60)


def _leader(reader: Reader) -> str:
    """Return the pod that holds the Lease, by its name; empty while nobody does."""
    lease = reader.get("lease", "bapsang-operator", OPERATOR_NAMESPACE)
    return str(lease["spec"].get("holderIdentity") or "").partition("_")[0]


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_another_replica_takes_over(
    cluster: Cluster, reader: Reader, sample: Community, figure: Callable[[str, str], None], how: str
) -> None:
    leader = eventually(lambda: _leader(reader), 30, what="somebody leads")
    node = reader.get("pod", leader, OPERATOR_NAMESPACE)["spec"]["nodeName"]
    began = time.monotonic()
    if how == "stopped":
        cluster.kubectl("delete", "pod", leader, "-n", OPERATOR_NAMESPACE, "--wait=false")
    else:
        pid = cluster.engine.docker("exec", node, "sh", "-c", _PIDS.format(pod=leader)).split()
        cluster.engine.docker("exec", node, "kill", "-KILL", *pid)
    cluster.kubectl("delete", "pdb", f"{sample.name}-api", "-n", sample.namespace)
    eventually(lambda: sample.get("pdb", f"{sample.name}-api"), 60, what="what was deleted comes back")
    figure(f"leader {how}: a deleted child is back", f"{time.monotonic() - began:.1f} s")
    cluster.kubectl("rollout", "status", OPERATOR, "-n", OPERATOR_NAMESPACE, "--timeout=90s")


# Processes whose host name is the pod's: those of its containers.
_PIDS = """for each in /proc/[0-9]*; do
  if grep -qz '^HOSTNAME={pod}$' "$each/environ" 2> /dev/null; then echo "${{each#/proc/}}"; fi
done; true"""
