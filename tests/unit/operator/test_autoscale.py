"""Which autoscaler the burst tier has: one by CPU, or KEDA's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bapsang_operator import config
from bapsang_operator.build import autoscale
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.planning.plan import Plan

from .field_rows import KEDA
from .test_fields import merged
from .world import Cluster, children, community, migration_key, pod_templates

HPA, SCALED = Key("HorizontalPodAutoscaler", "ns", "c-api-burst"), Key("ScaledObject", "ns", "c-api-burst")
BURST = Key("Deployment", "ns", "c-api-burst")


def scaled(**changes: Any) -> Manifest:
    return autoscale.autoscaler(community(**KEDA, **changes), has_keda=True).manifest


def changed(made: Plan) -> tuple[list[Key], list[Key]]:
    """Return what a plan applies and deletes."""
    return [key_of(apply.manifest) for apply in made.applies], [key_of(gone) for gone in made.deletes]


def test_without_keda_the_one_by_cpu_stays() -> None:
    assert autoscale.autoscaler(community(**KEDA), has_keda=False).key == HPA
    assert autoscale.autoscaler(community(), has_keda=True).key == HPA


def test_scaled_object_counts_what_base_pods_leave_and_behaves_like_the_one_by_cpu() -> None:
    spec = scaled()["spec"]
    cpu, requests = spec["triggers"]
    # Of the API's container alone, by either: a sidecar's CPU tells nothing of the load.
    assert cpu == {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60", "containerName": "api"}}
    assert requests["metadata"] == {
        "serverAddress": "http://p:9090",
        "query": 'clamp_min(sum(rate(bapsang_http_requests_total{namespace="ns",pod=~"(c-api-base|c-api-burst)-.+"}[1m]))'
        " - 100, 0)",
        "threshold": "50",
    }
    by_cpu = autoscale.autoscaler(community(), has_keda=False).manifest["spec"]
    (metric,) = by_cpu["metrics"]
    assert (metric["type"], metric["containerResource"]["container"]) == ("ContainerResource", "api")
    burst = pod_templates(children(community()))["Deployment c-api-burst"]["spec"]
    assert [one["name"] for one in burst["containers"]] == ["api"]
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == by_cpu["behavior"]
    assert spec["scaleTargetRef"] == by_cpu["scaleTargetRef"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (by_cpu["minReplicas"], by_cpu["maxReplicas"])


@pytest.mark.parametrize("way", ["scaleUp", "scaleDown"])
def test_pace_of_the_spec_reaches_either_autoscaler(way: str) -> None:
    paced = {"api": {"autoscaling": {f"{way}Seconds": 77}}}
    by_cpu = autoscale.autoscaler(community(**paced), has_keda=False).manifest["spec"]["behavior"]
    assert by_cpu[way]["stabilizationWindowSeconds"] == 77
    spec = autoscale.autoscaler(community(**merged(KEDA, paced)), has_keda=True).manifest["spec"]
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == by_cpu


def test_keda_leaves_a_community_that_sleeps_alone() -> None:
    assert scaled(hibernate=True)["metadata"]["annotations"] == {autoscale.PAUSED: "0"}
    assert "annotations" not in scaled()["metadata"]


def test_one_autoscaler_takes_the_place_of_the_other_and_back() -> None:
    cluster = Cluster(community())
    cluster.bring_up()
    with_keda = children(community(**KEDA))
    assert changed(cluster.step(with_keda)) == ([SCALED], [HPA])
    assert changed(cluster.plan(with_keda)) == ([], [])
    assert changed(cluster.step()) == ([HPA], [SCALED])


def test_the_old_autoscaler_stays_while_the_new_one_must_wait() -> None:
    """Which is only while there is nothing to scale: the Deployment was deleted, and its own change must wait."""
    cluster = Cluster(community())
    cluster.bring_up()
    del cluster.live[BURST], cluster.applied[BURST]
    with_keda = children(community(**KEDA, image="bapsang/api:0.2.0"))
    during = cluster.step(with_keda)
    assert SCALED in [child.key for child in during.held]
    assert HPA not in changed(during)[1]


def _unready(cluster: Cluster, _start: Manifest) -> None:
    cluster.at("Deployment", "c-api-base")["status"]["availableReplicas"] = 1


def _without_redis(cluster: Cluster, _start: Manifest) -> None:
    cluster.at("StatefulSet", "c-redis")["status"] = {}


def _migrating(cluster: Cluster, start: Manifest, end: str | None = None) -> None:
    cluster.community = community(**start, image="bapsang/api:0.2.0")
    cluster.step()
    if end is not None:
        cluster.end_job(migration_key(cluster.community), end)


#: What shuts gates, and what of it a new image belongs to.
HOLDUPS: dict[str, tuple[Callable[[Cluster, Manifest], None], Manifest]] = {
    "one base pod is unready": (_unready, {}),
    "Redis restarts": (_without_redis, {}),
    "a migration is pending": (_migrating, {"image": "bapsang/api:0.2.0"}),
    "a migration failed": (lambda cluster, start: _migrating(cluster, start, "Failed"), {"image": "bapsang/api:0.2.0"}),
}


def _held_up(holdup: str, changes: Manifest, *, restarted: bool, start: Manifest | None = None) -> tuple[Cluster, Plan]:
    cluster = Cluster(community(**(start or {})))
    cluster.bring_up()
    shut, image = HOLDUPS[holdup]
    shut(cluster, start or {})
    if restarted:
        cluster.applied.clear()
    cluster.community = community(**{**image, **changes})
    made = cluster.step()
    assert all(apply.manifest["kind"] != "Job" for apply in made.applies)
    return cluster, made


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("holdup", HOLDUPS)
def test_bounds_of_the_autoscaler_wait_for_nothing(holdup: str, restarted: bool) -> None:
    for low, high in ((8, 40), (1, 2)):
        bounds = {"api": {"burst": {"minReplicas": low, "maxReplicas": high}}}
        start = {"api": {"burst": {"minReplicas": 3, "maxReplicas": 10}}}
        cluster, _ = _held_up(holdup, bounds, restarted=restarted, start=start)
        found = cluster.live[HPA]["spec"]
        assert (found["minReplicas"], found["maxReplicas"]) == (low, high)
        cluster, _ = _held_up(holdup, merged(KEDA, bounds), restarted=restarted, start=KEDA)
        found = cluster.live[SCALED]["spec"]
        assert (found["minReplicaCount"], found["maxReplicaCount"]) == (low, high)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("holdup", HOLDUPS)
def test_autoscaler_is_exchanged_while_the_deployment_that_it_scales_is_held(holdup: str, restarted: bool) -> None:
    change = {"api": {"env": [{"name": "A", "value": "1"}]}}
    for start, then, expected in ((KEDA, {}, HPA), ({}, KEDA, SCALED)):
        cluster, made = _held_up(holdup, merged(then, change), restarted=restarted, start=start)
        assert BURST in [child.key for child in made.held]
        assert cluster.live.keys() & {HPA, SCALED} == {expected}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("holdup", HOLDUPS)
def test_sleeping_and_suspending_wait_for_nothing(holdup: str, restarted: bool) -> None:
    storage = {"storage": {"bucket": "media"}}
    cluster, made = _held_up(holdup, {**storage, "hibernate": True}, restarted=restarted, start=storage)
    assert cluster.at("Deployment", "c-api-base")["spec"]["replicas"] == 0
    scaled = [(scale.live["metadata"]["name"], scale.replicas) for scale in made.scales]
    assert scaled == [("c-api-burst", 0), ("c-media", 0)]
    for job in ("c-like-sync", "c-image-collector"):
        assert cluster.at("CronJob", job)["spec"]["suspend"] is True
    suspended = {"likeSync": {"suspend": True}}
    cluster, _ = _held_up(holdup, suspended, restarted=restarted)
    assert cluster.at("CronJob", "c-like-sync")["spec"]["suspend"] is True
    cluster, _ = _held_up(holdup, {}, restarted=restarted, start={"hibernate": True})
    assert cluster.at("Deployment", "c-api-base")["spec"]["replicas"] == 2
    assert cluster.at("CronJob", "c-like-sync")["spec"]["suspend"] is False
    image = cluster.at("Deployment", "c-api-base")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "bapsang/api:0.1.0", "the new pod template waits for its migration"


def test_autoscaler_is_not_made_before_its_deployment() -> None:
    cluster = Cluster(community())
    while not (made := cluster.step()).applies or BURST not in cluster.live:
        assert HPA not in cluster.live
        cluster.settle()
    assert HPA in {key_of(apply.manifest) for apply in made.applies}


@pytest.mark.parametrize(("text", "keda"), [("true", True), ("false", False)])
def test_the_chart_says_whether_there_are_rights(text: str, keda: bool) -> None:
    assert config.load({"BAPSANG_KEDA": text}).keda is keda
    with pytest.raises(config.ConfigError, match="BAPSANG_KEDA is '1'"):
        config.load({"BAPSANG_KEDA": "1"})
