"""Jobs in whose pods a webhook puts a plain sidecar, which never ends by itself: the real webhook call and the real Job
controller, the kubelet played by the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import eventually

from bapsang_operator import names
from bapsang_operator.kinds import BY_NAME, POD

from .client import Client, Object
from .controlplane import ControlPlane, controllers
from .namespace import Namespace
from .process import Operator
from .test_quiet import rounds
from .webhook import serving

SIDECAR = {"name": "proxy", "image": "proxy:1"}


def _inject(pod: Object) -> None:
    if all(container["name"] != "proxy" for container in pod["spec"]["containers"]):
        pod["spec"]["containers"].append(SIDECAR)


@pytest.fixture
def meshed(
    control_plane: ControlPlane, client: Client, namespace: Namespace, operator: Operator, tmp_path: Path
) -> Iterator[Namespace]:
    """A namespace with the webhook of a mesh, and with the controller that makes the pods of Jobs."""
    with (
        serving(client, namespace.name, ["pods"], _inject, tmp_path),
        controllers(control_plane, ["job-controller"], tmp_path),
    ):
        eventually(lambda: _is_injected(namespace), what="the webhook is called")
        yield namespace


def _is_injected(namespace: Namespace) -> bool:
    """Tell whether the apiserver has taken up the webhook: it does so a moment after its creation."""
    spec = {"containers": [{"name": "a", "image": "a"}]}
    pod = {"metadata": {"name": "probe", "namespace": namespace.name}, "spec": spec}
    return SIDECAR["image"] in namespace.client.create(POD, pod, dryRun="All").text


class Kubelet:
    """Runs the pods of a Job."""

    def __init__(self, namespace: Namespace, job: str) -> None:
        self.namespace, self.job = namespace, job

    def run(self, **exit_codes: int | None) -> str:
        """Take the pod of the Job that has no node yet, and let its containers run (None) or end; returns its name."""

        def probe() -> str:
            pods = self.namespace.client.list(POD, self.namespace.name)
            ours = [one for one in pods if one["metadata"]["labels"].get("batch.kubernetes.io/job-name") == self.job]
            return next((one["metadata"]["name"] for one in ours if "nodeName" not in one["spec"]), "")

        name = eventually(probe, 60, f"a pod of {self.job}")
        metadata, target = {"name": name, "namespace": self.namespace.name}, {"kind": "Node", "name": "node"}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        assert self.namespace.client.post(f"{POD.path(self.namespace.name, name)}/binding", binding).is_success
        found = self.namespace.get("Pod", name) or {}
        assert [one["name"] for one in found["spec"]["containers"]] == list(exit_codes), "the webhook was called"
        self.tell(name, "Running", exit_codes)
        return name

    def tell(self, pod: str, phase: str, exit_codes: dict[str, int | None]) -> None:
        told = [
            {
                **{"name": name, "image": "x", "imageID": "x", "ready": code is None, "restartCount": 0},
                "state": {"running": {}} if code is None else {"terminated": {"exitCode": code}},
            }
            for name, code in exit_codes.items()
        ]
        self.namespace.patch("Pod", pod, {"status": {"phase": phase, "containerStatuses": told}}, "/status")

    def end(self, pod: str, **exit_codes: int) -> None:
        """Wait until somebody deletes a pod, and end it as a kubelet does: its last phase first, then the object."""
        eventually(lambda: self.namespace.is_going("Pod", pod), 60, f"{pod} is deleted")
        self.tell(pod, "Failed" if any(exit_codes.values()) else "Succeeded", dict(exit_codes))
        self.namespace.client.delete(POD, self.namespace.name, pod, gracePeriodSeconds=0)
        eventually(lambda: self.namespace.get("Pod", pod) is None, 60, "the Job has counted it")


def _run_of(namespace: Namespace, cron: str, name: str) -> str:
    """Start a run of a CronJob, as its controller would."""
    template = (eventually(lambda: namespace.get("CronJob", cron)))["spec"]["jobTemplate"]
    job = {**template, "metadata": {**template["metadata"], "name": name, "namespace": namespace.name}}
    answer = namespace.client.create(BY_NAME["Job"], job)
    assert answer.is_success, answer.text
    return name


def _ended(namespace: Namespace, job: str) -> str:
    """Wait until the Job controller takes a Job for ended, and return how."""

    def probe() -> str:
        found = (namespace.get("Job", job) or {}).get("status", {}).get("conditions", ())
        return next((one["type"] for one in found if one["type"] in {"Failed", "Complete"}), "")

    return eventually(probe, 60, f"{job} has ended")


@pytest.mark.parametrize(("exit_code", "condition"), [(0, "Complete"), (137, "Failed")])
def test_job_ends_when_its_own_container_has_whatever_the_sidecar_does(
    meshed: Namespace, exit_code: int, condition: str
) -> None:
    meshed.community()
    for store in ("c-mysql", "c-redis"):
        meshed.finish_store(store)
    job = meshed.migration()
    kubelet = Kubelet(meshed, job)
    pod = kubelet.run(migrate=0, proxy=None)
    meshed.wait_for("Migrated", "True", "MigrationSucceeded")
    kubelet.end(pod, migrate=0, proxy=exit_code)
    meshed.finish_rollout("c-api-base")
    meshed.finish_rollout("c-api-burst")
    meshed.wait_for("Progressing", "False", "UpToDate")

    run = _run_of(meshed, "c-like-sync", "c-like-sync-1")
    kubelet = Kubelet(meshed, run)
    kubelet.end(kubelet.run(**{"like-sync": 0, "proxy": None}), **{"like-sync": 0, "proxy": exit_code})
    assert _ended(meshed, run) == condition
    meshed.wait_for("LikeSyncHealthy", "True", "LastRunSucceeded")
    meshed.wait_for("Degraded", "False", "AsExpected")
    assert meshed.condition("Migrated")["reason"] == "MigrationSucceeded"
    if not exit_code:
        assert _ended(meshed, job) == "Complete"


def test_run_that_works_or_has_failed_is_left_alone(meshed: Namespace, operator: Operator) -> None:
    meshed.community()
    meshed.finish_store("c-mysql")
    meshed.finish_store("c-redis")
    job = meshed.migration()
    pods = [Kubelet(meshed, job).run(migrate=1, proxy=None)]
    rounds(operator, 2)
    meshed.patch("Job", job, {"metadata": {"annotations": {names.ANNOTATION_SUCCEEDED: "true"}}})
    _run_of(meshed, "c-like-sync", "c-like-sync-1")
    pods.append(Kubelet(meshed, "c-like-sync-1").run(**{"like-sync": None, "proxy": None}))
    _run_of(meshed, "c-like-sync", "c-like-sync-2")
    pods.append(Kubelet(meshed, "c-like-sync-2").run(**{"like-sync": None, "proxy": 0}))
    rounds(operator, 2)
    assert not any(meshed.is_going("Pod", pod) or meshed.get("Pod", pod) is None for pod in pods)
    Kubelet(meshed, "c-like-sync-1").tell(pods[1], "Running", {"like-sync": 0, "proxy": None})
    eventually(lambda: meshed.is_going("Pod", pods[1]), 60, "the one that has succeeded meanwhile is ended")
