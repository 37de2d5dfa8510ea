"""TLS to external stores: an upgrade that narrows what is allowed fails in the migration Job, and nothing that serves changes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator import names
from bapsang_operator.kinds import BY_NAME, POD

from .client import Object
from .namespace import Namespace

pytestmark = pytest.mark.usefixtures("operator")
FROM_URL = {"tls": {"mode": "from-url"}}
DATABASE = {"mode": "external", "writerSecretRef": {"name": "writer"}}
REDIS = {"mode": "external", "url": "redis://cache:6379/0"}
TIERS = ("c-api-base", "c-api-burst")


def _create(namespace: Namespace, kind: str, name: str, **data: Any) -> None:
    metadata = {"name": name, "namespace": namespace.name}
    assert namespace.client.create(BY_NAME[kind], {"metadata": metadata, **data}).is_success


def _external(namespace: Namespace, url: str = "mysql+pymysql://u:Wonderland@db/bapsang") -> str:
    """Bring up a Community whose stores are reached as the URLs say, as every version before this one did it."""
    _create(namespace, "Secret", "writer", stringData={"url": url})
    namespace.community(database=DATABASE | FROM_URL, redis=REDIS | FROM_URL)
    job = namespace.migration()
    namespace.finish_job(job)
    for tier in TIERS:
        namespace.finish_rollout(tier)
    namespace.wait_for("Progressing", "False", "UpToDate")
    return job


def _templates(namespace: Namespace) -> list[Object]:
    return [(namespace.get("Deployment", tier) or {})["spec"]["template"] for tier in TIERS] + [
        (namespace.get("CronJob", "c-like-sync") or {})["spec"]["jobTemplate"]
    ]


def _end(namespace: Namespace, job: str, message: str) -> None:
    """Let a Job fail as its controller and a kubelet would tell it."""
    labels = {names.LABEL_MANAGED_BY: names.MANAGER, names.LABEL_COMMUNITY: "c", names.LABEL_COMPONENT: "migrate"}
    labels["batch.kubernetes.io/job-name"] = job
    metadata = {"name": f"{job}-x", "namespace": namespace.name, "labels": labels}
    container = {"name": "migrate", "image": "bapsang/api:0.1.0"}
    assert namespace.client.create(POD, {"metadata": metadata, "spec": {"containers": [container]}}).is_success
    ended = {"terminated": {"exitCode": 1, "message": message}}
    state = container | {"imageID": "", "restartCount": 0, "ready": False, "state": ended}
    namespace.patch("Pod", f"{job}-x", {"status": {"containerStatuses": [state]}}, "/status")
    namespace.finish_job(job, succeeded=False)


def _env(template: Object) -> dict[str, str | None]:
    (container,) = template["spec"]["containers"]
    return {one["name"]: one.get("value") for one in container["env"]}


def test_upgrade_with_a_store_that_has_no_tls_fails_first_and_rolls_no_pod(namespace: Namespace) -> None:
    first = _external(namespace)
    before = _templates(namespace)
    # What an upgrade does to a resource that says nothing of TLS.
    namespace.patch("Community", "c", {"spec": {"database": {"tls": None}, "redis": {"tls": None}}})
    second = namespace.migration(other_than=first)
    (migrate,) = (namespace.get("Job", second) or {})["spec"]["template"]["spec"]["containers"]
    assert {"name": "OPTIONAL_BAPSANG_REDIS_TLS_CA", "value": "system"} in migrate["env"]
    _end(namespace, second, "REDIS_TLS 2026 BAPSANG_REDIS_TLS_CA")
    said = "Redis is not what spec.redis.tls asks for: it offers no TLS, or none that is accepted"
    namespace.wait_for("Degraded", "True", "MigrationFailed", saying=(said, second))
    assert namespace.condition("Ready")["status"] == "True"
    assert _templates(namespace) == before
    # As the changelog says: what was runs on, and nothing is migrated once more.
    namespace.patch("Community", "c", {"spec": {"database": FROM_URL, "redis": FROM_URL}})
    namespace.wait_for("Degraded", "False")
    namespace.wait_for("Progressing", "False", "UpToDate")
    assert _templates(namespace) == before
    assert namespace.get("Job", first) is not None


def test_authorities_are_awaited_verified_first_and_roll_what_reads_them(namespace: Namespace) -> None:
    first = _external(namespace)
    before = _templates(namespace)
    bundle = {"tls": {"mode": "verified", "caBundle": {"name": "authorities"}}}
    namespace.patch("Community", "c", {"spec": {"database": bundle}})
    missing = 'spec.database.tls.caBundle needs key "ca.crt" of ConfigMap "authorities"'
    namespace.wait_for("Degraded", "True", "SecretMissing", saying=(missing,))
    assert _templates(namespace) == before
    _create(namespace, "ConfigMap", "authorities", data={"ca.crt": "one"})
    second = namespace.migration(other_than=first)
    assert _templates(namespace) == before
    namespace.finish_job(second)
    eventually(lambda: _env(_templates(namespace)[0]).get("OPTIONAL_BAPSANG_DATABASE_TLS_CA"))
    base = _templates(namespace)[0]
    file = _env(base)["OPTIONAL_BAPSANG_DATABASE_TLS_CA"]
    mounts = {one["mountPath"]: one["name"] for one in base["spec"]["containers"][0]["volumeMounts"]}
    volumes = {one["name"]: one for one in base["spec"]["volumes"]}
    source = volumes[mounts[str(file).rpartition("/")[0]]]["configMap"]
    assert (source["name"], source["items"]) == ("authorities", [{"key": "ca.crt", "path": "ca.crt"}])
    namespace.finish_rollout(TIERS[0])
    eventually(lambda: _env(_templates(namespace)[1]).get("OPTIONAL_BAPSANG_DATABASE_TLS_CA"))
    namespace.finish_rollout(TIERS[1])
    namespace.wait_for("Progressing", "False", "UpToDate")

    # Another bundle: the Job verifies with it before any pod follows.
    before = _templates(namespace)
    namespace.patch("ConfigMap", "authorities", {"data": {"ca.crt": "two"}})
    third = namespace.migration(other_than=second)
    assert _templates(namespace) == before
    namespace.finish_job(third)
    eventually(lambda: _templates(namespace)[0] != before[0])


def test_option_for_tls_in_a_url_is_named_where_the_spec_has_the_say(namespace: Namespace) -> None:
    _external(namespace, "mysql+pymysql://u:Wonderland@db/bapsang?ssl_check_hostname=false")
    before = _templates(namespace)
    namespace.patch("Community", "c", {"spec": {"database": {"tls": None}}})
    told = namespace.wait_for("Degraded", "True", "SecretInvalid", saying=("has the option ssl_check_hostname",))
    assert "spec.database.writerSecretRef" in told["message"]
    assert "Wonderland" not in told["message"]
    assert _templates(namespace) == before
    assert namespace.condition("Ready")["status"] == "True"
