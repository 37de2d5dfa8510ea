"""Refused pods of StatefulSets and Jobs, in the words of whoever refused them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from bapsang_operator import names
from bapsang_operator.cluster.client import KubeError
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component
from bapsang_operator.unwatched import refused_pods

from .fake_kube import FakeKube
from .test_passes import Pass
from .world import NOW, Cluster, community, migration_key

QUOTA = "exceeded quota: team, requested: limits.memory=256Mi, used: limits.memory=0, limited: limits.memory=100Mi"


def _event(message: str, age: float = 5, **form: str | None) -> Manifest:
    at = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    old = (NOW - timedelta(days=1)).isoformat().replace("+00:00", "Z")
    return {
        "reason": refused_pods.FAILED_CREATE,
        "message": message,
        "metadata": {"creationTimestamp": old},
        **(form or {"lastTimestamp": at}),
    }


@pytest.mark.parametrize(
    "message",
    [
        f'create Pod c-redis-0 in StatefulSet c-redis failed error: pods "c-redis-0" is forbidden: {QUOTA}',
        f'Error creating: pods "c-migrate-7eb40bd2-x2x9q" is forbidden: {QUOTA}',
        QUOTA,
    ],
)
def test_words_of_a_refusal_name_no_pod(message: str) -> None:
    assert refused_pods.words(message) == QUOTA


def test_words_of_a_webhook_are_left_as_they_are() -> None:
    said = 'admission webhook "policy.example.com" denied the request: no'
    assert refused_pods.words(f"Error creating: {said}") == said


def test_latest_event_counts_in_either_form_and_only_while_it_is_repeated() -> None:
    since = NOW - timedelta(seconds=60)
    assert refused_pods.latest([], None) == ""
    assert refused_pods.latest([_event("old", 61)], since) == ""
    assert refused_pods.latest([_event("old", 61)], None) == "old"
    assert refused_pods.latest([_event("b", 9), _event("a", 3), _event("c", 50)], since) == "a"
    at = NOW.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    assert refused_pods.latest([_event("new form", 0, eventTime=at, lastTimestamp=None)], since) == "new form"


def _names(cluster: Cluster, now: datetime = NOW) -> set[str]:
    job = migration_key(cluster.community).name
    return {one["metadata"]["name"] for one in refused_pods.without_pods(job, cluster.live, now)}


def test_stores_and_the_migration_have_no_pods_until_their_status_counts_one() -> None:
    cluster = Cluster(community())
    cluster.step()
    assert _names(cluster) == {"c-mysql", "c-redis"}
    cluster.settle()
    cluster.step()
    job = migration_key(cluster.community)
    assert _names(cluster) == {job.name}
    for count in ("active", "failed", "terminating"):
        cluster.live[job]["status"] = {count: 1}
        assert _names(cluster) == set()
    cluster.end_job(job, "Failed")
    assert _names(cluster) == {job.name}  # its time is over, and nothing of it ever ran
    cluster.end_job(job)
    assert _names(cluster) == set()


def test_newest_run_of_a_cron_job_counts_once_its_pod_is_late() -> None:
    cluster = Cluster(community())
    for place, name in enumerate(("older", "newest")):
        created = (NOW + timedelta(minutes=place)).strftime("%Y-%m-%dT%H:%M:%SZ")
        labels = {names.LABEL_COMPONENT: Component.LIKE_SYNC}
        metadata = {"name": name, "namespace": "ns", "labels": labels, "creationTimestamp": created}
        cluster.live[Key("Job", "ns", name)] = {"kind": "Job", "metadata": metadata, "spec": {}}
    assert _names(cluster, NOW + timedelta(seconds=80)) == set()
    assert _names(cluster, NOW + timedelta(seconds=100)) == {"newest"}


async def test_pass_tells_who_refuses_the_pods_of_a_store_and_looks_again() -> None:
    found = Pass()
    assert await found.run()
    assert found.condition("Degraded")["status"] == "False"
    assert found.later == [refused_pods.READ_AGAIN_SECONDS]
    message = f'create Pod c-redis-0 in StatefulSet c-redis failed error: pods "c-redis-0" is forbidden: {QUOTA}'
    found.kube.told[Key("StatefulSet", "ns", "c-redis")] = [_event(message)]
    assert await found.run()
    told = found.condition("Degraded")
    assert told["reason"] == "PodsRefused"
    assert told["message"] == f"StatefulSet c-redis: the apiserver refuses its pods: {QUOTA}"
    assert found.condition("Progressing")["reason"] == "WaitingForDatabase"


async def test_events_that_may_not_be_read_hide_nothing_else() -> None:
    found = Pass()
    denied = KubeError(403, "Forbidden", "events is forbidden")
    found.kube.fails = lambda _verb, key: denied if key.kind == "Event" else None
    assert await found.run()
    assert found.condition("Degraded")["status"] == "False"


async def test_apiserver_that_does_not_answer_ends_the_pass() -> None:
    kube = FakeKube()
    kube.fails = lambda _verb, _key: KubeError(0, "NoAnswer", "refused")
    job = {"kind": "Job", "metadata": {"name": "j", "namespace": "ns"}}
    with pytest.raises(KubeError):
        await refused_pods.read(kube, community(), [job], NOW)
