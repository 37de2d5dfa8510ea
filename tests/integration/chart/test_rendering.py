"""What helm makes of the chart, word for word with every value set, and which values it refuses.

`BAPSANG_TEST_GOLDEN=write` renews the golden file; look at its difference before you commit it.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.operator.world import children, resource

from bapsang_local.settings import from_environment
from bapsang_operator.resource import parse

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts/bapsang-operator"
GOLDEN = Path(__file__).parent / "golden.yaml"
SYSTEM, NAME = "bapsang-system", "bapsang-operator"
ALWAYS = {(kind, NAME) for kind in ("Deployment", "ServiceAccount", "Role", "RoleBinding", "Service")} | {
    ("Pod", f"{NAME}-test")
}
SHARED = {("ClusterRole", f"{NAME}-view"), ("ClusterRole", f"{NAME}-edit"), ("PriorityClass", "bapsang-headroom")}
CLUSTERWIDE = {("ClusterRole", NAME), ("ClusterRoleBinding", NAME), *SHARED}
CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": {
        "replicas": 3,
        "image": {"repository": "registry.example.com/operator", "digest": "sha256:" + "a" * 64},
        "imagePullSecrets": [{"name": "registry"}],
        "watchNamespaces": ["team-a", "team-b"],
        "priorityClassName": "system-cluster-critical",
        "headroomPriorityClass": {"create": True},
        "aggregatedRoles": {"create": True},
        "keda": {"enabled": True},
        "gateway": {"enabled": True},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "podLabels": {"team": "platform"},
        "podAnnotations": {"note": "x"},
        "serviceAccount": {"annotations": {"a": "b"}},
        "networkPolicy": {"enabled": True, "apiServerPorts": [6443]},
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "communityPodMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "15s"},
        "prometheusRule": {"enabled": True},
    },
    "namespaces": {"watchNamespaces": ["team-a", "team-b"], "communityPodMonitor": {"enabled": True}},
    "without": {
        "headroomPriorityClass": {"create": False},
        "aggregatedRoles": {"create": False},
        "communityPodMonitor": {"enabled": True},
    },
    "alone": {"replicas": 1},
}


@pytest.fixture(scope="session")
def helm() -> Path:
    found = sorted(from_environment().bin.glob("helm-*"))
    if not found:
        pytest.fail("helm is not there: run `make test-tools` first")
    return found[-1]


def _helm(helm: Path, folder: Path, values: dict[str, Any], *more: str) -> subprocess.CompletedProcess[str]:
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    command = [helm, "template", "bapsang-operator", CHART, "--namespace", "bapsang-system", "--values", file, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


Found = dict[tuple[str, str], dict[str, Any]]


def _rendered(helm: Path, folder: Path, case: str) -> Found:
    """Return what helm makes of a case, by kind and name, with the namespace in front where it is another team's."""
    answer = _helm(helm, folder, CASES[case])
    assert answer.returncode == 0, answer.stderr
    found: Found = {}
    for one in filter(None, yaml.safe_load_all(answer.stdout)):
        namespace = one["metadata"].get("namespace", SYSTEM)
        key = one["kind"], "/".join([*([namespace] if namespace != SYSTEM else []), one["metadata"]["name"]])
        assert key not in found
        found[key] = one
    return found


def test_chart_with_every_value_renders_to_its_golden_file(helm: Path, tmp_path: Path) -> None:
    answer = _helm(helm, tmp_path, CASES["everything"])
    assert answer.returncode == 0, answer.stderr
    if os.environ.get("BAPSANG_TEST_GOLDEN") == "write":
        GOLDEN.write_text(answer.stdout)
    assert answer.stdout == GOLDEN.read_text()


