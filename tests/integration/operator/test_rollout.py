"""New images, failing ones, missing and rotated secrets: what runs keeps running until its successor is fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator import names
from bapsang_operator.kinds import BY_NAME, POD

from .client import Object
from .namespace import Namespace
from .process import Operator

pytestmark = pytest.mark.usefixtures("operator")
NEW = "bapsang/api:0.2.0"


def _image(namespace: Namespace, deployment: str) -> str:
    found: Any = namespace.get("Deployment", deployment)
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


def _set(namespace: Namespace, **spec: Any) -> None:
    namespace.patch("Community", "c", {"spec": spec})


def _pod(namespace: Namespace, name: str, labels: dict[str, str], container: Object, **status: Any) -> None:
    """Create a pod as a controller would and give it the status a kubelet would."""
    labels = {names.LABEL_MANAGED_BY: names.MANAGER, names.LABEL_COMMUNITY: "c"} | labels
    manifest = {
        "metadata": {"name": name, "namespace": namespace.name, "labels": labels},
        "spec": {"containers": [{"name": container["name"], "image": container["image"]}]},
    }
    answer = namespace.client.create(POD, manifest)
    assert answer.is_success, answer.text
    full = {"imageID": "", "restartCount": 0, "ready": False} | container
    namespace.patch("Pod", name, {"status": {"containerStatuses": [full], **status}}, "/status")


def test_new_image_rolls_base_after_its_migration_and_burst_after_base(namespace: Namespace) -> None:
    namespace.community()
    first = namespace.bring_up()
    _set(namespace, image=NEW)
    second = namespace.migration(other_than=first)
    namespace.wait_for("Progressing", "True", "Migrating")
    assert _image(namespace, "c-api-base") == "bapsang/api:0.1.0"
    assert namespace.condition("Ready")["status"] == "True"
    namespace.finish_job(second)
    eventually(lambda: _image(namespace, "c-api-base") == NEW)
    assert _image(namespace, "c-api-burst") == "bapsang/api:0.1.0"
    namespace.finish_rollout("c-api-base")
    eventually(lambda: _image(namespace, "c-api-burst") == NEW)
    namespace.finish_rollout("c-api-burst")
    namespace.wait_for("Progressing", "False", "UpToDate")
    eventually(lambda: namespace.get("Job", first) is None)
    assert (namespace.get("Community", "c") or {})["status"]["image"] == NEW
    for reason in ("RolloutStarted", "RolloutCompleted", "MigrationSucceeded", "Ready"):
        eventually(lambda reason=reason: namespace.events(reason))


def test_failed_migration_leaves_the_old_pods_serving_and_guarded(namespace: Namespace) -> None:
    namespace.community()
    first = namespace.bring_up()
    _set(namespace, image=NEW)
    second = namespace.migration(other_than=first)
    namespace.finish_job(second, succeeded=False)
    told = namespace.wait_for("Degraded", "True", "MigrationFailed")
    assert second in told["message"]
    assert "logs" in told["message"]
    assert namespace.wait_for("Migrated", "False", "MigrationFailed")
    assert namespace.condition("Ready")["status"] == "True"
    assert namespace.condition("Progressing")["reason"] == "Blocked"
    namespace.patch("Deployment", "c-api-base", {"spec": {"replicas": 0}})
    eventually(lambda: (namespace.get("Deployment", "c-api-base") or {})["spec"]["replicas"] == 2, 60)
    namespace.delete("Deployment", "c-api-burst")
    eventually(lambda: namespace.get("Deployment", "c-api-burst"), 60)
    assert _image(namespace, "c-api-base") == _image(namespace, "c-api-burst") == "bapsang/api:0.1.0"
    assert namespace.get("Job", first) is not None
    _set(namespace, image="bapsang/api:0.1.0")
    namespace.wait_for("Degraded", "False")
    namespace.finish_rollout("c-api-base")
    namespace.finish_rollout("c-api-burst")
    namespace.wait_for("Progressing", "False", "UpToDate")
    eventually(lambda: len(namespace.events("MigrationFailed")) == 1)


def test_failed_migration_leaves_the_old_pods_guarded_by_an_operator_that_started_since(
    namespace: Namespace, operator: Operator
) -> None:
    namespace.community()
    first = namespace.bring_up()
    operator.restart()
    _set(namespace, image=NEW)
    namespace.finish_job(namespace.migration(other_than=first), succeeded=False)
    namespace.wait_for("Degraded", "True", "MigrationFailed")
    namespace.patch("Deployment", "c-api-base", {"spec": {"replicas": 0}})
    eventually(lambda: (namespace.get("Deployment", "c-api-base") or {})["spec"]["replicas"] == 2, 60)


def test_missing_secret_is_named_and_awaited(namespace: Namespace) -> None:
    ref = {"name": "db-writer", "key": "dsn"}
    namespace.community(database={"mode": "external", "writerSecretRef": ref})
    told = namespace.wait_for("Degraded", "True", "SecretMissing")
    for part in ("spec.database.writerSecretRef", 'secret "db-writer"', '"dsn"', namespace.name):
        assert part in told["message"]
    assert namespace.wait_for("DatabaseReady", "Unknown", "External")
    namespace.finish_store("c-redis")
    assert namespace.get("Deployment", "c-api-base") is None
    secret = {
        "metadata": {"name": "db-writer", "namespace": namespace.name},
        "stringData": {"dsn": "mysql+pymysql://bapsang:geheim@db/bapsang"},
    }
    assert namespace.client.create(BY_NAME["Secret"], secret).is_success
    namespace.finish_job(namespace.migration())
    namespace.wait_for("Degraded", "False")
    eventually(lambda: namespace.get("Deployment", "c-api-base"))


def _checksum(namespace: Namespace, deployment: str) -> str:
    found: Any = namespace.get("Deployment", deployment)
    return str(found["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_SECRETS])


def _name_database(namespace: Namespace, url: str) -> None:
    namespace.patch("Secret", "writer", {"stringData": {"url": url}})


def test_no_pod_follows_a_secret_to_another_database_before_its_migration_is_through(
    namespace: Namespace, operator: Operator
) -> None:
    password = "Wonderland-2026"
    metadata = {"name": "writer", "namespace": namespace.name}
    good = f"mysql+pymysql://bapsang:{password}@db:3306/bapsang"
    assert namespace.client.create(BY_NAME["Secret"], {"metadata": metadata, "stringData": {"url": good}}).is_success
    namespace.community(database={"mode": "external", "writerSecretRef": {"name": "writer"}})
    namespace.finish_store("c-redis")
    first = namespace.migration()
    namespace.finish_job(first)
    namespace.finish_rollout("c-api-base")
    namespace.finish_rollout("c-api-burst")
    namespace.wait_for("Progressing", "False", "UpToDate")
    before = _checksum(namespace, "c-api-base")

    # A typing error: the migration fails, and tells it; the pods go on with what they have.
    _name_database(namespace, good.replace("2026", "2025"))
    second = namespace.migration(other_than=first)
    ended = {"name": "migrate", "image": "bapsang/api:0.1.0", "state": {"terminated": {"exitCode": 1}}}
    ended["state"]["terminated"]["message"] = "DATABASE_REFUSED 1045"  # type: ignore[index]
    labels = {names.LABEL_COMPONENT: "migrate", "batch.kubernetes.io/job-name": second}
    _pod(namespace, f"{second}-x", labels, ended)
    namespace.finish_job(second, succeeded=False)
    namespace.wait_for(
        "Degraded",
        "True",
        "MigrationFailed",
        saying=("the database refuses the user, the password or the database's name (DATABASE_REFUSED 1045)",),
    )
    assert namespace.condition("Progressing")["reason"] == "Blocked"
    assert namespace.condition("Ready")["status"] == "True"
    assert _checksum(namespace, "c-api-base") == before

    # A form that can be read in two ways: nothing is started with it at all.
    _name_database(namespace, good.replace(password, "Wonderland@2026"))
    namespace.wait_for(
        "Degraded",
        "True",
        "SecretInvalid",
        saying=(
            "spec.database.writerSecretRef",
            'key "url" of secret "writer"',
            "percent-encoded",
        ),
    )
    assert {job["metadata"]["name"] for job in namespace.client.list(BY_NAME["Job"], namespace.name)} == {first, second}
    assert namespace.condition("Progressing")["reason"] == "Blocked"

    # As it was: its migration still counts, and nothing has to be done.
    _name_database(namespace, good)
    namespace.wait_for("Degraded", "False")
    assert _checksum(namespace, "c-api-base") == before
    eventually(lambda: namespace.get("Job", second) is None)

    # Another database: once it is migrated, base rolls, then burst.
    _name_database(namespace, good.replace("@db", "@restored"))
    namespace.finish_job(namespace.migration(other_than=first))
    eventually(lambda: _checksum(namespace, "c-api-base") != before)
    assert _checksum(namespace, "c-api-burst") == before
    seen = [*namespace.children().values(), *namespace.client.list(BY_NAME["Event"], namespace.name)]
    seen += [namespace.get("Community", "c") or {}]
    said = json.dumps([one for one in seen if one["kind"] != "Secret"]) + operator.log.read_text()
    assert "MigrationFailed" in said
    assert "Wonderland" not in said


def test_rotated_secret_rolls_what_uses_it(namespace: Namespace) -> None:
    ref = {"name": "third-party", "key": "token"}
    secret = {"metadata": {"name": "third-party", "namespace": namespace.name}, "stringData": {"token": "one"}}
    assert namespace.client.create(BY_NAME["Secret"], secret).is_success
    namespace.community(api={"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": ref}}]})
    namespace.bring_up()
    before = _checksum(namespace, "c-api-base")
    namespace.patch("Secret", "third-party", {"stringData": {"token": "two"}})
    eventually(lambda: _checksum(namespace, "c-api-base") != before, 60)
    assert _checksum(namespace, "c-api-burst") == before
    namespace.finish_rollout("c-api-base")
    eventually(lambda: _checksum(namespace, "c-api-burst") == _checksum(namespace, "c-api-base"))


def test_config_map_is_awaited_and_rolls_what_reads_it(namespace: Namespace) -> None:
    ref = {"name": "settings", "key": "level"}
    namespace.community(api={"env": [{"name": "LEVEL", "valueFrom": {"configMapKeyRef": ref}}]})
    namespace.finish_store("c-mysql")
    namespace.finish_store("c-redis")
    namespace.finish_job(namespace.migration())
    namespace.wait_for(
        "Degraded",
        "True",
        "SecretMissing",
        saying=('spec.api.env[0].valueFrom.configMapKeyRef needs key "level" of ConfigMap "settings"',),
    )
    assert namespace.get("Deployment", "c-api-base") is None
    config = {"metadata": {"name": "settings", "namespace": namespace.name}, "data": {"level": "one", "other": "x"}}
    assert namespace.client.create(BY_NAME["ConfigMap"], config).is_success
    namespace.bring_up()
    namespace.wait_for("Degraded", "False")
    before = _checksum(namespace, "c-api-base")
    namespace.patch("ConfigMap", "settings", {"data": {"other": "y"}})
    namespace.patch("ConfigMap", "settings", {"data": {"level": "two"}})
    eventually(lambda: _checksum(namespace, "c-api-base") != before, 60)
    namespace.finish_rollout("c-api-base")
    eventually(lambda: _checksum(namespace, "c-api-burst") == _checksum(namespace, "c-api-base"))


def test_image_that_cannot_be_pulled_is_named(up: Namespace) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    labels = {names.LABEL_COMPONENT: "api", names.LABEL_TIER: "base"}
    container = {"name": "api", "image": "bapsang/api:typo", "state": {"waiting": waiting}}
    _pod(up, "c-api-base-x", labels, container)
    told = up.wait_for("Degraded", "True", "ImagePullFailed")
    assert 'image "bapsang/api:typo" cannot be pulled' in told["message"]
    assert up.condition("Ready")["status"] == "True"
    up.delete("Pod", "c-api-base-x")
    up.wait_for("Degraded", "False")
    eventually(lambda: up.events("Recovered"))


def test_crashing_container_is_told_with_the_code_that_it_left(up: Namespace) -> None:
    ended = {"exitCode": 2, "message": "SETTING_REFUSED BAPSANG_RATE_LIMITS"}
    container = {
        "name": "api",
        "image": "bapsang/api:0.1.0",
        "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": ended},
    }
    _pod(up, "c-api-burst-x", {names.LABEL_COMPONENT: "api", names.LABEL_TIER: "burst"}, container)
    told = up.wait_for("Degraded", "True", "ContainerCrashing")
    said = "(exit code 2: a setting is not usable (SETTING_REFUSED BAPSANG_RATE_LIMITS))"
    assert f"Deployment c-api-burst: container api crashes {said}" in told["message"]
    up.delete("Pod", "c-api-burst-x")
    up.wait_for("Degraded", "False")


def test_like_sync_is_judged_by_its_last_run(up: Namespace) -> None:
    up.wait_for("LikeSyncHealthy", "Unknown", "NotRunYet")
    template = (up.get("CronJob", "c-like-sync") or {})["spec"]["jobTemplate"]
    for name, succeeded, ago in (("c-like-sync-1", True, 10), ("c-like-sync-2", False, 0)):
        job = {**template, "metadata": {**template["metadata"], "name": name, "namespace": up.name}}
        answer = up.client.create(BY_NAME["Job"], job)
        assert answer.is_success, answer.text
        up.finish_job(name, succeeded=succeeded, ago=ago)
        up.wait_for("LikeSyncHealthy", str(succeeded))
    assert up.wait_for("Degraded", "True", "LikeSyncFailed")
    killed = {"exitCode": 137, "reason": "OOMKilled"}
    labels = {names.LABEL_COMPONENT: "like-sync", "batch.kubernetes.io/job-name": "c-like-sync-2"}
    _pod(up, "c-like-sync-2-x", labels, {"name": "like-sync", "image": "a", "state": {"terminated": killed}})
    eventually(lambda: "the last run failed (exit code 137, OOMKilled)" in up.condition("Degraded")["message"])


def test_removed_host_removes_the_ingress(namespace: Namespace) -> None:
    namespace.community()
    eventually(lambda: namespace.get("Ingress", "c-api"))
    _set(namespace, host=None)
    eventually(lambda: namespace.get("Ingress", "c-api") is None)
    eventually(lambda: (namespace.get("Community", "c") or {})["status"]["url"] == f"http://c-api.{namespace.name}.svc")
