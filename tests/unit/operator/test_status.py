"""Conditions, their sentences, and the Events that transitions deserve."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bapsang_operator import problem
from bapsang_operator.conditions import events, status
from bapsang_operator.controller import observation
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component, Reason
from bapsang_operator.planning import progress
from bapsang_operator.planning.plan import Plan
from bapsang_operator.problem import Problem
from bapsang_operator.problems import failures, prerequisites, workloads
from bapsang_operator.resource import STATUS, SecretRef

from .world import NOW, Cluster, children, community, condition_of, migration_key, pod, reasons_of, status_of

UP = Cluster(community())
UP.bring_up()
JOB = migration_key(community()).name


def _told(found: Manifest, kind: str) -> tuple[str, str]:
    one = condition_of(found, kind)
    return one["status"], one["reason"]


def test_healthy_community_reads_well() -> None:
    found = status_of(UP, like_sync=True)
    assert {one["type"]: (one["status"], one["reason"]) for one in found["conditions"]} == {
        "Ready": ("True", "Serving"),
        "Progressing": ("False", "UpToDate"),
        "Degraded": ("False", "AsExpected"),
        "Migrated": ("True", "MigrationSucceeded"),
        "DatabaseReady": ("True", "EmbeddedForDevelopment"),
        "RedisReady": ("True", "Available"),
        "LikeSyncHealthy": ("True", "LastRunSucceeded"),
        "Prewarmed": ("False", "NoWindowOpen"),
        "Paused": ("False", "NotPaused"),
    }
    assert all(one["observedGeneration"] == 1 for one in found["conditions"])
    assert found["replicas"] == {"base": 2, "burst": 1, "ready": 3}
    assert found["observedGeneration"] == 1
    assert found["migration"] == {
        "hash": migration_key(UP.community).name.removeprefix("c-migrate-"),
        "state": "Succeeded",
    }


ATTRIBUTES = "alb.ingress.kubernetes.io/target-group-attributes"


@pytest.mark.parametrize(
    ("ingress", "drain", "short_of"),
    [
        ({"className": "alb", "annotations": {ATTRIBUTES: "deregistration_delay.timeout_seconds=30"}}, 35, None),
        ({"className": "alb", "annotations": {ATTRIBUTES: "deregistration_delay.timeout_seconds=30"}}, 34, 35),
        ({"annotations": {ATTRIBUTES: "stickiness.enabled=false, deregistration_delay.timeout_seconds=60"}}, 35, 65),
        ({"annotations": {ATTRIBUTES: " deregistration_delay.timeout_seconds = 60 , a = b"}}, 35, 65),
        ({"annotations": {"alb.ingress.kubernetes.io/scheme": "internal"}}, 35, 305),
        ({"className": "alb"}, 305, None),
        ({"annotations": {"kubernetes.io/ingress.class": "alb"}}, 35, 305),
        ({"className": "alb", "annotations": {ATTRIBUTES: "deregistration_delay.timeout_seconds=soon"}}, 35, None),
        ({"className": "nginx"}, 1, None),
    ],
)
def test_a_drain_that_ends_before_the_load_balancer_stops_is_told(
    ingress: dict[str, Any], drain: int, short_of: int | None
) -> None:
    """Elastic Load Balancing takes 300 s where the attribute is absent."""
    cluster = copy.deepcopy(UP)
    cluster.community = community(ingress=ingress, api={"drainSeconds": drain})
    found = condition_of(status_of(cluster, found=prerequisites.of_drain(cluster.community)), "Degraded")
    if short_of is None:
        assert (found["status"], found["reason"]) == ("False", "AsExpected")
    else:
        assert (found["status"], found["reason"]) == ("True", "DrainTooShort")
        assert f"spec.api.drainSeconds is {drain}" in found["message"]
        assert f"to at least {short_of}." in found["message"]


def test_without_a_host_there_is_no_load_balancer_to_wait_for() -> None:
    assert prerequisites.of_drain(community(host=None, ingress={"className": "alb"})) == []


def test_reason_of_a_pause_that_is_longer_than_a_message_may_be_is_shortened() -> None:
    cluster = copy.deepcopy(UP)
    cluster.community = replace(cluster.community, paused="밥" * 80_000)
    message = condition_of(status_of(cluster), "Paused")["message"]
    assert "밥밥…)" in message
    assert message.endswith("bapsang.dev/paused-.")


def test_no_message_is_longer_than_the_apiserver_takes() -> None:
    found = status_of(UP, found=[Problem(Reason.CHILD_FAILED, "x" * 40_000)])
    longest = STATUS["properties"]["conditions"]["items"]["properties"]["message"]["maxLength"]
    assert len(condition_of(found, "Degraded")["message"]) == longest


def test_unchanged_world_yields_an_unchanged_status_later_on() -> None:
    first = status_of(UP)
    assert status_of(UP, first, now=NOW + timedelta(hours=1)) == first


def test_time_moves_only_with_the_status_of_a_condition() -> None:
    first = status_of(UP)
    later = NOW + timedelta(minutes=5)
    second = status_of(UP, first, [Problem(Reason.UNSCHEDULABLE, "x")], now=later)
    assert condition_of(second, "Degraded")["lastTransitionTime"] == "2026-11-23T10:05:00Z"
    assert condition_of(second, "Ready")["lastTransitionTime"] == "2026-11-23T10:00:00Z"


@pytest.mark.parametrize(("available", "ready"), [(2, "True"), (1, "True"), (0, "False")])
def test_ready_allows_for_one_missing_base_pod(available: int, ready: str) -> None:
    cluster = copy.deepcopy(UP)
    cluster.at("Deployment", "c-api-base")["status"]["availableReplicas"] = available
    assert condition_of(status_of(cluster, status_of(UP)), "Ready")["status"] == ready


@pytest.mark.parametrize(
    ("wanted", "available", "ready"), [(1, 1, "True"), (1, 0, "False"), (3, 2, "True"), (3, 1, "False")]
)
def test_ready_asks_for_all_base_pods_but_one_and_for_one_at_least(wanted: int, available: int, ready: str) -> None:
    cluster = Cluster(community(api={"base": {"replicas": wanted}}))
    cluster.bring_up()
    cluster.at("Deployment", "c-api-base")["status"]["availableReplicas"] = available
    assert condition_of(status_of(cluster, status_of(UP)), "Ready")["status"] == ready


@pytest.mark.parametrize(
    ("ingress", "reason"),
    [
        ({"className": "alb"}, "NoAddress"),
        ({"annotations": {"alb.ingress.kubernetes.io/scheme": "internal"}}, "NoAddress"),
        ({"className": "gce"}, "NoAddress"),
        ({"annotations": {"kubernetes.io/ingress.class": "gce-internal"}}, "NoAddress"),
        ({"annotations": {"kubernetes.io/ingress.class": "nginx"}}, "Serving"),
        ({"className": "contour"}, "Serving"),
        ({}, "Serving"),
    ],
)
def test_ready_asks_for_an_address_where_the_class_always_gives_one(ingress: dict[str, Any], reason: str) -> None:
    cluster = Cluster(community(ingress=ingress))
    cluster.bring_up()
    found = cluster.at("Ingress", "c-api")
    assert _told(status_of(cluster), "Ready") == ("True", "Serving")
    assert "no address" not in condition_of(status_of(cluster), "Ready")["message"]
    for told in ({}, {"loadBalancer": {}}, {"loadBalancer": {"ingress": []}}):
        found["status"] = told
        ready = condition_of(status_of(cluster), "Ready")
        assert (ready["reason"], ready["status"]) == (reason, "True" if reason == "Serving" else "False")
        assert "Ingress c-api has no address" in ready["message"]


def test_without_a_host_there_is_no_address_to_ask_for() -> None:
    cluster = Cluster(community(host=None, ingress={"className": "alb"}))
    cluster.bring_up()
    assert _told(status_of(cluster), "Ready") == ("True", "Serving")


def test_users_are_served_until_the_last_pod_of_either_tier_is_asleep() -> None:
    cluster = copy.deepcopy(UP)
    cluster.community = community(hibernate=True)
    for tier, told in (("base", ("True", "Serving")), ("burst", ("False", "Hibernated"))):
        found = cluster.at("Deployment", f"c-api-{tier}")
        found["spec"]["replicas"] = 0
        found["status"] = {"observedGeneration": found["metadata"]["generation"]}
        assert _told(status_of(cluster, status_of(UP)), "Ready") == told
        assert (
            _told(status_of(cluster, status_of(UP)), "Progressing")[1]
            == {
                "base": "Hibernating",
                "burst": "Hibernated",
            }[tier]
        )


@pytest.mark.parametrize("kind", ["Deployment", "Service"])
def test_what_is_put_back_begins_no_rollout(kind: str) -> None:
    cluster = copy.deepcopy(UP)
    cluster.at("Deployment", "c-api-base")["status"] |= {"availableReplicas": 1, "readyReplicas": 1}
    if kind == "Deployment":
        cluster.at("Deployment", "c-api-base")["spec"]["progressDeadlineSeconds"] = 1
    else:
        del cluster.live[Key("Service", "ns", "c-api")]
    made = cluster.plan()
    assert [one.manifest["kind"] for one in made.applies] == [kind]
    assert _told(status_of(cluster, status_of(UP), planned=made), "Progressing") == ("False", "UpToDate")


def test_pods_that_come_and_go_are_no_rollout() -> None:
    settled = status_of(UP)
    cluster = copy.deepcopy(UP)
    cluster.at("Deployment", "c-api-base")["status"] |= {"availableReplicas": 1, "readyReplicas": 1}
    burst = cluster.at("Deployment", "c-api-burst")
    burst["spec"]["replicas"] = 5
    burst["metadata"]["generation"] += 1
    assert _told(status_of(cluster, settled), "Progressing") == ("False", "UpToDate")


def test_rollout_lasts_until_burst_is_replaced() -> None:
    settled = status_of(UP)
    cluster = copy.deepcopy(UP)
    cluster.community = community(image="bapsang/api:0.2.0")
    cluster.step()
    waiting = status_of(cluster, settled)
    assert _told(waiting, "Progressing") == ("True", "Migrating")
    cluster.end_job(migration_key(cluster.community))
    made = cluster.step()
    rolling = status_of(cluster, waiting, planned=made)
    assert _told(rolling, "Progressing") == ("True", "RollingOutBase")
    assert rolling["image"] == "bapsang/api:0.1.0"
    cluster.settle()
    made = cluster.step()
    bursting = status_of(cluster, rolling, planned=made)
    assert _told(bursting, "Progressing") == ("True", "RollingOutBurst")
    assert _told(status_of(cluster, bursting), "Progressing") == ("True", "RollingOutBurst")
    cluster.settle()
    done = status_of(cluster, bursting)
    assert _told(done, "Progressing") == ("False", "UpToDate")
    assert done["image"] == "bapsang/api:0.2.0"


def test_store_that_is_down_makes_the_community_unready() -> None:
    cluster = copy.deepcopy(UP)
    cluster.at("StatefulSet", "c-redis")["status"] |= {"readyReplicas": 0}
    found = status_of(cluster, status_of(UP))
    assert _told(found, "RedisReady") == ("False", "NotAvailable")
    assert _told(found, "Ready") == ("False", "NotAvailable")


def test_external_stores_are_not_judged() -> None:
    cluster = Cluster(community(redis={"mode": "external", "url": "redis://a:6379"}))
    cluster.bring_up()
    found = status_of(cluster)
    assert _told(found, "RedisReady") == ("Unknown", "External")
    assert _told(found, "Ready") == ("True", "Serving")


def test_invalid_spec_leaves_everything_else_as_it_was() -> None:
    old = status_of(UP)
    found = status.invalid(7, [Problem(Reason.INVALID_SPEC, "spec.host: must be a DNS name")], old, NOW)
    assert _told(found, "Degraded") == ("True", "InvalidSpec")
    assert _told(found, "Progressing") == ("False", "Blocked")
    assert condition_of(found, "Ready") == condition_of(old, "Ready")
    assert (found["observedGeneration"], found["image"]) == (7, old["image"])


@pytest.mark.parametrize(("count", "more"), [(5, ""), (6, " And 1 more."), (8, " And 3 more.")])
def test_many_problems_are_summed_up(count: int, more: str) -> None:
    found = status_of(UP, found=[Problem(Reason.FOREIGN_OBJECT, f"p{index}.") for index in range(count)])
    assert condition_of(found, "Degraded")["message"] == f"p0. p1. p2. p3. p4.{more}"


def test_events_tell_of_transitions_once() -> None:
    starting = status_of(Cluster(community()))
    assert reasons_of({}, starting) == ["RolloutStarted"]
    up = status_of(UP)
    assert reasons_of(starting, up) == ["Ready", "RolloutCompleted", "MigrationSucceeded"]
    assert reasons_of(up, up) == []
    bad = status_of(UP, up, [Problem(Reason.IMAGE_PULL_FAILED, "x")])
    assert reasons_of(up, bad) == ["ImagePullFailed"]
    assert reasons_of(bad, bad) == []
    worse = status_of(UP, bad, [Problem(Reason.CONTAINER_CRASHING, "x")])
    assert reasons_of(bad, worse) == ["ContainerCrashing"]
    assert reasons_of(worse, up) == ["Recovered"]
    down = copy.deepcopy(UP)
    down.at("Deployment", "c-api-base")["status"] = {}
    assert reasons_of(up, status_of(down, up)) == ["NotReady"]


def test_rollout_is_completed_only_by_one_that_was_under_way_and_came_through() -> None:
    up = status_of(UP)
    assert "RolloutCompleted" not in reasons_of({}, up)
    rolling = copy.deepcopy(up)
    condition_of(rolling, "Progressing").update({"status": "True", "reason": "RollingOutBase"})
    assert reasons_of(rolling, up) == ["RolloutCompleted"]
    blocked = status_of(UP, up, [Problem(Reason.ROLLOUT_STUCK, "x")])
    assert reasons_of(rolling, blocked) == ["RolloutStuck"]


def _container(**state: Any) -> Manifest:
    return {"name": "api", "image": "img", "ready": False, **state}


@pytest.mark.parametrize(
    ("container", "reason", "text"),
    [
        (
            _container(state={"waiting": {"reason": "ErrImagePull"}}),
            Reason.IMAGE_PULL_FAILED,
            'image "img" cannot be pulled',
        ),
        (
            _container(state={"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}}),
            Reason.CONTAINER_CONFIG_ERROR,
            'cannot be started: secret "s" not found',
        ),
        (
            _container(
                state={"running": {}}, lastState={"terminated": {"exitCode": 1, "message": "DATABASE_REFUSED 1045\n"}}
            ),
            Reason.CONTAINER_CRASHING,
            "(exit code 1: the database refuses the user, the password or the database's name (DATABASE_REFUSED 1045))",
        ),
    ],
)
def test_ailing_container_is_told_by_workload_and_cause(container: Manifest, reason: Reason, text: str) -> None:
    pods = [pod(Component.API, tier="base", name=name, containerStatuses=[container]) for name in ("one", "two")]
    (found,) = workloads.of_pods(community(), JOB, pods, NOW)
    assert found.reason is reason
    assert found.message.startswith("Deployment c-api-base: ")
    assert text in found.message
    assert "one" not in found.message


def test_container_that_recovered_is_no_problem() -> None:
    ended = {"terminated": {"exitCode": 1}}
    one = pod(
        Component.REDIS,
        containerStatuses=[{"name": "redis", "ready": True, "state": {"running": {}}, "lastState": ended}],
    )
    assert workloads.of_pods(community(), JOB, [one], NOW) == []


@pytest.mark.parametrize(("age", "count"), [(5, 0), (60, 1)])
def test_unschedulable_pod_is_a_problem_after_a_while(age: int, count: int) -> None:
    waiting = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available",
    }
    one = pod(Component.MYSQL, conditions=[waiting])
    found = workloads.of_pods(community(), JOB, [one], NOW + timedelta(seconds=age))
    assert len(found) == count


def test_placeholder_that_finds_no_place_is_no_problem() -> None:
    waiting = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"}
    found = pod(Component.HEADROOM, conditions=[waiting])
    assert workloads.of_pods(UP.community, JOB, [found], NOW + timedelta(hours=1)) == []


def test_pods_that_the_apiserver_refuses_are_told_in_its_words() -> None:
    cluster = Cluster(community(api={"burst": {"headroom": 1}}))
    cluster.bring_up()
    assert workloads.of_refused_pods(cluster.live.values()) == []
    refusal = {"type": "ReplicaFailure", "status": "True", "message": "no PriorityClass with name bapsang-headroom"}
    cluster.at("Deployment", "c-headroom")["status"]["conditions"] = [refusal]
    (found,) = workloads.of_refused_pods(cluster.live.values())
    assert found.reason == Reason.PODS_REFUSED
    for part in ("c-headroom", refusal["message"]):
        assert part in found.message


def test_pods_of_an_older_migration_are_history() -> None:
    bad = _container(state={"waiting": {"reason": "ErrImagePull"}})
    current = migration_key(community()).name
    pods = [pod(Component.MIGRATE, job=job, containerStatuses=[bad]) for job in ("c-migrate-00000000", current)]
    (found,) = workloads.of_pods(community(), JOB, pods, NOW)
    assert found.message.startswith(f"Job {current}: ")


def test_failed_migration_says_how_its_pod_ended_and_what_to_do() -> None:
    cluster = copy.deepcopy(UP)
    key = migration_key(cluster.community)
    cluster.end_job(key, "Failed")
    seen = progress.observe(cluster.community, children(cluster.community), cluster.live)
    ended = {"name": "migrate", "state": {"terminated": {"exitCode": 1, "message": "DATABASE_BUSY 1205"}}}
    (found,) = workloads.of_migration(
        cluster.community, seen, [pod(Component.MIGRATE, job=key.name, containerStatuses=[ended])]
    )
    for part in (
        key.name,
        "free in time (DATABASE_BUSY 1205))",
        "stays in service",
        f"logs job/{key.name}",
        "delete the Job",
    ):
        assert part in found.message


def test_missing_secret_is_told_with_field_key_and_namespace() -> None:
    ref = SecretRef("db-writer", "url", "spec.database.writerSecretRef")
    (found,) = prerequisites.of_secrets(community(), [ref])
    for part in ("Community ns/c", "spec.database.writerSecretRef", '"url"', '"db-writer"', "namespace ns"):
        assert part in found.message


def test_problems_are_ranked_causes_first_and_told_once() -> None:
    late, early = Problem(Reason.LIKE_SYNC_FAILED, "b"), Problem(Reason.SECRET_MISSING, "a")
    assert problem.ranked([late, early, late]) == [early, late]


def test_stuck_rollout_is_told() -> None:
    cluster = copy.deepcopy(UP)
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    cluster.live[Key("Deployment", "ns", "c-api-base")]["status"]["conditions"] = [stuck]
    seen = progress.observe(cluster.community, children(cluster.community), cluster.live)
    (found,) = workloads.of_rollout(cluster.community, seen)
    assert found.reason is Reason.ROLLOUT_STUCK


def test_a_community_rests_when_nothing_is_to_be_done_and_nothing_waits_for_a_time() -> None:
    def rests(pods: list[Manifest] | None = None, planned: Plan | None = None, **changes: Any) -> bool:
        live = dict(UP.live) | {Key("Pod", "ns", one["metadata"]["name"]): one for one in pods or ()}
        return observation.is_settled(community(**changes), planned or Plan(), live)

    assert rests()
    assert rests(
        [pod(Component.API, tier="burst", phase="Running"), pod(Component.LIKE_SYNC, name="q", phase="Failed")]
    )
    # After a minute it is a problem that a pod finds no node, and nobody tells of a minute.
    assert not rests([pod(Component.API, tier="burst", phase="Pending")])
    assert not rests([pod(Component.API, tier="burst")])
    assert not rests(planned=Plan(terminating=[Key("Service", "ns", "c-api")]))
    window = {
        **{"name": "dinner", "schedule": "30 17 * * *", "timeZone": "Asia/Seoul"},
        **{"duration": "2h", "replicas": 8},
    }
    assert not rests(prewarm=[window])


def test_status_of_a_newer_version_is_kept_by_an_older_one_that_refuses_the_spec() -> None:
    future = {"type": "Brewed", "status": "True", "reason": "Hot", "message": "m", "lastTransitionTime": "t"}
    old = {"conditions": [future, *status_of(Cluster(community()))["conditions"]]}
    for new in (
        status.invalid(2, [Problem(Reason.INVALID_SPEC, "no")], old, NOW),
        status.internal_error(2, failures.of_exception(ValueError("a secret")), old, NOW),
    ):
        assert new["conditions"][-1] == future
        assert condition_of(new, "Progressing")["reason"] == "Blocked"
        assert condition_of(new, "Degraded")["observedGeneration"] == 2
        assert len(events.transitions(old, new)) == 1
        assert "a secret" not in str(new)


def test_failure_of_a_child_reads_the_same_at_every_attempt_and_stays_short() -> None:
    key = Key("Service", "ns", "c-api")
    words = 'failed calling webhook "x": Post "https://x": read tcp 10.0.0.1:{}->10.0.0.2:443: i/o timeout'
    texts = {failures.of_failure(key, words.format(port)).message for port in (40001, 51234)}
    assert len(texts) == 1
    assert "read tcp 10.0.0.2:443: i/o timeout." in texts.pop()
    assert len(failures.of_failure(key, "x" * 5000).message) < 400
