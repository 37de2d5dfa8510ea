"""The record of what was applied: read back by a later leader, and believed in nothing that somebody else has written."""

from __future__ import annotations

import base64
import copy
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from bapsang_operator import names
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.manifest import Key, Manifest, digest
from bapsang_operator.planning import drift

from .world import Cluster, children, community, migration_key

UP = Cluster(community())
UP.bring_up()
BASE = Key("Deployment", "ns", "c-api-base")


def _later_leader(**changes: Any) -> Cluster:
    """Return a Community that is changed while no process leads, and what the next one learns from what is live."""
    cluster = copy.deepcopy(UP)
    cluster.community = community(**changes)
    cluster.applied = {}
    for child in children(cluster.community):
        live = cluster.live.get(child.key)
        found = drift.last_applied(live, child.manifest) if live is not None else None
        if found is not None:
            cluster.applied[child.key] = found
    return cluster


def _pack(manifest: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(manifest).encode())).decode()


def test_later_leader_undoes_edits_while_a_change_waits() -> None:
    cluster = _later_leader(image="bapsang/api:0.2.0")
    cluster.step()
    cluster.end_job(migration_key(cluster.community), "Failed")
    pod = cluster.at("Deployment", "c-api-base")["spec"]["template"]["spec"]
    pod["enableServiceLinks"] = True
    cluster.at("CronJob", "c-like-sync")["spec"]["concurrencyPolicy"] = "Allow"
    made = {apply.manifest["metadata"]["name"]: apply for apply in cluster.plan().applies}
    assert set(made) == {"c-api-base", "c-like-sync"}
    assert made["c-api-base"].fields == ("spec.template.spec.enableServiceLinks",)
    restored = made["c-api-base"].manifest["spec"]["template"]["spec"]
    assert restored["containers"][0]["image"] == "bapsang/api:0.1.0"
    assert restored["enableServiceLinks"] is False


def test_later_leader_puts_base_to_sleep_while_a_change_waits() -> None:
    cluster = _later_leader(image="bapsang/api:0.2.0", hibernate=True)
    cluster.step()
    cluster.step()
    assert cluster.at("Deployment", "c-api-base")["spec"]["replicas"] == 0
    assert cluster.at("CronJob", "c-like-sync")["spec"]["suspend"] is True


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no base 64",
        base64.b64encode(b"not packed").decode(),
        _pack(None),
        _pack([1]),
        _pack({"metadata": None}),
        base64.b64encode(zlib.compress(b"[" * 100_000)).decode(),
        base64.b64encode(zlib.compress(b" " * 50_000_000 + b"{}")).decode(),
        _pack(UP.applied[BASE] | {"spec": {"paused": True}}),
    ],
)
def test_record_that_is_not_what_the_hash_says_is_not_believed(text: str) -> None:
    live = copy.deepcopy(UP.live[BASE])
    assert drift.last_applied(live, UP.applied[BASE]) == UP.applied[BASE]
    live["metadata"]["annotations"][names.ANNOTATION_RECORD] = text
    assert drift.last_applied(live, UP.applied[BASE]) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["metadata"].update(name="other"),
        lambda found: found["metadata"].update(namespace="kube-system"),
        lambda found: found.update(kind="Role"),
        lambda found: found.update(apiVersion="v1"),
        lambda found: found["metadata"]["ownerReferences"][0].update(uid="of an earlier one"),
        lambda found: found["metadata"].pop("ownerReferences"),
        lambda found: found.pop("spec"),
    ],
)
def test_record_of_another_object_or_owner_is_not_believed_whatever_its_hash(
    change: Callable[[Manifest], None],
) -> None:
    forged = copy.deepcopy(UP.applied[BASE])
    change(forged)
    live = copy.deepcopy(UP.live[BASE])
    live["metadata"]["annotations"] |= {
        names.ANNOTATION_RECORD: _pack(forged),
        names.ANNOTATION_APPLIED: digest(forged),
    }
    assert drift.last_applied(live, UP.applied[BASE]) is None


def test_record_is_not_kept_beside_what_it_tells() -> None:
    store = Store()
    live = copy.deepcopy(UP.live[BASE])
    live["metadata"]["resourceVersion"] = "1"
    store.put(live)
    key = CommunityKey("ns", "c")
    assert names.ANNOTATION_RECORD in store.children(key)[BASE]["metadata"]["annotations"]
    store.remember(children(community(image="bapsang/api:0.2.0")))
    assert store.applied[BASE] == UP.applied[BASE]
    for version in ("2", "3"):
        found = store.children(key)[BASE]["metadata"]
        assert set(found["annotations"]) == {names.ANNOTATION_APPLIED}
        live["metadata"]["resourceVersion"] = version
        store.put(live)


def test_only_what_may_have_to_wait_is_recorded_and_nothing_that_is_too_long() -> None:
    kinds = {key.kind for key, live in UP.live.items() if names.ANNOTATION_RECORD in live["metadata"]["annotations"]}
    assert kinds == {"CronJob", "Deployment", "StatefulSet"}
    large = drift.stamped(UP.applied[BASE] | {"spec": {"noise": random.Random(0).randbytes(50_000).hex()}})
    assert names.ANNOTATION_RECORD not in large["metadata"]["annotations"]
