"""Secrets that several Communities read, and children that have lost their owner."""

from __future__ import annotations

import pytest
from tests.waiting import eventually

from bapsang_operator.kinds import COMMUNITY

from .client import Object
from .namespace import Namespace

pytestmark = pytest.mark.usefixtures("operator")


def test_secret_that_two_communities_read_stays_its_owners(namespace: Namespace) -> None:
    namespace.community("prod")
    namespace.finish_store("prod-mysql")
    namespace.finish_store("prod-redis")
    namespace.community("staging", auth={"signingKeySecretRef": {"name": "prod-signing-key"}})
    namespace.wait_for("Progressing", "True", name="staging")
    # Each change of either is a pass over it; the Secret is read anew every second.
    for size in range(2, 12):
        for name in ("staging", "prod"):
            found = namespace.patch("Community", name, {"spec": {"likeSync": {"batchSize": size}}})
            generation = found["metadata"]["generation"]

            def is_observed(name: str = name, generation: int = generation) -> bool:
                found = (namespace.get("Community", name) or {}).get("status", {})
                return bool(found.get("observedGeneration") == generation)

            eventually(is_observed)
    for name in ("prod", "staging"):
        assert namespace.condition("Degraded", name)["status"] == "False"
    assert namespace.events("ForeignObject") == []


def _owners(child: Object) -> list[str]:
    return [ref["uid"] for ref in child["metadata"].get("ownerReferences", ())]


def test_everything_is_owned_again_after_an_orphaning_deletion(namespace: Namespace) -> None:
    namespace.community()
    job = namespace.bring_up()
    before = namespace.children()
    namespace.client.delete(COMMUNITY, namespace.name, "c", propagation="Orphan")
    eventually(lambda: namespace.get("Community", "c") is None, 60)
    assert all(_owners(child) == [] for child in namespace.children().values())

    second = namespace.community()["metadata"]["uid"]

    def is_owned() -> bool:
        return all(_owners(child) == [second] for child in namespace.children().values())

    eventually(is_owned, 60, "everything is owned again")
    namespace.wait_for("Degraded", "False", "AsExpected")
    after = namespace.children()
    assert {key: child["metadata"]["uid"] for key, child in after.items()} == {
        key: child["metadata"]["uid"] for key, child in before.items()
    }
    for key, child in after.items():
        if key[0] == "Secret":
            assert child["data"] == before[key]["data"]
    # The database is the same: its migration still counts, and nothing is rolled out.
    assert namespace.wait_for("Migrated", "True")["message"] == f"Job {job} has migrated the database."
    for name in ("c-api-base", "c-api-burst"):
        assert after["Deployment", name]["spec"] == before["Deployment", name]["spec"]
    eventually(lambda: namespace.events("ChildRestored"))


def test_superseded_migration_without_an_owner_goes_like_any_other(namespace: Namespace) -> None:
    namespace.community()
    first = namespace.bring_up()
    namespace.patch("Job", first, {"metadata": {"ownerReferences": None}})
    eventually(lambda: _owners(namespace.get("Job", first) or {"metadata": {}}), 60)
    namespace.patch("Community", "c", {"metadata": {"annotations": {"bapsang.dev/paused": "restoring"}}})
    namespace.wait_for("Paused", "True")
    namespace.patch("Job", first, {"metadata": {"ownerReferences": None}})
    metadata = {"annotations": {"bapsang.dev/paused": None}}
    namespace.patch("Community", "c", {"metadata": metadata, "spec": {"image": "bapsang/api:0.2.0"}})
    namespace.finish_job(namespace.migration(other_than=first))
    eventually(lambda: namespace.get("Job", first) is None, 60)
