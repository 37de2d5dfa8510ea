"""What `make up` makes of the operator's chart where Tilt, or somebody's hand, was before: on a real apiserver, by helm."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.chart.test_rendering import CASES
from tests.integration.operator.client import NAMESPACE, Client
from tests.integration.operator.controlplane import ControlPlane
from tests.waiting import eventually

from bapsang_local import deploy
from bapsang_local.cluster import Cluster
from bapsang_local.docker import Engine
from bapsang_local.failure import Failure
from bapsang_local.settings import OPERATOR_NAMESPACE, Settings, from_environment
from bapsang_operator.kinds import BY_NAME

DEPLOYMENT = BY_NAME["Deployment"]
IMAGE = "bapsang/operator:0.1.0-new"


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The control plane as `make up` sees a cluster: kubeconfig and programs in the home."""
    found, home = from_environment(), tmp_path_factory.mktemp("home")
    (home / "bin").symlink_to(found.bin)
    (home / "kubeconfig").write_text(control_plane.admin.read_text())
    settings = Settings(home=home, context=None, ingress_port=found.ingress_port, images="auto")
    yield (made := Cluster(Engine(None, ours=False), settings, settings.bin / "kubectl"))
    # Again where the apiserver of a busy machine was too slow: what is left would be found by the tests of `make run`.
    gone = ("uninstall", deploy.RELEASE, "--namespace", OPERATOR_NAMESPACE, "--ignore-not-found")
    eventually(lambda: made.helm(*gone) or True, 60, "the release is gone", errors=(Failure,))


def _tilt(cluster: Cluster, folder: Path) -> Path:
    """Return what Tilt applies: the chart without CRDs, with an image of its own, and no word of helm's release."""
    chosen = ("--namespace", OPERATOR_NAMESPACE, "--set", "image.repository=tilt", "--set", "image.tag=dev")
    file = folder / "tilt.yaml"
    file.write_text(cluster.helm("template", deploy.RELEASE, deploy.CHART, "--skip-crds", "--no-hooks", *chosen))
    return file


def _live(client: Client) -> dict[str, Any]:
    return client.get(DEPLOYMENT, OPERATOR_NAMESPACE, deploy.RELEASE) or {}


def _up(client: Client, cluster: Cluster) -> None:
    """Do what `make up` does with the operator, with its pods played."""

    def play(is_done: Callable[[], bool]) -> bool:
        if found := _live(client):
            count, now = found["spec"]["replicas"], dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            reasons = {"Available": "MinimumReplicasAvailable", "Progressing": "NewReplicaSetAvailable"}
            conditions = [
                {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": now, "lastUpdateTime": now}
                for kind, reason in reasons.items()
            ]
            counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
            status = {"observedGeneration": found["metadata"]["generation"], "conditions": conditions, **counts}
            client.patch(DEPLOYMENT, OPERATOR_NAMESPACE, deploy.RELEASE, {"status": status}, "/status")
        return is_done()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(deploy.operator, cluster, IMAGE)
        eventually(lambda: play(done.done), 120, "make up", pause=0.2)
        done.result()
    (container,) = _live(client)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE


def test_operator_is_what_the_chart_says_whoever_was_there_before(
    client: Client, cluster: Cluster, tmp_path: Path
) -> None:
    tilt = _tilt(cluster, tmp_path)
    # `make cluster`, `tilt up`, `make up`: the objects are there, and belong to no release.
    if client.get(NAMESPACE, None, OPERATOR_NAMESPACE) is None:
        cluster.kubectl("create", "namespace", OPERATOR_NAMESPACE)
    cluster.kubectl("apply", "-f", tilt)
    _up(client, cluster)
    # Once more changes nothing, and no pod restarts.
    generation, uid = _live(client)["metadata"]["generation"], _live(client)["metadata"]["uid"]
    _up(client, cluster)
    assert (_live(client)["metadata"]["generation"], _live(client)["metadata"]["uid"]) == (generation, uid)
    # `tilt up` over it, `make up`.
    cluster.kubectl("apply", "--server-side", "--field-manager", "tilt", "--force-conflicts", "-f", tilt)
    _up(client, cluster)
    # `tilt up`, `tilt down`: all is gone but what helm remembers. `make up`.
    cluster.kubectl("delete", "-f", tilt)
    assert _live(client) == {}
    _up(client, cluster)
    # `make run` that was killed.
    cluster.kubectl("scale", "deployment", deploy.RELEASE, "-n", OPERATOR_NAMESPACE, "--replicas=0")
    _up(client, cluster)
    assert _live(client)["spec"]["replicas"] == 2


@pytest.mark.parametrize("case", CASES)
def test_apiserver_takes_the_rendered_chart_word_for_word(
    client: Client, cluster: Cluster, tmp_path: Path, case: str
) -> None:
    """A field that is misspelt is dropped in silence by all but a strict validation."""
    values, file = tmp_path / "values.yaml", tmp_path / "rendered.yaml"
    values.write_text(yaml.safe_dump(CASES[case]))
    text = cluster.helm("template", deploy.RELEASE, deploy.CHART, "-n", "default", "-f", values)
    # The kinds of the Prometheus operator are not served here.
    found = [one for one in yaml.safe_load_all(text) if one and not one["apiVersion"].startswith("monitoring.")]
    for name in {one["metadata"].get("namespace", "default") for one in found}:
        client.create(NAMESPACE, {"metadata": {"name": name}})
    file.write_text(yaml.safe_dump_all(found))
    told = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", file)
    assert told.count("(server dry run)") == len(found) > 5
