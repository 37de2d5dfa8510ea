"""Stores and jobs under Kubernetes' own controllers: what they wait for, and what they are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.operator.client import Client, Object
from tests.integration.operator.controlplane import ControlPlane, controllers
from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.integration.operator.webhook import DeniedError, serving
from tests.waiting import eventually

CONTROLLERS = ("statefulset-controller", "job-controller")


@pytest.fixture(autouse=True, scope="module")
def _controllers(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with controllers(control_plane, CONTROLLERS, tmp_path_factory.mktemp("controllers")):
        yield


@pytest.fixture(autouse=True, scope="module")
def _own(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    log = tmp_path_factory.mktemp("own") / "log"
    found = Operator(control_plane.operator, log, {"BAPSANG_RESYNC_SECONDS": "1"})
    found.lead()
    yield
    found.rest()


def _run(namespace: Namespace, pod: str, *, ready: bool, **container: Any) -> None:
    """Give a pod the status that a kubelet would."""
    found = namespace.get("Pod", pod) or {}
    name, image = (found["spec"]["containers"][0][field] for field in ("name", "image"))
    state = {"name": name, "image": image, "imageID": "", "restartCount": 0, "ready": ready, **container}
    told = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": "Running", "conditions": told, "containerStatuses": [state]}
    namespace.patch("Pod", pod, {"status": status}, "/status")


def _limit(pod: Object | None) -> str:
    return str(
        (pod or {}).get("spec", {}).get("containers", [{}])[0].get("resources", {}).get("limits", {}).get("memory")
    )


def _kill(namespace: Namespace, pod: str) -> None:
    """Let the container of a pod be killed for memory, again and again."""
    ended = {"exitCode": 137, "reason": "OOMKilled"}
    waiting = {"reason": "CrashLoopBackOff"}
    _run(namespace, pod, ready=False, restartCount=3, state={"waiting": waiting}, lastState={"terminated": ended})


def _set_limit(namespace: Namespace, limit: str) -> None:
    resources = {"requests": {"memory": "1Mi"}, "limits": {"memory": limit}}
    namespace.patch("Community", "c", {"spec": {"redis": {"resources": resources}}})


def test_corrected_limit_reaches_a_store_whose_pod_never_became_ready(namespace: Namespace) -> None:
    namespace.community(database={"mode": "external", "writerSecretRef": {"name": "db"}})
    eventually(lambda: namespace.get("Pod", "c-redis-0"))
    _run(namespace, "c-redis-0", ready=True)
    namespace.wait_for("RedisReady", "True")
    _set_limit(namespace, "2Mi")
    eventually(lambda: _limit(namespace.get("Pod", "c-redis-0")) == "2Mi", 60, "the bad limit is there")
    _kill(namespace, "c-redis-0")
    said = "StatefulSet c-redis: container redis crashes (exit code 137, OOMKilled)"
    eventually(lambda: said in namespace.condition("Degraded")["message"])
    _set_limit(namespace, "256Mi")
    eventually(lambda: _limit(namespace.get("Pod", "c-redis-0")) == "256Mi", 60, "the good limit is there")
    (event,) = eventually(lambda: namespace.events("PodReplaced"))
    assert event["message"].startswith("Pod c-redis-0 was deleted: it is of an older revision and was not ready")
    _run(namespace, "c-redis-0", ready=True)
    namespace.wait_for("RedisReady", "True")


def test_whoever_refuses_the_pods_of_a_store_or_a_job_is_quoted(
    client: Client, namespace: Namespace, tmp_path: Path
) -> None:
    open_to: set[str] = set()

    def mutate(found: Object) -> None:
        if found["metadata"]["labels"]["app.kubernetes.io/component"] not in open_to:
            raise DeniedError(403)

    with serving(client, namespace.name, ["pods"], mutate, tmp_path):
        namespace.community()
        said = f'admission webhook "{namespace.name}.example.com" denied the request: not by this policy'
        for store in ("c-mysql", "c-redis"):
            told = f"StatefulSet {store}: the apiserver refuses its pods: {said}"
            eventually(lambda told=told: told in namespace.condition("Degraded").get("message", ""), 60)
        assert namespace.condition("Degraded")["reason"] == "PodsRefused"
        open_to |= {"mysql", "redis"}
        for store in ("c-mysql", "c-redis"):
            # The controllers wait longer after each attempt; a change of the set makes them try at once.
            namespace.patch("StatefulSet", store, {"metadata": {"annotations": {"try": "again"}}})
            eventually(lambda store=store: namespace.get("Pod", f"{store}-0"), 60)
            _run(namespace, f"{store}-0", ready=True)
        job = namespace.migration()
        told = f"Job {job}: the apiserver refuses its pods: {said}"
        eventually(lambda: namespace.condition("Degraded")["message"] == told, 60)
        assert namespace.condition("Migrated")["message"] == f"Job {job} has no pod yet."
        open_to |= {"migrate"}
        namespace.wait_for("Degraded", "False")
        assert namespace.condition("Migrated")["reason"] == "MigrationRunning"
