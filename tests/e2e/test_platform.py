"""What `make up` promises: a resource that tells how it is, pods where they belong, and likes that reach MySQL."""

from __future__ import annotations

import re

import pytest

from bapsang_local.cluster import Cluster
from bapsang_local.failure import Failure
from bapsang_local.settings import Settings
from bapsang_local.smoke import mysql_likes

from .conftest import Community, People, eventually

SYNC_SECONDS = 150  # the CronJob runs every minute
METRICS_SECONDS = 120


def test_the_resource_prints_what_a_platform_engineer_wants_to_know(
    sample: Community, cluster: Cluster, settings: Settings
) -> None:
    header, row = cluster.kubectl("get", "community", sample.name, "-n", sample.namespace).splitlines()
    assert header.split() == ["NAME", "READY", "URL", "BASE", "BURST", "IMAGE", "COST/MO", "AGE"]
    name, ready, url, base, burst, image, _ = row.split()
    assert (name, ready, url) == (sample.name, "True", settings.url)
    assert (base, burst) == ("2", "1")
    assert image == sample.get("community")["spec"]["image"]


def test_every_condition_has_a_reason_and_a_sentence(sample: Community) -> None:
    conditions = {condition["type"]: condition for condition in sample.get("community")["status"]["conditions"]}
    assert set(conditions) >= {
        "Ready",
        "Progressing",
        "Degraded",
        "Migrated",
        "DatabaseReady",
        "RedisReady",
        "LikeSyncHealthy",
    }
    for condition in conditions.values():
        assert re.fullmatch(r"[A-Z][A-Za-z]+", condition["reason"])
        assert len(condition["message"]) > 10
    assert {kind for kind, condition in conditions.items() if condition["status"] == "True"} >= {
        "Ready",
        "Migrated",
        "RedisReady",
    }
    assert conditions["Degraded"]["status"] == "False"


def test_the_autoscaler_sees_real_cpu_figures(sample: Community) -> None:
    def figure() -> bool:
        metrics = sample.get("hpa", f"{sample.name}-api-burst")["status"].get("currentMetrics") or []
        return any("averageUtilization" in metric.get("containerResource", {}).get("current", {}) for metric in metrics)

    eventually(figure, METRICS_SECONDS, what="the HPA reports CPU utilisation")


def test_base_runs_on_demand_and_burst_on_spot(sample: Community, cluster: Cluster) -> None:
    capacity = {
        node["metadata"]["name"]: node["metadata"]["labels"].get("eks.amazonaws.com/capacityType")
        for node in sample.reader.items("nodes")
    }
    for tier, wanted in (("base", "ON_DEMAND"), ("burst", "SPOT")):
        pods = [pod for pod in sample.items("pods") if pod["metadata"]["labels"].get("bapsang.dev/tier") == tier]
        assert pods
        assert {capacity[pod["spec"]["nodeName"]] for pod in pods} == {wanted}


def test_the_namespace_enforces_the_restricted_level(sample: Community, cluster: Cluster) -> None:
    labels = next(item for item in sample.reader.items("namespaces") if item["metadata"]["name"] == sample.namespace)[
        "metadata"
    ]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    root = [
        "run",
        "--rm",
        "-i",
        "--restart=Never",
        "--image=busybox:1.37",
        "root",
        "-n",
        sample.namespace,
        "--",
        "true",
    ]
    with pytest.raises(Failure, match='violates PodSecurity "restricted'):
        cluster.kubectl(*root)


def test_three_likes_are_three_in_redis_and_in_mysql_and_two_after_one_is_taken_back(
    sample: Community, cluster: Cluster, people: People
) -> None:
    users = [people.join() for _ in range(3)]
    post = people.post(users[0])
    for user in users:
        assert user.call("POST", f"/api/v1/posts/{post}/likes").status == 204
    assert _scard(sample, cluster, post) == 3
    assert users[0].call("GET", f"/api/v1/posts/{post}").json()["stats"]["likeCount"] == 3
    sample.run_now("like-sync")
    eventually(lambda: mysql_likes(cluster, post) == 3, SYNC_SECONDS, what="three likes in MySQL")

    assert users[2].call("POST", f"/api/v1/posts/{post}/likes").status == 204
    assert _scard(sample, cluster, post) == 2
    sample.run_now("like-sync")
    eventually(lambda: mysql_likes(cluster, post) == 2, SYNC_SECONDS, what="two likes in MySQL")
    eventually(lambda: sample.condition("LikeSyncHealthy")["status"] == "True", 30, what="the like-sync is healthy")


def test_likes_are_written_by_the_clock_too(sample: Community) -> None:
    def scheduled() -> bool:
        status = sample.get("cronjob", f"{sample.name}-like-sync")["status"]
        return {"lastScheduleTime", "lastSuccessfulTime"} <= status.keys()

    eventually(scheduled, SYNC_SECONDS, what="the minute's like-sync has run")


def test_readiness_and_metrics_are_not_reachable_from_outside(people: People, sample: Community) -> None:
    client = people.join()
    for path in ("/metrics", "/readyz"):
        answer = client.call("GET", path)
        assert answer.status == 404
        assert answer.headers["content-type"].startswith("application/problem+json")


def _scard(sample: Community, cluster: Cluster, post: str) -> int:
    """Ask Redis itself; the password comes from the file that the server reads, so it is in no argument."""
    read = r"""REDISCLI_AUTH=$(sed -n 's/^requirepass "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/bapsang/redis.conf)"""
    script = f'{read}; export REDISCLI_AUTH; exec redis-cli SCARD "$0"'
    pod = f"{sample.name}-redis-0"
    return int(cluster.kubectl("exec", "-n", sample.namespace, pod, "--", "sh", "-c", script, f"like:users:{post}"))