def test_helm_lint_finds_nothing(helm: Path, tmp_path: Path) -> None:
    """Of all cases at once: one run takes a third of a second."""
    for case, values in CASES.items():
        file = tmp_path / f"{case}.yaml"
        file.write_text(yaml.safe_dump(values))
        command = [helm, "lint", "--strict", CHART, "--values", file]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_by_default_the_whole_cluster_is_watched_with_the_rights_of_the_chart(helm: Path, tmp_path: Path) -> None:
    found = _rendered(helm, tmp_path, "defaults")
    assert set(found) == {*ALWAYS, *CLUSTERWIDE, ("PodDisruptionBudget", NAME)}
    files = ("rules", "nodes")
    wanted = [rule for name in files for rule in yaml.safe_load((CHART / f"files/{name}.yaml").read_text())]
    assert found["ClusterRole", NAME]["rules"] == wanted
    binding = found["ClusterRoleBinding", NAME]
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": NAME, "namespace": SYSTEM}]
    spec = found["Deployment", NAME]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == 2
    assert container["args"] == ["run"]


def test_one_replica_alone_holds_up_no_drain(helm: Path, tmp_path: Path) -> None:
    defaults, alone = (_rendered(helm, tmp_path, case) for case in ("defaults", "alone"))
    assert defaults.keys() - alone.keys() == {("PodDisruptionBudget", NAME)}
    alone["Deployment", NAME]["spec"]["replicas"] = 2
    assert alone.items() <= defaults.items()


def test_of_single_namespaces_nothing_is_made_in_the_cluster(helm: Path, tmp_path: Path) -> None:
    found = _rendered(helm, tmp_path, "namespaces")
    assert {kind for kind, _ in found} == {
        *("Deployment", "ServiceAccount", "Role", "RoleBinding", "Service", "Pod", "PodDisruptionBudget", "PodMonitor")
    }
    roles = {name for kind, name in found if kind == "Role"}
    assert roles == {NAME, f"team-a/{NAME}-communities", f"team-b/{NAME}-communities"}
    # What is asked for is made all the same.
    everything = _rendered(helm, tmp_path, "everything")
    assert {key for key in everything if key[0] in {"ClusterRole", "ClusterRoleBinding", "PriorityClass"}} == SHARED


def test_what_a_cluster_has_once_can_be_left_out(helm: Path, tmp_path: Path) -> None:
    assert SHARED.isdisjoint(_rendered(helm, tmp_path, "without"))


def test_pods_of_communities_are_scraped_where_communities_are_watched(helm: Path, tmp_path: Path) -> None:
    key = ("PodMonitor", f"{NAME}-communities")
    assert key not in _rendered(helm, tmp_path, "defaults")
    monitors = [_rendered(helm, tmp_path, case)[key]["spec"] for case in ("without", "namespaces")]
    assert [one["namespaceSelector"] for one in monitors] == [{"any": True}, {"matchNames": ["team-a", "team-b"]}]
    # The pods that a Community really has, and the port that they really have.
    made = parse(resource(image="img"))
    base = next(child.manifest for child in children(made) if child.key.name == "c-api-base")
    template = base["spec"]["template"]
    assert monitors[0]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (endpoint,) = monitors[0]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    labels = {f"__meta_kubernetes_pod_label_{re.sub(r'[^a-z]', '_', one)}" for one in template["metadata"]["labels"]}
    assert {source for one in endpoint["relabelings"] for source in one["sourceLabels"]} <= labels


def test_a_cluster_that_is_too_old_is_refused(helm: Path, tmp_path: Path) -> None:
    def answer(version: str) -> subprocess.CompletedProcess[str]:
        return _helm(helm, tmp_path, {}, f"--kube-version={version}")

    assert answer("v1.30.4-eks-a1b2c3").returncode == 0
    assert "kubeVersion: >=1.30.0-0" in answer("v1.29.9").stderr


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
        ({"communityPodMonitor": {"interval": "soon"}}, "interval"),
        ({"aggregatedRoles": {"create": "maybe"}}, "create"),
    ],
)
def test_bad_value_is_refused_by_name(helm: Path, tmp_path: Path, values: dict[str, Any], field: str) -> None:
    answer = _helm(helm, tmp_path, values)
    assert answer.returncode != 0
    assert field in answer.stderr
