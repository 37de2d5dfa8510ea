"""The photo workers: what they are given and kept from, how many there are, and how it is told that none is there."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bapsang_api.__main__ import main
from bapsang_operator.build import autoscale
from bapsang_operator.controller import observation
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.names import Component
from bapsang_operator.planning import progress, workers
from bapsang_operator.planning.plan import Plan
from bapsang_operator.problems import workloads

from .field_rows import KEDA
from .test_build import EXTERNAL, STORAGE
from .world import NOW, Cluster, children, community, condition_of, migration_key, pod, pod_templates, status_of

MEDIA, HPA = (Key(kind, "ns", "c-media") for kind in ("Deployment", "HorizontalPodAutoscaler"))


def _child(kind: str, name: str, **changes: Any) -> Manifest:
    wanted = community(**{"storage": STORAGE, **changes})
    return next(child.manifest for child in children(wanted) if child.key == Key(kind, "ns", name))


def _pod(**changes: Any) -> Manifest:
    found: Manifest = _child("Deployment", "c-media", **changes)["spec"]["template"]["spec"]
    return found


def _up(**changes: Any) -> Cluster:
    cluster = Cluster(community(**{"storage": STORAGE, **changes}))
    cluster.bring_up()
    return cluster


def test_worker_is_given_database_and_bucket_and_neither_redis_nor_the_signing_key() -> None:
    spec = _pod(**EXTERNAL, api={"env": [{"name": "A", "value": "1"}]})
    (container,) = spec["containers"]
    arguments = ["media", "--host", "0.0.0.0"]  # noqa: S104 - a pod's own address
    assert (container["args"], container["image"]) == (arguments, "bapsang/api:0.1.0")
    assert {one["name"] for one in container["env"]} == {
        *("BAPSANG_DATABASE_URL", "OPTIONAL_BAPSANG_DATABASE_TLS_CA", "BAPSANG_LOG_LEVEL", "BAPSANG_ADMIN_PORT"),
        *("BAPSANG_S3_BUCKET", "BAPSANG_S3_REGION", "BAPSANG_S3_ENDPOINT"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    }
    # Nothing that could be written: not even a /tmp.
    assert spec["volumes"] == container["volumeMounts"] == []
    assert spec["serviceAccountName"] == "c-api", "whose role at the cloud provider reads and writes the bucket"


def test_worker_may_use_a_core_and_what_the_dearest_photo_takes_and_leaves_within_half_a_minute() -> None:
    spec = _pod()
    resources = {"requests": {"cpu": "250m", "memory": "320Mi"}, "limits": {"memory": "1280Mi"}}
    assert spec["containers"][0]["resources"] == resources
    assert spec["terminationGracePeriodSeconds"] == 30
    assert "lifecycle" not in spec["containers"][0], "no load balancer sends to it"


def test_worker_is_probed_as_the_api_is() -> None:
    api = pod_templates(children(community()))["Deployment c-api-base"]["spec"]["containers"][0]
    (container,) = _pod()["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe] == api[probe]
    assert container["ports"] == [port for port in api["ports"] if port["name"] == "admin"]


@pytest.mark.parametrize(("redis", "open_to_all"), [({}, {53, 7070}), (EXTERNAL["redis"], {53, 7070})])
def test_worker_may_reach_database_and_bucket_and_no_redis(redis: Manifest, open_to_all: set[int]) -> None:
    spec = _child("NetworkPolicy", "c-media", redis=redis)["spec"]
    ports = {port["port"] for rule in spec["egress"] if "to" not in rule for port in rule["ports"]}
    peers = {
        rule["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: rule["ports"][0]["port"]
        for rule in spec["egress"]
        if "to" in rule
    }
    assert (ports, peers) == (open_to_all, {"mysql": 3306})
    assert [rule["ports"] for rule in spec["ingress"]] == [[{"protocol": "TCP", "port": 9000}]]


def test_stores_let_workers_in_where_they_are_needed() -> None:
    def clients(store: str, **changes: Any) -> list[str]:
        (rule,) = _child("NetworkPolicy", store, **changes)["spec"]["ingress"]
        (expression,) = rule["from"][0]["podSelector"]["matchExpressions"]
        found: list[str] = expression["values"]
        return found

    assert "media" in clients("c-mysql")
    assert "media" not in clients("c-redis")


@pytest.mark.parametrize("keda", [{}, KEDA])
def test_one_busy_worker_asks_for_a_second_by_the_cpu_of_its_own_container(keda: Manifest) -> None:
    found = children(community(storage=STORAGE, media={"maxReplicas": 5}, **keda))
    assert {child.key.kind for child in found if child.key.name == "c-media"} == {
        *("Deployment", "HorizontalPodAutoscaler", "NetworkPolicy")
    }
    (spec,) = (child.manifest["spec"] for child in found if child.key == HPA)
    (metric,) = spec["metrics"]
    target = {"type": "AverageValue", "averageValue": "500m"}
    assert metric["containerResource"] == {"name": "cpu", "container": "media", "target": target}
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "c-media"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 5)


def test_count_of_workers_is_never_sent() -> None:
    assert "replicas" not in _child("Deployment", "c-media")["spec"]


def test_there_are_no_workers_without_storage() -> None:
    assert "c-media" not in {child.key.name for child in children(community())}


def test_new_image_waits_for_its_migration_and_for_nothing_else() -> None:
    cluster = _up()
    cluster.community = community(storage=STORAGE, image="bapsang/api:0.2.0")
    assert MEDIA in {child.key for child in cluster.step().held}
    cluster.end_job(migration_key(cluster.community))
    assert {MEDIA, Key("Deployment", "ns", "c-api-base")} <= {key_of(one.manifest) for one in cluster.step().applies}


def test_workers_sleep_and_wake_with_the_community() -> None:
    cluster = _up()
    cluster.community = community(storage=STORAGE, media={"minReplicas": 2}, hibernate=True)
    scales = {key_of(scale.live): scale.replicas for scale in cluster.plan().scales}
    assert scales == {Key("Deployment", "ns", "c-api-burst"): 0, MEDIA: 0}
    for key in scales:
        cluster.live[key]["spec"]["replicas"] = 0
    assert cluster.plan().scales == []
    cluster.step()
    cluster.settle()
    cluster.live[MEDIA]["status"]["replicas"] = 1
    assert condition_of(status_of(cluster), "Progressing")["reason"] == "Hibernating", "a worker is still there"
    cluster.settle()
    assert condition_of(status_of(cluster), "Progressing")["reason"] == "Hibernated"
    cluster.community = community(storage=STORAGE, media={"minReplicas": 2})
    assert {scale.replicas for scale in cluster.plan().scales if key_of(scale.live) == MEDIA} == {2}


def test_rollout_is_over_when_the_workers_have_followed() -> None:
    cluster = _up()
    cluster.live[MEDIA]["status"]["availableReplicas"] = 0
    found = condition_of(status_of(cluster), "Progressing")
    assert (found["status"], found["reason"]) == ("True", "RollingOutMedia")
    cluster.settle()
    assert condition_of(status_of(cluster), "Progressing")["reason"] == "UpToDate"


def test_stuck_rollout_of_the_workers_is_told() -> None:
    cluster = _up()
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    cluster.live[MEDIA]["status"]["conditions"] = [stuck]
    seen = progress.observe(cluster.community, children(cluster.community), cluster.live)
    (found,) = workloads.of_rollout(cluster.community, seen)
    assert found.message.startswith("Deployment c-media: the new pods did not become ready in time")


def test_crash_of_a_worker_is_told_by_its_deployment() -> None:
    ended = {"exitCode": 1, "message": "STORAGE_FAILED"}
    waiting = {
        "name": "media",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": ended},
    }
    (found,) = workloads.of_pods(_up().community, "", [pod(Component.MEDIA, containerStatuses=[waiting])], NOW)
    assert found.message.startswith("Deployment c-media: container media crashes (exit code 1: the bucket of images")


def _without_workers(minutes: float) -> Cluster:
    cluster = _up()
    since = (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lacking = {"type": "Available", "status": "False", "lastTransitionTime": since}
    cluster.live[MEDIA]["status"] |= {"availableReplicas": 0, "conditions": [lacking]}
    return cluster


def test_workers_of_which_none_is_available_are_told_once_it_lasts() -> None:
    lasting, brief = _without_workers(3), _without_workers(2.9)
    (found,) = workloads.of_media(lasting.community, lasting.live, NOW)
    assert found.reason == "MediaUnavailable"
    assert "Deployment c-media: no pod is available, so photos of new posts stay PENDING" in found.message
    assert workloads.of_media(brief.community, brief.live, NOW) == []
    # Nothing is written when the three minutes are over: the Community must be looked at again.
    assert not observation.is_settled(brief.community, Plan(), brief.live)
    whole = _up()
    assert workloads.of_media(whole.community, whole.live, NOW) == []
    assert observation.is_settled(whole.community, Plan(), whole.live)


@pytest.mark.parametrize(
    "changes", [{"storage": STORAGE, "hibernate": True}, {}], ids=["asleep", "no storage any more"]
)
def test_workers_that_are_not_to_be_there_are_not_missed(changes: Manifest) -> None:
    cluster = _without_workers(60)
    assert workloads.of_media(community(**changes), cluster.live, NOW) == []
    assert observation.is_settled(community(**changes), Plan(), cluster.live)


def test_autoscaler_of_workers_behaves_as_that_of_burst() -> None:
    ours = autoscale.of_media(community(storage=STORAGE)).manifest["spec"]
    burst = copy.deepcopy(autoscale.autoscaler(community(), has_keda=False).manifest["spec"]["behavior"])
    burst["scaleUp"]["policies"][0]["value"] = 3
    assert ours["behavior"] == burst


def _ended(**terminated: Any) -> Manifest:
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"name": "media", "state": waiting, "lastState": {"terminated": {"reason": "Error", **terminated}}}
    return pod(Component.MEDIA, containerStatuses=[last])


def test_image_without_photo_workers_is_left_in_peace() -> None:
    """v0.0.1: its API publishes photos by itself, and wrong usage is all that it has to say."""
    cluster = _without_workers(60)
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    cluster.live[MEDIA]["status"]["conditions"].append(stuck)
    cluster.live[Key("Pod", "ns", "p")] = crashing = _ended(exitCode=2)
    seen = progress.observe(cluster.community, children(cluster.community), cluster.live)
    assert workloads.of_rollout(cluster.community, seen) == []
    assert workloads.of_media(cluster.community, cluster.live, NOW) == []
    assert workloads.of_pods(cluster.community, seen.job, [crashing], NOW) == []
    assert condition_of(status_of(cluster), "Progressing")["reason"] == "UpToDate"


@pytest.mark.parametrize(
    ("command", "setting", "message"),
    [("media-of-2030", "info", ""), ("migrate", "loud", "SETTING_REFUSED BAPSANG_LOG_LEVEL")],
)
def test_command_that_an_image_lacks_ends_otherwise_than_a_setting_that_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, setting: str, message: str
) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setenv("BAPSANG_TERMINATION_LOG", str(log))
    monkeypatch.setenv("BAPSANG_LOG_LEVEL", setting)
    code, said = main([command]), log.read_text()
    assert said == message
    assert workers.has_unknown_command(_ended(exitCode=code, message=said)) == (not message)


@pytest.mark.parametrize("ended", [{"exitCode": 1}, {"exitCode": 2, "message": "SETTING_REFUSED BAPSANG_S3_BUCKET"}])
def test_worker_that_ends_by_anything_else_is_missed(ended: Manifest) -> None:
    cluster = _without_workers(60)
    cluster.live[Key("Pod", "ns", "p")] = crashing = _ended(**ended)
    assert [one.reason for one in workloads.of_media(cluster.community, cluster.live, NOW)] == ["MediaUnavailable"]
    assert len(workloads.of_pods(cluster.community, "", [crashing], NOW)) == 1
    assert condition_of(status_of(cluster), "Progressing")["reason"] == "RollingOutMedia"
