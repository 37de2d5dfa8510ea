"""TLS to external stores: what pods and jobs are given, and that no pod follows before the migration has verified them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from bapsang_operator import build, names
from bapsang_operator.build import migration
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.names import Component
from bapsang_operator.planning import progress
from bapsang_operator.problems import workloads
from bapsang_operator.resource import Community
from bapsang_operator.unwatched.secrets import Secrets

from .fake_kube import FakeKube
from .test_build import EXTERNAL, STORAGE
from .world import AllDigests, Cluster, children, community, migration_key, pod, pod_templates

FROM_URL = {"tls": {"mode": "from-url"}}
CONFIG_MAP = {"tls": {"caBundle": {"name": "trusted"}}}
SECRET = {"tls": {"caBundle": {"kind": "Secret", "name": "trusted", "key": "ca"}}}
DATABASE, REDIS = "OPTIONAL_BAPSANG_DATABASE_TLS_CA", "OPTIONAL_BAPSANG_REDIS_TLS_CA"


def _external(database: Any = None, redis: Any = None, **changes: Any) -> Community:
    given = {"database": {**EXTERNAL["database"], **(database or {})}, "redis": {**EXTERNAL["redis"], **(redis or {})}}
    return community(**{**EXTERNAL, "storage": STORAGE, **given, **changes})


def _containers(wanted: Community) -> dict[str, tuple[Manifest, Manifest]]:
    """Return the pod spec and the container of everything that uses database and Redis, by the container's name."""
    specs = [one["spec"] for one in pod_templates(children(wanted)).values()]
    return {f"{one['name']} {number}": (spec, one) for number, spec in enumerate(specs) for one in spec["containers"]}


@pytest.mark.parametrize(
    ("wanted", "database", "redis"),
    [
        (_external(), "system", "system"),
        (_external(CONFIG_MAP, SECRET), "/etc/bapsang/database-ca/ca.crt", "/etc/bapsang/redis-ca/ca.crt"),
        (_external(FROM_URL, SECRET), None, "/etc/bapsang/redis-ca/ca.crt"),
        (_external({"tls": {}}, FROM_URL), "system", None),
        (community(storage=STORAGE), None, None),
    ],
    ids=["default", "authorities", "from-url and authorities", "system and from-url", "run by the operator"],
)
def test_all_that_connects_is_told_by_what_a_store_is_verified(
    wanted: Community, database: str | None, redis: str | None
) -> None:
    ours = {name: found for name, found in _containers(wanted).items() if name.split()[0] not in {"mysql", "redis"}}
    assert {name.split()[0] for name in ours} == {"api", "migrate", "like-sync", "image-collector", "media"}
    for spec, container in ours.values():
        asked = None if container["name"] == "media" else redis
        env = {one["name"]: one.get("value") for one in container["env"]}
        assert (env.get(DATABASE), env.get(REDIS)) == (database, asked)
        mounted = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
        volumes = {one["name"]: one for one in spec["volumes"]}
        files = [path for path in (database, asked) if path not in {None, "system"}]
        for path in files:
            source = volumes[mounted[str(path).removesuffix("/ca.crt")]]
            file = (source.get("configMap") or source["secret"])["items"]
            assert [one["path"] for one in file] == ["ca.crt"]
        assert len([path for path in mounted if path.startswith("/etc/bapsang/")]) == len(files)


def test_authority_that_is_missing_or_changed_holds_up_or_rolls_what_reads_it() -> None:
    wanted, rotated = _external(CONFIG_MAP, SECRET), AllDigests({("configmap/trusted", "ca.crt"): "another"})
    job, base = migration_key(wanted), Key("Deployment", "ns", "c-api-base")
    before, after = ({child.key: child for child in children(wanted, found)} for found in (AllDigests(), rotated))
    assert before[base].digest != after[base].digest
    assert job in before
    assert job not in after  # verified before any pod follows
    for child in build.children(wanted, {}):
        if child.key.kind in {"Deployment", "Job", "CronJob"}:
            of_redis = {("trusted", "ca")} if child.key.name != "c-media" else set()
            assert {(ref.name, ref.key) for ref in child.missing} >= {("configmap/trusted", "ca.crt"), *of_redis}
    fields = {ref.field for child in build.children(wanted, {}) for ref in child.missing}
    assert {"spec.database.tls.caBundle", "spec.redis.tls.caBundle"} <= fields


