"""What helm makes of the chart, word for word, and which values it refuses.

`BAPSANG_TEST_GOLDEN=write` renews the golden files; look at their difference before you commit it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bapsang_local.settings import from_environment

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts/bapsang-operator"
GOLDEN = Path(__file__).parent / "golden"
CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": {
        "replicas": 3,
        "image": {"repository": "registry.example.com/operator", "digest": "sha256:" + "a" * 64},
        "imagePullSecrets": [{"name": "registry"}],
        "watchNamespaces": ["team-a", "team-b"],
        "priorityClassName": "system-cluster-critical",
        "headroomPriorityClass": {"create": False},
        "keda": {"enabled": True},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "podLabels": {"team": "platform"},
        "podAnnotations": {"note": "x"},
        "serviceAccount": {"annotations": {"a": "b"}},
        "networkPolicy": {"enabled": True, "apiServerPorts": [6443]},
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
    },
    "alone": {"replicas": 1},
}


@pytest.fixture(scope="session")
def helm() -> Path:
    found = sorted(from_environment().bin.glob("helm-*"))
    if not found:
        pytest.fail("helm is not there: run `make up` first")
    return found[-1]


def _helm(helm: Path, folder: Path, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    command = [helm, "template", "bapsang-operator", CHART, "--namespace", "bapsang-system", "--values", file]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("case", CASES)
def test_chart_renders_to_its_golden_file(helm: Path, tmp_path: Path, case: str) -> None:
    answer = _helm(helm, tmp_path, CASES[case])
    assert answer.returncode == 0, answer.stderr
    golden = GOLDEN / f"{case}.yaml"
    if os.environ.get("BAPSANG_TEST_GOLDEN") == "write":
        golden.write_text(answer.stdout)
    assert answer.stdout == golden.read_text()


@pytest.mark.parametrize("case", CASES)
def test_objects_are_complete_and_namespaced_mode_has_no_cluster_rights(helm: Path, tmp_path: Path, case: str) -> None:
    found = [one for one in yaml.safe_load_all(_helm(helm, tmp_path, CASES[case]).stdout) if one]
    kinds = [one["kind"] for one in found]
    assert len({(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in found}) == len(
        found
    )
    if CASES[case].get("watchNamespaces"):
        assert not [kind for kind in kinds if kind.startswith("Cluster")]
        roles = [one for one in found if one["kind"] == "Role"]
        assert {one["metadata"]["namespace"] for one in roles} == {"bapsang-system", "team-a", "team-b"}
    else:
        assert "ClusterRole" in kinds
    assert ("PriorityClass" in kinds) is CASES[case].get("headroomPriorityClass", {"create": True})["create"]
    assert ("PodDisruptionBudget" in kinds) is (CASES[case].get("replicas", 2) > 1)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"replica": 2}, "replica"),
        ({"replicas": 0}, "replicas"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"lease": {"seconds": "15"}}, "seconds"),
        ({"logLevel": "loud"}, "logLevel"),
        ({"watchNamespaces": ["Not A Name"]}, "watchNamespaces"),
        ({"resources": {"request": {}}}, "resources"),
        ({"podMonitor": {"interval": "soon"}}, "interval"),
    ],
)
def test_bad_value_is_refused_by_name(helm: Path, tmp_path: Path, values: dict[str, Any], field: str) -> None:
    answer = _helm(helm, tmp_path, values)
    assert answer.returncode != 0
    assert field in answer.stderr
