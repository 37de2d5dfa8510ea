"""The planner: idempotent, sees every edit, opens gates in order, touches nothing foreign."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bapsang_operator import build, names
from bapsang_operator.build.child import Child
from bapsang_operator.kinds import CHILDREN
from bapsang_operator.manifest import Key, Manifest, digest, key_of
from bapsang_operator.names import Component
from bapsang_operator.planning import drift, plan, progress
from bapsang_operator.planning.plan import Cause, Ownership, Plan

from .world import AllDigests, Cluster, children, community, migration_key

#: Kinds of which an object may ever be deleted.
DELETABLE = {kind.name for kind in CHILDREN if kind.deletable}
SPECS: list[dict[str, Any]] = [
    {},
    {"redis": {"mode": "external", "url": "redis://a:6379"}},
    {"api": {"arch": "arm64", "env": [{"name": "A", "value": "1"}], "spot": {"enabled": False}}},
    {"storage": {"bucket": "media", "secretName": "s3"}, "api": {"rateLimits": {"rules": {"ip": "1/1"}}}},
    {"api": {"burst": {"headroom": 2, "minReplicas": 2}}},
    {"host": "other.example.com", "ingress": {"className": "alb", "annotations": {"a": "b"}}},
]


def _names(made: Plan) -> set[str]:
    return {str(key_of(apply.manifest)) for apply in made.applies}


@pytest.mark.parametrize("changes", SPECS)
def test_planning_against_what_was_applied_yields_nothing(changes: dict[str, Any]) -> None:
    cluster = Cluster(community(**changes))
    cluster.bring_up()
    made = cluster.plan()
    assert (made.applies, made.deletes, made.held, made.terminating, made.foreign) == ([], [], [], [], [])


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path


def _edit(live: Manifest, path: tuple[str | int, ...], *, remove: bool) -> None:
    node: Any = live
    for step in path[:-1]:
        node = node[step]
    before = node[path[-1]]
    # What the apiserver would refuse is no edit: another type, a container or a variable without its name.
    if remove and isinstance(node, dict) and path[-1] not in {"name", "mountPath"}:
        del node[path[-1]]
    else:
        node[path[-1]] = before + 1 if isinstance(before, int) and not isinstance(before, bool) else "edited"


UP = Cluster(community())
UP.bring_up()
IDENTITY = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
OWNED = [
    (child.key, path)
    for child in children(UP.community)
    for path in _leaves(child.manifest)
    if path not in IDENTITY and path[:2] != ("metadata", "ownerReferences")
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(OWNED), st.booleans())
def test_edit_of_any_owned_field_is_undone(where: tuple[Key, tuple[str | int, ...]], remove: bool) -> None:
    key, path = where
    cluster = copy.copy(UP)
    cluster.live = UP.live | {key: copy.deepcopy(UP.live[key])}
    _edit(cluster.live[key], path, remove=remove)
    made = cluster.plan()
    assert [key_of(apply.manifest) for apply in made.applies] == [key]
    assert made.applies[0].cause is Cause.DRIFTED
    assert made.applies[0].fields


def test_every_owned_field_is_worth_an_edit() -> None:
    assert len(OWNED) > 500


@given(st.sampled_from([child.key for child in children(UP.community)]))
def test_deleted_child_is_applied_again(key: Key) -> None:
    cluster = copy.deepcopy(UP)
    del cluster.live[key]
    made = cluster.plan()
    assert [(key_of(apply.manifest), apply.cause) for apply in made.applies] == [(key, Cause.MISSING)]


def test_field_that_the_manifest_no_longer_has_is_noticed() -> None:
    cluster = copy.deepcopy(UP)
    found = children(community(ingress={"annotations": {"a": "b"}}))
    cluster.step(found)
    made = cluster.plan(children(community()))
    assert [(str(key_of(apply.manifest)), apply.cause) for apply in made.applies] == [("Ingress c-api", Cause.CHANGED)]


def test_gates_open_one_after_another() -> None:
    cluster = Cluster(community())
    first = _names(cluster.step())
    assert not {name for name in first if name.startswith(("Deployment", "Job", "CronJob", "Horizontal"))}
    cluster.settle()
    assert _names(cluster.step()) == {str(migration_key(cluster.community))}
    assert _names(cluster.step()) == set()
    cluster.settle()
    assert _names(cluster.step()) == {"Deployment c-api-base", "CronJob c-like-sync"}
    assert _names(cluster.step()) == set()
    cluster.settle()
    assert _names(cluster.step()) == {"Deployment c-api-burst", "HorizontalPodAutoscaler c-api-burst"}


def test_redis_holds_up_the_base_tier_but_not_the_migration() -> None:
    cluster = Cluster(community())
    cluster.step()
    cluster.settle()
    cluster.at("StatefulSet", "c-redis")["status"] = {}
    assert _names(cluster.step()) == {str(migration_key(cluster.community))}
    cluster.end_job(migration_key(cluster.community))
    assert _names(cluster.step()) == set()


@pytest.mark.parametrize("ended", [None, "Failed"])
def test_new_image_waits_for_its_migration_while_edits_are_undone(ended: str | None) -> None:
    cluster = copy.deepcopy(UP)
    cluster.community = community(image="bapsang/api:0.2.0")
    assert _names(cluster.step()) == {str(migration_key(cluster.community))}
    if ended:
        cluster.end_job(migration_key(cluster.community), ended)
    assert _names(cluster.plan()) == set()
    cluster.at("Deployment", "c-api-base")["spec"]["replicas"] = 0
    made = cluster.step()
    assert _names(made) == {"Deployment c-api-base"}
    container = made.applies[0].manifest["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "bapsang/api:0.1.0"


def test_base_that_does_not_become_available_holds_back_burst() -> None:
    cluster = copy.deepcopy(UP)
    cluster.community = community(image="bapsang/api:0.2.0")
    cluster.step()
    cluster.end_job(migration_key(cluster.community))
    cluster.step()
    cluster.at("Deployment", "c-api-base")["status"] |= {"observedGeneration": 99, "replicas": 3, "updatedReplicas": 1}
    made = cluster.plan()
    assert _names(made) == set()
    assert {child.key.name for child in made.held} == {"c-api-burst"}


def test_superseded_migration_goes_only_when_the_newer_one_is_through() -> None:
    cluster = copy.deepcopy(UP)
    first = migration_key(cluster.community)
    cluster.community = community(image="bapsang/api:0.2.0")
    cluster.step()
    cluster.end_job(migration_key(cluster.community), "Failed")
    assert not cluster.plan().deletes
    cluster.end_job(migration_key(cluster.community))
    assert [key_of(gone) for gone in cluster.plan().deletes] == [first]


def test_a_job_is_never_changed_once_it_exists() -> None:
    cluster = copy.deepcopy(UP)
    found = [copy.deepcopy(child) for child in children(cluster.community)]
    job = next(child for child in found if child.key.kind == "Job")
    job.manifest["spec"]["backoffLimit"] = 5
    assert not cluster.plan(found).applies


def test_removed_host_deletes_the_ingress_and_nothing_that_holds_data() -> None:
    cluster = copy.deepcopy(UP)
    kept = [child for child in children(cluster.community) if child.key.kind in DELETABLE - {"Ingress"}]
    assert [key_of(gone).kind for gone in cluster.plan(kept).deletes] == ["Ingress"]


def test_placeholders_go_when_no_head_room_is_wanted_and_no_other_deployment_ever_does() -> None:
    cluster = Cluster(community(api={"burst": {"headroom": 2}}))
    cluster.bring_up()
    assert cluster.at("Deployment", "c-headroom")["spec"]["replicas"] == 2
    cluster.community = community()
    assert [key_of(one).name for one in cluster.step().deletes] == ["c-headroom"]
    cluster.community = community(hibernate=True, api={"base": {"replicas": 1}, "spot": {"enabled": False}})
    assert cluster.step().deletes == []


def test_orphan_that_is_on_its_way_out_is_not_deleted_again() -> None:
    cluster = copy.deepcopy(UP)
    kept = [child for child in children(cluster.community) if child.key.kind != "Ingress"]
    cluster.at("Ingress", "c-api")["metadata"]["deletionTimestamp"] = "2026-11-23T10:00:00Z"
    assert cluster.plan(kept).deletes == []


def test_burst_is_put_to_sleep_also_where_nobody_has_set_its_count_and_never_while_it_vanishes() -> None:
    cluster = copy.deepcopy(UP)
    cluster.community = community(hibernate=True)
    burst = cluster.at("Deployment", "c-api-burst")
    burst["spec"].pop("replicas", None)
    assert [scale.replicas for scale in cluster.plan().scales] == [0]
    burst["metadata"]["deletionTimestamp"] = "2026-11-23T10:00:00Z"
    assert cluster.plan().scales == []


def test_jobs_of_the_cron_job_are_not_orphans() -> None:
    cluster = copy.deepcopy(UP)
    key = Key("Job", "ns", "c-like-sync-1")
    owner = {"kind": "CronJob", "name": "c-like-sync", "uid": "u", "controller": True}
    labels = {names.LABEL_COMPONENT: "like-sync"}
    cluster.live[key] = {
        "kind": "Job",
        "metadata": {"name": key.name, "namespace": "ns", "uid": "j", "labels": labels, "ownerReferences": [owner]},
    }
    assert not cluster.plan().deletes


def test_missing_secret_holds_what_reads_it_and_leaves_it_running() -> None:
    class Without(AllDigests):
        def __contains__(self, key: object) -> bool:
            return key != ("c-signing-key", "signing-key.pem")

        def get(self, key: Any, default: Any = None) -> Any:  # type: ignore[override]
            return super().get(key) if key in self else default

    found = children(community(), Without())
    made = copy.deepcopy(UP).plan(found)
    # The migration too: its name is keyed by the key that is missing.
    (job,) = [child.key.name for child in found if child.key.kind == "Job"]
    assert {child.key.name for child in made.held} == {"c-api-base", "c-api-burst", job}
    assert not made.applies


WRITER = ("w", "url")
EXTERNAL = {"mode": "external", "writerSecretRef": {"name": "w"}}


def _tiers(made: Plan) -> set[str]:
    return {name for name in _names(made) if name.startswith("Deployment")}


def test_no_pod_follows_a_secret_to_another_database_before_it_is_migrated() -> None:
    cluster = Cluster(community(database=EXTERNAL))
    cluster.bring_up()
    moved = children(cluster.community, AllDigests({WRITER: "other"}))
    (job,) = [child.key for child in moved if child.key.kind == "Job"]
    made = cluster.step(moved)
    assert _names(made) == {str(job)}
    cluster.end_job(job, "Failed")
    assert not cluster.plan(moved).applies
    # The Secret as it was: the migration of that database still counts.
    assert not cluster.plan().held
    cluster.end_job(job)
    assert _tiers(cluster.step(moved)) == {"Deployment c-api-base"}
    cluster.settle()
    assert _tiers(cluster.step(moved)) == {"Deployment c-api-burst"}
    assert not [key for key in cluster.live if key.kind == "Job" and key != job]


def test_a_lost_volume_is_migrated_before_anything_else_is_changed() -> None:
    cluster = copy.deepcopy(UP)
    claim = Key("PersistentVolumeClaim", "ns", "c-mysql")
    assert progress.claim_uid(cluster.community, cluster.live) == f"uid-{claim}"
    del cluster.live[claim]
    assert progress.claim_uid(cluster.community, cluster.live) == ""
    assert _names(cluster.step()) == {str(claim)}  # no migration of a volume that is not there
    moved = build.children(cluster.community, AllDigests(), claim="another", has_keda=True)
    (job,) = [child.key for child in moved if child.key.kind == "Job"]
    assert _names(cluster.step(moved)) == {str(job)}


def _upgraded() -> Cluster:
    """A Community as an operator of the version before has left it: its migration is named by the image alone."""
    cluster = copy.deepcopy(UP)
    job = cluster.live.pop(migration_key(cluster.community))
    name = names.migration("c", build.migration.earlier_digest(cluster.community))
    job["metadata"]["name"] = name
    cluster.live[Key("Job", "ns", name)] = job
    cluster.applied.clear()
    return cluster


def test_upgrade_of_the_operator_runs_the_migration_once_more_and_holds_up_nothing() -> None:
    cluster = _upgraded()
    job = migration_key(cluster.community)
    made = cluster.step()
    assert (_names(made), made.held, made.deletes) == ({str(job)}, [], [])
    # What was possible before goes on while that Job runs: another template, more pods, no pods.
    changed = children(community(api={"base": {"replicas": 4, "resources": {"requests": {"cpu": "1"}}}}))
    assert "Deployment c-api-base" in _names(cluster.plan(changed))
    # What a Secret moves to another database must wait for the migration of that one.
    assert not _tiers(cluster.plan(children(cluster.community, AllDigests({("c-mysql", "url"): "other"}))))
    cluster.settle()
    made = cluster.step()
    assert (_names(made), [key_of(gone).kind for gone in made.deletes]) == (set(), ["Job"])


OWNER = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": "c", "uid": "other", "controller": True}
OURS = {names.LABEL_MANAGED_BY: names.MANAGER, names.LABEL_COMMUNITY: "c"}


@pytest.mark.parametrize(
    ("metadata", "whose"),
    [
        ({"ownerReferences": [{**OWNER, "uid": community().uid}]}, Ownership.OURS),
        ({"labels": OURS}, Ownership.OURS),
        ({"ownerReferences": [OWNER], "labels": OURS}, Ownership.EARLIER),
        ({"ownerReferences": [{**OWNER, "name": "d"}], "labels": OURS}, Ownership.FOREIGN),
        ({"ownerReferences": [{**OWNER, "kind": "Application"}], "labels": OURS}, Ownership.FOREIGN),
        ({"labels": {"app": "x"}}, Ownership.FOREIGN),
        ({"labels": {**OURS, names.LABEL_COMMUNITY: "d"}}, Ownership.FOREIGN),
        ({}, Ownership.FOREIGN),
    ],
)
def test_ownership_is_told_by_controller_then_by_labels(metadata: Manifest, whose: Ownership) -> None:
    assert plan.ownership(community(), {"metadata": metadata}) is whose


def test_foreign_and_terminating_objects_are_left_alone() -> None:
    cluster = copy.deepcopy(UP)
    cluster.at("Service", "c-api")["metadata"]["ownerReferences"] = [{**OWNER, "name": "d"}]
    cluster.at("Service", "c-redis")["metadata"]["ownerReferences"] = [OWNER]
    cluster.at("Service", "c-mysql")["metadata"]["deletionTimestamp"] = "2026-11-23T10:00:00Z"
    made = cluster.plan()
    assert made.applies == made.deletes == []
    assert [key.name for key in made.foreign] == ["c-api"]
    assert {key.name for key in made.terminating} == {"c-redis", "c-mysql"}


@pytest.mark.parametrize(
    ("wanted", "live", "differs"),
    [
        ({"resources": {"requests": {"cpu": "1000m"}}}, {"resources": {"requests": {"cpu": "1"}}}, False),
        ({"resources": {"limits": {"memory": "0.5Gi"}}}, {"resources": {"limits": {"memory": "512Mi"}}}, False),
        ({"resources": {"requests": {"cpu": 1}}}, {"resources": {"requests": {"cpu": "2"}}}, True),
        ({"emptyDir": {}}, {"emptyDir": {}}, False),
        ({"ingress": []}, {}, False),
        ({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}, False),
        ({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A", "value": "x"}]}, True),
        ({"env": [{"name": "A", "value": ""}]}, {"env": []}, True),
        ({"tolerations": [{"key": "", "operator": "Exists"}]}, {"tolerations": [{"operator": "Exists"}]}, False),
        ({"automount": False}, {}, True),
        ({"args": ["a"]}, {"args": ["a", "b"]}, True),
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
            False,
        ),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "B", "value": "1"}]}, True),
        ({"a": {"b": 1}}, {"a": None}, True),
        ({"a": [1]}, {"a": "x"}, True),
        ({"selector": {"a": "1"}}, {"selector": {"a": "1", "b": "2"}}, True),
        ({"podSelector": {"matchLabels": {"a": "1"}}}, {"podSelector": {"matchLabels": {"a": "1", "b": "2"}}}, True),
        ({"podSelector": {}}, {"podSelector": {"matchExpressions": []}}, True),
        ({"metadata": {"annotations": {"x": "1"}}}, {"metadata": {"annotations": {"x": "1", "y": "2"}}}, False),
    ],
)
def test_only_owned_fields_are_compared_and_by_meaning(wanted: Manifest, live: Manifest, differs: bool) -> None:
    assert bool(drift.differing_fields({"kind": "X", **wanted}, {"kind": "X", **live})) is differs


def test_port_added_to_a_network_policy_or_a_service_is_drift() -> None:
    port = {"protocol": "TCP", "port": 80}
    more = [port, {"protocol": "TCP", "port": 22}]
    for kind, path in (("NetworkPolicy", "spec.ports"), ("Service", "spec.ports[22/TCP]")):
        wanted, live = ({"kind": kind, "metadata": {}, "spec": {"ports": ports}} for ports in ([port], more))
        assert drift.differing_fields(wanted, live) == [path]


def test_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})


def test_what_has_no_owner_is_adopted_unless_it_is_applied_anyway() -> None:
    cluster = copy.deepcopy(UP)
    job = migration_key(cluster.community)
    older, run, theirs = (Key("Job", "ns", name) for name in ("c-migrate-older", "c-like-sync-1", "theirs"))
    for key, component in ((older, Component.MIGRATE), (run, Component.LIKE_SYNC), (theirs, Component.MIGRATE)):
        cluster.live[key] = copy.deepcopy(cluster.live[job])
        cluster.live[key]["metadata"]["name"] = key.name
        cluster.live[key]["metadata"]["labels"][names.LABEL_COMPONENT] = component
    del cluster.live[theirs]["metadata"]["labels"][names.LABEL_MANAGED_BY]
    # One whose change waits, and so is not applied.
    cluster.community = community(image="bapsang/api:0.2.0")
    cluster.applied.clear()
    for live in cluster.live.values():
        live["metadata"]["ownerReferences"] = []
    made = cluster.plan()
    adopted = {key_of(live) for live in made.adopts}
    assert adopted >= {job, older, Key("Deployment", "ns", "c-api-base")}
    assert adopted.isdisjoint({run, theirs, *(key_of(apply.manifest) for apply in made.applies)})
    with_other = copy.deepcopy(cluster.live[job])
    with_other["metadata"] |= {"resourceVersion": "7", "ownerReferences": [{"uid": "x"}]}
    patch = plan.reowned(cluster.community, with_other) or {}
    assert [ref["uid"] for ref in patch["metadata"]["ownerReferences"]] == ["x", cluster.community.uid]
    cluster.live[job]["metadata"]["deletionTimestamp"] = "2026-11-23T10:00:00Z"
    assert job not in {key_of(live) for live in cluster.plan().adopts}


def test_held_child_without_memory_is_not_touched() -> None:
    cluster = copy.deepcopy(UP)
    cluster.applied.clear()
    cluster.community = community(image="bapsang/api:0.2.0")
    assert _names(cluster.plan()) == {str(migration_key(cluster.community))}


def test_children_are_unique() -> None:
    found: list[Child] = children(community())
    assert len({child.key for child in found}) == len(found)