@pytest.mark.parametrize("name", ["r", "cache"])
def test_server_that_the_job_verifies_is_part_of_its_name(name: str) -> None:
    moved = AllDigests({(name, "url"): "another"})

    def is_moved(tls: Manifest) -> bool:
        redis = {"mode": "external", "secretRef": {"name": "cache", "key": "url"}, **tls}
        wanted = community(redis=redis, database={**EXTERNAL["database"], **tls})
        return migration.digest(wanted, AllDigests(), "") != migration.digest(wanted, moved, "")

    assert is_moved({})
    assert not is_moved(FROM_URL)


def test_from_url_leaves_the_job_of_the_version_before() -> None:
    """Whoever chooses it before the upgrade has nothing restarted and nothing migrated once more."""
    wanted = _external(FROM_URL, FROM_URL)
    values = [wanted.image, "migrate", "--wait", "60", "digest", ""]
    of_v0_0_1 = hmac.new(b"digest", json.dumps(values).encode(), hashlib.sha256).hexdigest()[:8]
    assert migration.digest(wanted, AllDigests(), "") == of_v0_0_1
    assert migration.digest(_external(), AllDigests(), "") != of_v0_0_1


@pytest.mark.parametrize("earlier", [False, True], ids=["v0.0.1", "before v0.0.1"])
def test_upgrade_to_a_store_without_tls_fails_in_the_job_and_rolls_no_pod(earlier: bool) -> None:
    cluster = Cluster(_external(FROM_URL, FROM_URL))
    cluster.bring_up()
    if earlier:  # named by the image alone, and vouched for while the new one runs
        job = cluster.live.pop(migration_key(cluster.community))
        job["metadata"]["name"] = names.migration("c", migration.earlier_digest(cluster.community))
        cluster.live[Key("Job", "ns", job["metadata"]["name"])] = job
    cluster.community = _external()
    made = cluster.step()
    job_key = migration_key(cluster.community)
    assert {key_of(apply.manifest) for apply in made.applies} == {job_key}
    assert not cluster.step().applies
    ended = {"exitCode": 1, "message": "DATABASE_TLS 2026 BAPSANG_DATABASE_TLS_CA"}
    cluster.end_job(job_key, "Failed")
    assert not cluster.step().applies
    last = {"name": "migrate", "state": {"terminated": ended}}
    found = pod(Component.MIGRATE, job=job_key.name, containerStatuses=[last])
    seen = progress.observe(cluster.community, children(cluster.community), cluster.live)
    (problem,) = workloads.of_migration(cluster.community, seen, [found])
    said = "the database is not what spec.database.tls asks for: it offers no TLS, or none that is accepted"
    assert f"{said} (DATABASE_TLS 2026 BAPSANG_DATABASE_TLS_CA)" in problem.message


async def test_option_of_a_url_that_would_decide_on_tls_is_refused_by_its_name() -> None:
    kube = FakeKube()
    url = "mysql+pymysql://u:Wonderland@db/x?ssl_disabled=true"
    for name, value in {"w": url, "r": url.partition("?")[0], "k": "key"}.items():
        key = "signing-key.pem" if name == "k" else "url"
        await kube.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": "ns"},
                "data": {key: base64.b64encode(value.encode()).decode()},
            }
        )
    ensured = await Secrets(kube, lambda: 0.0, 30).ensure(_external())
    (fault,) = ensured.faulty
    assert (fault.ref.field, ("w", "url") in ensured.digests) == ("spec.database.writerSecretRef", False)
    assert fault.text.startswith("has the option ssl_disabled, ")
    assert fault.text.endswith("set mode of spec.database.tls to from-url")
    assert "Wonderland" not in fault.text
    assert not (await Secrets(kube, lambda: 0.0, 30).ensure(_external(FROM_URL))).faulty
