"""The chart installed by helm on a real apiserver: whom its roles let in, and which second release it refuses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.waiting import eventually

from bapsang_local.programs import module_folder, table
from bapsang_local.settings import from_environment
from bapsang_operator.kinds import Kind

from .client import BINDINGS, CHART, RBAC, Client, install_crd, remove_crd
from .controlplane import ControlPlane, process, programs
from .namespace import Namespace

MONITORING = "monitoring.coreos.com"
POD_MONITORS = Kind("PodMonitor", MONITORING, "v1", "podmonitors")
RULES = Kind("PrometheusRule", MONITORING, "v1", "prometheusrules")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def helm(control_plane: ControlPlane) -> Iterator[Run]:
    """Run helm as an administrator; what it has installed goes afterwards."""
    found = sorted(from_environment().bin.glob("helm-*"))
    assert found, "helm is not there: run `make test-tools` first"
    releases: list[tuple[str, str]] = []

    def run(verb: str, name: str, namespace: Namespace | str, *more: str) -> subprocess.CompletedProcess[str]:
        where = ["--kubeconfig", str(control_plane.admin), "--namespace", getattr(namespace, "name", namespace)]
        chart = [str(CHART), "--skip-crds"] if verb in {"install", "upgrade"} else []
        command = [found[-1], *verb.split(), name, *chart, *where, *more]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if verb == "install" and answer.returncode == 0:
            releases.append((name, where[-1]))
        return answer

    yield run
    for name, namespace in reversed(releases):
        assert run("uninstall", name, namespace).returncode == 0


def _bind(client: Client, namespace: Namespace, role: str, user: str) -> None:
    """Give a user one of the cluster's roles in a namespace."""
    subject = {"kind": "User", "apiGroup": RBAC, "name": user}
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
    metadata = {"name": user, "namespace": namespace.name}
    assert client.create(BINDINGS, {"metadata": metadata, "roleRef": reference, "subjects": [subject]}).is_success


@pytest.fixture
def monitoring(client: Client) -> Iterator[None]:
    """The Prometheus operator's own definitions are served; it does not run."""
    module = table()["prometheus-operator"]
    folder = module_folder(module.module, module.version, from_environment()) / "example/prometheus-operator-crd"
    for kind in (POD_MONITORS, RULES):
        install_crd(client, folder / f"{MONITORING}_{kind.plural}.yaml")
    yield
    for kind in (POD_MONITORS, RULES):
        remove_crd(client, f"{kind.plural}.{MONITORING}")


@pytest.mark.usefixtures("monitoring")
def test_monitors_and_alerts_are_what_the_prometheus_operator_knows(
    helm: Run, namespace: Namespace, client: Client
) -> None:
    switches = [f"--set={one}.enabled=true" for one in ("podMonitor", "communityPodMonitor", "prometheusRule")]
    answer = helm("install", "one", namespace, *switches)
    assert answer.returncode == 0, answer.stderr
    made = list(yaml.safe_load_all(helm("get manifest", "one", namespace).stdout))
    for kind, count in ((POD_MONITORS, 2), (RULES, 1)):
        wanted = {one["metadata"]["name"]: one["spec"] for one in made if one and one["kind"] == kind.name}
        assert len(wanted) == count
        # The apiserver drops fields that it does not know.
        assert {one["metadata"]["name"]: one["spec"] for one in client.list(kind, namespace.name)} == wanted


def test_a_second_release_is_refused_where_it_could_never_work(helm: Run, namespace: Namespace, client: Client) -> None:
    assert helm("install", "one", namespace).returncode == 0
    other = Namespace(client)
    narrow = f"--set=watchNamespaces={{{other.name}}}"
    for where, more, words in (
        (namespace, (), f'release "one" runs this operator in namespace "{namespace.name}" already'),
        (namespace, (narrow,), f'release "one" runs this operator in namespace "{namespace.name}" already'),
        (other, (), f'release "one" in namespace "{namespace.name}" watches the whole cluster already'),
    ):
        answer = helm("install", "two", where, *more)
        assert answer.returncode != 0
        assert words in answer.stderr
    answer = helm("install", "two", other, narrow)
    assert answer.returncode == 0, answer.stderr
    for name, where in (("one", namespace), ("two", other)):
        answer = helm("upgrade", name, where, "--reuse-values")
        assert answer.returncode == 0, answer.stderr


def test_whoever_rules_one_namespace_can_install_an_operator_of_it(
    helm: Run, namespace: Namespace, client: Client
) -> None:
    _bind(client, namespace, "cluster-admin", "lead")
    of_it = f"--set=watchNamespaces={{{namespace.name}}}"
    for more in ((), (of_it, "--set=headroomPriorityClass.create=true"), (of_it, "--set=aggregatedRoles.create=true")):
        answer = helm("install", "one", namespace, "--kube-as-user=lead", *more)
        assert answer.returncode != 0
        assert "at the cluster scope" in answer.stderr
        helm("uninstall", "one", namespace)
    answer = helm("install", "one", namespace, "--kube-as-user=lead", of_it)
    assert answer.returncode == 0, answer.stderr


def test_who_may_edit_a_namespace_may_edit_its_communities(
    helm: Run, namespace: Namespace, client: Client, control_plane: ControlPlane, tmp_path: Path
) -> None:
    found = programs()
    assert found is not None
    kubectl = [str(found.kube), "kubectl", "--kubeconfig", str(control_plane.admin), "--namespace", namespace.name]

    def may(user: str) -> set[str]:
        """Return the verbs that a user has on Communities."""
        verbs = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
        command = [*kubectl, "auth", "can-i", f"--as={user}"]
        answers = {
            verb: subprocess.run(
                [*command, verb, "communities.bapsang.dev"], capture_output=True, text=True, timeout=60
            )
            for verb in verbs
        }
        return {verb for verb, answer in answers.items() if answer.stdout == "yes\n"}

    for role in ("view", "edit", "admin"):
        _bind(client, namespace, role, f"{role}er")
    assert may("editer") == set()
    assert helm("install", "one", namespace).returncode == 0
    reading = {"get", "list", "watch"}
    writing = reading | {"create", "update", "patch", "delete", "deletecollection"}
    # Of the controllers, the one that carries aggregated rules over.
    command = [str(found.kube), "kube-controller-manager", f"--kubeconfig={control_plane.admin}"]
    command += ["--controllers=clusterrole-aggregation-controller", "--leader-elect=false", "--secure-port=0"]
    with process("aggregation", command, tmp_path):
        eventually(lambda: may("editer") == writing, 30)
        eventually(lambda: may("viewer") == reading, 30)
        eventually(lambda: may("adminer") == writing, 30)
