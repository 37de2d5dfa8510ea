"""From `kubectl apply` to a serving community and back, with the controllers played by the test."""

from __future__ import annotations

import pytest
from tests.waiting import eventually

from .namespace import Namespace

pytestmark = pytest.mark.usefixtures("operator")

CHILDREN = {
    ("ServiceAccount", "c-api"),
    ("NetworkPolicy", "c-api"),
    ("NetworkPolicy", "c-jobs"),
    ("NetworkPolicy", "c-redis"),
    ("NetworkPolicy", "c-mysql"),
    ("PersistentVolumeClaim", "c-redis"),
    ("PersistentVolumeClaim", "c-mysql"),
    ("Service", "c-redis"),
    ("Service", "c-mysql"),
    ("Service", "c-api"),
    ("StatefulSet", "c-redis"),
    ("StatefulSet", "c-mysql"),
    ("PodDisruptionBudget", "c-api"),
    ("PodDisruptionBudget", "c-api-burst"),
    ("PodDisruptionBudget", "c-redis"),
    ("PodDisruptionBudget", "c-mysql"),
    ("Deployment", "c-api-base"),
    ("Deployment", "c-api-burst"),
    ("CronJob", "c-like-sync"),
    ("HorizontalPodAutoscaler", "c-api-burst"),
    ("Ingress", "c-api"),
    ("Secret", "c-signing-key"),
    ("Secret", "c-redis"),
    ("Secret", "c-mysql"),
}


def test_community_comes_up_step_by_step(namespace: Namespace) -> None:
    namespace.community()
    namespace.wait_for("Progressing", "True", "WaitingForDatabase")
    assert namespace.condition("Ready")["reason"] == "Starting"
    assert namespace.get("Deployment", "c-api-base") is None
    namespace.finish_store("c-mysql")
    job = namespace.migration()
    namespace.wait_for("Progressing", "True", "WaitingForRedis")
    namespace.finish_store("c-redis")
    namespace.wait_for("Progressing", "True", "Migrating")
    assert namespace.get("Deployment", "c-api-base") is None
    namespace.finish_job(job)
    eventually(lambda: namespace.get("Deployment", "c-api-base"))
    assert namespace.get("Deployment", "c-api-burst") is None
    namespace.finish_rollout("c-api-base")
    eventually(lambda: namespace.get("HorizontalPodAutoscaler", "c-api-burst"))
    namespace.finish_rollout("c-api-burst")
    namespace.wait_for("Ready", "True", "Serving")
    namespace.wait_for("Progressing", "False", "UpToDate")
    assert set(namespace.children()) == CHILDREN | {("Job", job)}
    status = (namespace.get("Community", "c") or {})["status"]
    assert status["url"] == f"http://c.{namespace.name}.localhost"
    assert status["image"] == "bapsang/api:0.1.0"
    assert status["replicas"] == {"base": 2, "burst": 1, "ready": 3}
    assert status["migration"]["state"] == "Succeeded"


def test_users_are_served_once_the_load_balancer_has_an_address(namespace: Namespace) -> None:
    namespace.community(ingress={"className": "alb"})
    namespace.bring_up()
    told = namespace.wait_for("Ready", "False", "NoAddress")
    assert f"kubectl -n {namespace.name} describe ingress c-api" in told["message"]
    address = {"loadBalancer": {"ingress": [{"hostname": "k8s-c-1234.ap-northeast-2.elb.amazonaws.com"}]}}
    namespace.patch("Ingress", "c-api", {"status": address}, "/status")
    namespace.wait_for("Ready", "True", "Serving")
