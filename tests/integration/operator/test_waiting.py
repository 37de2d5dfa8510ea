"""Whoever applies a Community and waits: kubectl, Helm (which asks kstatus, as Flux does) and Argo CD."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.lua import health
from tests.waiting import eventually

from bapsang_local.settings import from_environment

from .client import Object
from .controlplane import ControlPlane, programs
from .namespace import Namespace, resource
from .process import Operator

Run = Callable[..., "subprocess.Popen[str]"]
DONE = "--for=condition=Progressing=False"
FINE = "--for=condition=Degraded=False"
READY = "--for=condition=Ready"


@pytest.fixture
def start(control_plane: ControlPlane, namespace: Namespace) -> Iterator[Run]:
    """Start kubectl or helm in the namespace, with the rights of an administrator."""
    found = programs()
    helm = sorted(from_environment().bin.glob("helm-*"))
    assert found is not None
    assert helm, "helm is not there: run `make test-tools` first"
    commands = {"kubectl": [found.kube, "kubectl"], "helm": [helm[-1]]}
    started: list[subprocess.Popen[str]] = []

    def run(program: str, *arguments: str | Path) -> subprocess.Popen[str]:
        where = ["--kubeconfig", control_plane.admin, "--namespace", namespace.name]
        command = [*commands[program], *arguments, *where]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=60)


def _ended(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str]:
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def _met(start: Run, *conditions: str) -> list[bool]:
    """Tell for each condition whether `kubectl wait` finds it now."""
    return [_ended(start("kubectl", "wait", one, "community/c", "--timeout=0"))[0] == 0 for one in conditions]


def _health(namespace: Namespace) -> str:
    return health(namespace.get("Community", "c") or {})[0]


def _chart(folder: Path, community: Object) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: shop, version: 1.0.0}")
    text = yaml.safe_dump(community).replace("bapsang/api:0.1.0", "{{ .Values.image }}")
    (folder / "templates/community.yaml").write_text(text)
    (folder / "values.yaml").write_text("image: bapsang/api:0.1.0")
    return folder


def test_nobody_takes_a_community_that_no_operator_has_looked_at_for_finished(
    namespace: Namespace, operator: Operator, start: Run
) -> None:
    operator.rest()
    assert namespace.community()["status"] == {"observedGeneration": -1}
    assert _met(start, READY, DONE, FINE) == [False, False, False]
    assert _health(namespace) == "Progressing"
    operator.lead()
    namespace.bring_up()
    assert _met(start, READY, DONE, FINE) == [True, True, True]
    assert _health(namespace) == "Healthy"
    # Of the next generation nothing is known before the operator has looked at it.
    operator.rest()
    namespace.patch("Community", "c", {"spec": {"image": "bapsang/api:0.2.0"}})
    assert namespace.condition("Ready")["status"] == "True"
    assert _met(start, READY, DONE, FINE) == [False, False, False]
    assert _health(namespace) == "Progressing"
    operator.lead()
    # Users are served all the time by what ran before; the rollout is another matter.
    namespace.wait_for("Progressing", "True", "Migrating")
    assert _met(start, READY, DONE) == [True, False]
    waits = start("kubectl", "wait", DONE, "community/c", "--timeout=60s")
    namespace.settle()
    assert _ended(waits)[0] == 0
    assert _met(start, FINE) == [True]


@pytest.mark.usefixtures("operator")
def test_helm_waits_until_all_is_rolled_out_and_fails_with_the_cause_once_it_is_blocked(
    namespace: Namespace, start: Run, tmp_path: Path
) -> None:
    chart = _chart(tmp_path / "shop", resource(namespace.name))
    install = start("helm", "install", "shop", chart, "--wait=watcher", "--timeout=90s")
    for kind in ("mysql", "redis"):
        namespace.finish_store(f"c-{kind}")
    first = namespace.migration()
    namespace.finish_job(first)
    namespace.finish_rollout("c-api-base")
    namespace.wait_for("Ready", "True")
    eventually(lambda: namespace.get("Deployment", "c-api-burst"))
    namespace.wait_for("Reconciling", "True", "RollingOutBurst")
    assert install.poll() is None
    assert _health(namespace) == "Progressing"
    namespace.finish_rollout("c-api-burst")
    code, output = _ended(install)
    assert code == 0, output
    assert namespace.condition("Reconciling") == namespace.condition("Stalled") == {}
    # An image whose migration fails: helm gives up long before its time.
    upgrade = start("helm", "upgrade", "shop", chart, "--wait=watcher", "--timeout=10m", "--set=image=bapsang/api:typo")
    second = namespace.migration(other_than=first)
    namespace.wait_for("Reconciling", "True", "Migrating")
    assert upgrade.poll() is None
    namespace.finish_job(second, succeeded=False)
    code, output = _ended(upgrade)
    assert code != 0
    assert second in output
    assert "the database migration of image bapsang/api:typo failed" in output
    assert _met(start, READY, DONE, FINE) == [True, True, False]
    assert _health(namespace) == "Degraded"


def test_health_of_a_community_that_sleeps_or_rests_is_suspended(up: Namespace) -> None:
    up.patch("Community", "c", {"metadata": {"annotations": {"bapsang.dev/paused": "jane"}}})
    up.wait_for("Paused", "True")
    assert _health(up) == "Suspended"
    up.patch("Community", "c", {"spec": {"api": {"burst": {"maxReplicas": 7}}}})
    up.wait_for("Stalled", "True", "ByAnnotation")
    assert _health(up) == "Suspended"
    up.patch("Community", "c", {"metadata": {"annotations": {"bapsang.dev/paused": None}}})
    up.settle()
    up.patch("Community", "c", {"spec": {"hibernate": True}})
    up.settle(reason="Hibernated")
    assert _health(up) == "Suspended"
