"""What `kubectl apply` refuses, and that the operator's own validation gives the same verdict."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bapsang_operator.kinds import COMMUNITY
from bapsang_operator.resource import validate, with_defaults

from .client import Client
from .namespace import Namespace, resource

Spec = dict[str, Any]
REF = {"name": "somewhere"}
WINDOW = {"name": "dinner", "schedule": "30 17 * * *", "timeZone": "Asia/Seoul", "duration": "2h", "replicas": 8}


def _storage(**fields: Any) -> Spec:
    return {"storage": {"bucket": "media", **fields}}


BAD: dict[str, tuple[Spec, str]] = {
    "no image": ({"image": None}, "spec.image"),
    "image with a space": ({"image": "bapsang/api 1"}, "spec.image"),
    "image of Redis with a digest that is cut": ({"redis": {"image": "redis@sha256:abc"}}, "spec.redis.image"),
    "image of MySQL with a space": ({"database": {"image": "mysql 9"}}, "spec.database.image"),
    "host that is no DNS name": ({"host": "Not_A_Host"}, "spec.host"),
    "URL without a scheme": ({"publicUrl": "bapsang.localhost"}, "spec.publicUrl"),
    "URL with a path": ({"publicUrl": "http://a.example/b"}, "spec.publicUrl"),
    "unknown Redis mode": ({"redis": {"mode": "cluster"}}, "spec.redis.mode"),
    "unknown database mode": ({"database": {"mode": "sqlite"}}, "spec.database.mode"),
    "external database without a secret": ({"database": {"mode": "external"}}, "spec.database.writerSecretRef"),
    "external Redis without an address": ({"redis": {"mode": "external"}}, "spec.redis.secretRef"),
    "external Redis with two addresses": (
        {"redis": {"mode": "external", "url": "redis://a:6379/0", "secretRef": REF}},
        "spec.redis.secretRef",
    ),
    "managed Redis with TLS": ({"redis": {"tls": {}}}, "spec.redis.tls"),
    "embedded database with TLS": ({"database": {"tls": {"mode": "from-url"}}}, "spec.database.tls"),
    "authorities of a server that nobody verifies": (
        {
            "database": {
                **{"mode": "external", "writerSecretRef": REF},
                "tls": {"mode": "from-url", "caBundle": {"name": "ca"}},
            }
        },
        "spec.database.tls.mode",
    ),
    "managed Redis with an address": ({"redis": {"url": "redis://a:6379/0"}}, "spec.redis.mode"),
    "Redis URL with a password": ({"redis": {"mode": "external", "url": "redis://:pw@a:6379/0"}}, "spec.redis.url"),
    "Redis URL with a port that does not exist": (
        {"redis": {"mode": "external", "url": "redis://r:70000/0"}},
        "spec.redis.url",
    ),
    **{
        f"{field} with a port that does not exist": (_storage(**{field: "http://s3:65536"}), f"spec.storage.{field}")
        for field in ("endpoint", "uploadUrl", "publicUrl")
    },
    "public URL at port 0": ({"publicUrl": "http://a.example:0"}, "spec.publicUrl"),
    "origin with a port that does not exist": ({"api": {"corsOrigins": ["http://a:99999"]}}, "spec.api.corsOrigins[0]"),
    "negative replicas": ({"api": {"base": {"replicas": -1}}}, "spec.api.base.replicas"),
    "no burst floor": ({"api": {"burst": {"minReplicas": 0}}}, "spec.api.burst.minReplicas"),
    "no burst ceiling": ({"api": {"burst": {"maxReplicas": 0}}}, "spec.api.burst.maxReplicas"),
    "floor above ceiling": ({"api": {"burst": {"minReplicas": 5, "maxReplicas": 4}}}, "spec.api.burst.minReplicas"),
    "mail without a server": ({"mail": {"from": "a@b.c"}}, "spec.mail.secretRef"),
    "mail with two servers": (
        {"mail": {"from": "a@b.c", "url": "smtp://mail:25", "secretRef": REF}},
        "spec.mail.secretRef",
    ),
    "mail from nobody": ({"mail": {"secretRef": REF}}, "spec.mail.from"),
    "mail from a name with an address": ({"mail": {"from": "B <a@b.c>", "secretRef": REF}}, "spec.mail.from"),
    "mail server with a password": (
        {"mail": {"from": "a@b.c", "url": "smtp://u:pw@mail.example:587"}},
        "spec.mail.url",
    ),
    "mail server by a port that does not exist": (
        {"mail": {"from": "a@b.c", "url": "smtp://mail.example:70000"}},
        "spec.mail.url",
    ),
    "mail in the clear over the Internet": (
        {"mail": {"from": "a@b.c", "url": "smtp://mail.example.com:25?tls=none"}},
        "spec.mail.url",
    ),
    "authorities of a mail server in the clear": (
        {"mail": {"from": "a@b.c", "url": "smtp://mail:25?tls=none", "caBundle": {"name": "ca"}}},
        "spec.mail.caBundle",
    ),
    "no mail worker": ({"mail": {"from": "a@b.c", "secretRef": REF, "replicas": 0}}, "spec.mail.replicas"),
    "more workers at least than at most": ({"media": {"minReplicas": 4}}, "spec.media.minReplicas"),
    "no worker": ({"media": {"minReplicas": 0}}, "spec.media.minReplicas"),
    "command of a worker": (
        {"media": {"podTemplate": {"spec": {"containers": [{"name": "media", "command": ["a"]}]}}}},
        "spec.media.podTemplate.spec.containers[0]",
    ),
    "originals that are never there": ({"originals": {"days": 0}}, "spec.originals.days"),
    "originals for more than ten years": ({"originals": {"days": 3651}}, "spec.originals.days"),
    "replicas as text": ({"api": {"base": {"replicas": "two"}}}, "spec.api.base.replicas"),
    "unknown architecture": ({"api": {"arch": "riscv64"}}, "spec.api.arch"),
    "limit below request": ({"api": {"base": {"resources": {"requests": {"memory": "1Gi"}}}}}, "resources.limits"),
    "quantity without a unit that exists": (
        {"api": {"base": {"resources": {"requests": {"cpu": "1core"}}}}},
        "spec.api.base.resources.requests.cpu",
    ),
    "negative quantity without quotes": (
        {"api": {"base": {"resources": {"limits": {"cpu": -1}}}}},
        "spec.api.base.resources.limits.cpu",
    ),
    "optional variable of ours": (
        {"api": {"env": [{"name": "OPTIONAL_BAPSANG_PUBLIC_URL", "value": "x"}]}},
        "spec.api.env[0].name",
    ),
    "reserved variable": ({"api": {"env": [{"name": "BAPSANG_ISSUER", "value": "x"}]}}, "spec.api.env[0].name"),
    **{
        f"variable from a {kind} with a path as its name": (
            {
                "api": {
                    "env": [{"name": "A", "valueFrom": {ref: {"name": "../../kube-system/secrets/root", "key": "k"}}}]
                }
            },
            f"spec.api.env[0].valueFrom.{ref}.name",
        )
        for kind, ref in (("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef"))
    },
    "TLS Secret with a bad name": ({"ingress": {"tlsSecretName": "a/b"}}, "spec.ingress.tlsSecretName"),
    "class that no IngressClass could be": ({"ingress": {"className": "ALB"}}, "spec.ingress.className"),
    **{
        f"Gateway {what}": ({"gateway": {"parentRefs": refs, **more}}, f"spec.gateway.{field}")
        for what, refs, more, field in (
            ("that is named nowhere", [], {}, "parentRefs"),
            ("too many", [{"name": f"g{number}"} for number in range(17)], {}, "parentRefs"),
            ("without a name", [{"namespace": "infra"}], {}, "parentRefs[0].name"),
            ("with a name in capitals", [{"name": "Public"}], {}, "parentRefs[0].name"),
            ("in a namespace with a dot", [{"name": "a", "namespace": "a.b"}], {}, "parentRefs[0].namespace"),
            ("with a listener of no name", [{"name": "a", "sectionName": ""}], {}, "parentRefs[0].sectionName"),
            ("at port 0", [{"name": "a", "port": 0}], {}, "parentRefs[0].port"),
            ("named twice", [{"name": "a"}, {"name": "a", "port": 80}], {}, "parentRefs"),
            ("with a listener twice", [{"name": "a", "sectionName": "b"}] * 2, {}, "parentRefs"),
            ("and one of its listeners", [{"name": "a"}, {"name": "a", "sectionName": "b"}], {}, "parentRefs"),
            ("by FTP", [{"name": "a"}], {"scheme": "ftp"}, "scheme"),
            ("that waits for no time", [{"name": "a"}], {"requestTimeoutSeconds": 0}, "requestTimeoutSeconds"),
        )
    },
    "variable named twice": ({"api": {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}}, "env[1]"),
    "variable without a value": ({"api": {"env": [{"name": "A"}]}}, "spec.api.env[0]"),
    "schedule of four fields": ({"likeSync": {"schedule": "* * * *"}}, "spec.likeSync.schedule"),
    "minute 60": ({"likeSync": {"schedule": "60 * * * *"}}, "spec.likeSync.schedule"),
    "unknown schedule word": ({"likeSync": {"schedule": "@often"}}, "spec.likeSync.schedule"),
    "empty batches": ({"likeSync": {"batchSize": 0}}, "spec.likeSync.batchSize"),
    "issuer that is no URL": ({"auth": {"issuer": "bapsang"}}, "spec.auth.issuer"),
    **{
        f"window {what}": ({"prewarm": [WINDOW | changes]}, f"spec.prewarm{field}")
        for what, changes, field in (
            ("with a bad schedule", {"schedule": "30 25 * * *"}, "[0].schedule"),
            ("with schedule and time", {"at": "2026-11-27T11:45:00+09:00"}, "[0]"),
            ("in an unknown time zone", {"timeZone": "Asia/Nowhere"}, "[0].timeZone"),
            ("in a time zone by its offset", {"timeZone": "+09:00"}, "[0].timeZone"),
            ("longer than a day", {"duration": "25h"}, "[0].duration"),
            ("of seconds", {"duration": "90s"}, "[0].duration"),
            ("of no pods", {"replicas": 0}, "[0].replicas"),
            ("above the ceiling", {"replicas": 11}, ""),
            ("with a name in capitals", {"name": "Dinner"}, "[0].name"),
        )
    },
    "window on a day that does not exist": (
        {"prewarm": [{"name": "x", "at": "2026-02-30T11:45:00Z", "duration": "1h", "replicas": 1}]},
        "spec.prewarm[0].at",
    ),
    "window without a beginning": (
        {"prewarm": [{"name": "x", "duration": "1h", "replicas": 1}]},
        "spec.prewarm[0]",
    ),
    "two windows of one name": ({"prewarm": [WINDOW, WINDOW]}, "spec.prewarm[1]"),
    "storage without a bucket": ({"storage": {"secretName": "s3"}}, "spec.storage.bucket"),
    "bucket that S3 would not take": ({"storage": {"bucket": "My_Bucket"}}, "spec.storage.bucket"),
    "region that is a zone name with spaces": (_storage(region="Seoul 1"), "spec.storage.region"),
    "endpoint with a path": (_storage(endpoint="http://s3.local/media"), "spec.storage.endpoint"),
    "upload URL without a scheme": (_storage(uploadUrl="bapsang.localhost"), "spec.storage.uploadUrl"),
    "public URL with a query": (_storage(publicUrl="https://cdn.example.com/?a=b"), "spec.storage.publicUrl"),
    "public URL that ends in a slash": (_storage(publicUrl="https://cdn.example.com/"), "spec.storage.publicUrl"),
    "storage Secret with a bad name": (_storage(secretName="S3"), "spec.storage.secretName"),
    "access key given twice": (
        {**_storage(secretName="s3"), "api": {"env": [{"name": "AWS_ACCESS_KEY_ID", "value": "x"}]}},
        "spec.api.env",
    ),
    "collector that grants no time": ({"imageCollector": {"graceHours": 0}}, "spec.imageCollector.graceHours"),
    "collector without a schedule": ({"imageCollector": {"schedule": "hourly"}}, "spec.imageCollector.schedule"),
    "rate without seconds": ({"api": {"rateLimits": {"rules": {"ip": "1200"}}}}, "spec.api.rateLimits.rules"),
    "rate of nothing": ({"api": {"rateLimits": {"rules": {"ip": "0/60"}}}}, "spec.api.rateLimits.rules"),
    "rule that is no name": ({"api": {"rateLimits": {"rules": {"IP,x": "1/1"}}}}, "spec.api.rateLimits.rules"),
    "annotation that is no text": ({"serviceAccount": {"annotations": {"a": 1}}}, "spec.serviceAccount.annotations"),
    "toleration without a key": ({"api": {"spot": {"tolerations": [{"value": "x"}]}}}, "spot.tolerations[0]"),
}

GOOD: dict[str, Spec] = {
    "only an image": {"host": None},
    "everything external": {
        "redis": {"mode": "external", "url": "rediss://cache.example.com:6380/1"},
        "database": {"mode": "external", "writerSecretRef": REF, "readerSecretRef": {"name": "r", "key": "dsn"}},
    },
    "external and verified by authorities of its own": {
        "redis": {"mode": "external", "url": "redis://r", "tls": {"caBundle": {"kind": "Secret", "name": "r"}}},
        "database": {"mode": "external", "writerSecretRef": REF, "tls": {"mode": "from-url"}},
    },
    "Gateways": {
        "gateway": {
            "parentRefs": [
                {"name": "a", "sectionName": "https"},
                {"name": "a", "sectionName": "http", "port": 80},
                {"name": "a", "namespace": "infra"},
            ]
        }
    },
    "schedules of all sorts": {"likeSync": {"schedule": "0,30 */2 1-15 jan-mar mon"}},
    "a schedule by name": {"likeSync": {"schedule": "@hourly"}},
    "whole cores as numbers": {"api": {"base": {"resources": {"requests": {"cpu": 1}, "limits": {"cpu": 2}}}}},
    "image by digest": {"image": "registry.example.com:5000/bapsang/api@sha256:" + "a" * 64},
    "images of a mirror": {
        "redis": {"image": "mirror.example:5000/library/redis:8.0.1@sha256:" + "a" * 64},
        "database": {"image": "localhost/mysql"},
    },
    "windows": {
        "prewarm": [WINDOW, {"name": "sale", "at": "2026-11-27T11:45:00+09:00", "duration": "90m", "replicas": 10}],
        "hibernate": True,
    },
    "storage by the pods' identity": {
        **_storage(),
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/media"}},
        "api": {"env": [{"name": "AWS_ACCESS_KEY_ID", "value": "x"}]},
    },
    "storage behind a CDN": {
        **_storage(
            region="us-east-1",
            endpoint="http://s3.bapsang-storage.svc:7070",
            uploadUrl="https://upload.example.com",
            publicUrl="https://cdn.example.com/a/b.c",
            secretName="s3.access",
        ),
        "imageCollector": {"schedule": "@daily", "graceHours": 720, "suspend": True},
    },
    "mail by STARTTLS": {
        "mail": {"from": "no-reply@a.example.com", "url": "smtp://mail.example.com:587", "replicas": 2}
    },
    "mail by a server of the cluster": {
        "mail": {"from": "a+b@c", "url": "smtp://mailpit.mailbox.svc.cluster.local:1025?tls=none"}
    },
    "mail by a Secret and authorities of its own": {
        "mail": {"from": "a@b.c", "secretRef": {**REF, "key": "smtp"}, "caBundle": {"name": "ca"}}
    },
    "rate limits of its own": {"api": {"rateLimits": {"rules": {"ip": "999999999/1", "login_ip": "off"}}}},
    "no rate limits": {"api": {"rateLimits": {"enabled": False}}},
    "no tolerations": {"api": {"spot": {"tolerations": [], "nodeSelector": {}}}},
}


def _create(client: Client, namespace: str, changes: Spec) -> tuple[int, Spec]:
    manifest = resource(namespace, **changes)
    manifest["spec"] = {key: value for key, value in manifest["spec"].items() if value is not None}
    answer = client.create(COMMUNITY, manifest, dryRun="All")
    return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def place(client: Client) -> Iterator[str]:
    """A namespace for dry runs."""
    found = Namespace(client)
    yield found.name
    found.remove()


@pytest.mark.parametrize("case", BAD)
def test_bad_spec_is_refused_naming_the_field(client: Client, place: str, case: str) -> None:
    changes, field = BAD[case]
    code, answer = _create(client, place, changes)
    assert code == 422, answer
    assert field in answer["message"]


@pytest.mark.parametrize("case", GOOD)
def test_good_spec_is_accepted_and_gets_the_defaults_the_operator_knows(client: Client, place: str, case: str) -> None:
    code, answer = _create(client, place, GOOD[case])
    assert code == 201, answer
    given = {key: value for key, value in resource(place, **GOOD[case])["spec"].items() if value is not None}
    assert answer["spec"] == with_defaults(given)


@pytest.mark.parametrize("name", ["a" * 37, "has.dot", "9lives"])
def test_name_that_no_child_could_bear_is_refused(client: Client, place: str, name: str) -> None:
    answer = client.create(COMMUNITY, resource(place, name), dryRun="All")
    assert answer.status_code == 422
    assert "metadata.name" in answer.json()["message"]


CHANGES: dict[str, tuple[Spec, Spec, str | None]] = {
    "database mode": ({}, {"database": {"mode": "external", "writerSecretRef": REF}}, "spec.database.mode"),
    "Redis mode": ({}, {"redis": {"mode": "external", "url": "redis://a:6379"}}, "spec.redis.mode"),
    # Compared with the live claim instead: what the spec asked for before may never have come about.
    "smaller volume": ({"database": {"storage": {"size": "6Gi"}}}, {"database": {"storage": {"size": "5Gi"}}}, None),
    "another StorageClass": (
        {"redis": {"persistence": {"storageClassName": "a"}}},
        {"redis": {"persistence": {"storageClassName": "b"}}},
        None,
    ),
    "another image": ({}, {"image": "bapsang/api:0.2.0"}, None),
}


@pytest.mark.usefixtures("control_plane")  # really creates Communities, which a shared cluster's operator would start
@pytest.mark.parametrize("case", CHANGES)
def test_change_that_would_lose_data_is_refused(namespace: Namespace, case: str) -> None:
    before, after, field = CHANGES[case]
    created = namespace.community("frozen", **before)
    changed = {**created, "spec": resource(namespace.name, **after)["spec"]}
    answer = namespace.client.replace(COMMUNITY, changed, dryRun="All")
    violations = validate(changed["spec"], created["spec"])
    if field is None:
        assert answer.status_code == 200, answer.text
        assert violations == []
    else:
        assert answer.status_code == 422, answer.text
        assert field in answer.json()["message"]
        assert [violation.field for violation in violations] == [field]


_WORDS = [
    *(
        "",
        "a",
        "A",
        "a.b",
        "-a",
        "x y",
        "\n",
        "밥상",
        "http://a",
        "https://a.b:8080",
        "https://a.b:65535",
        "http://a:65536",
        "redis://a",
        "redis://a:70000/0",
        "* * * * *",
        "5 4 * * sun",
    ),
    *("@daily", "1", "2", "0.5", "-1", "1e3", "100m", "1Gi", "managed", "external", "embedded", "any", "arm64"),
]
_text = st.sampled_from(_WORDS)
_number = st.integers(-2, 12_000)
_ref = st.fixed_dictionaries({"name": _text}, optional={"key": _text})
_quantities = st.dictionaries(st.sampled_from(["cpu", "memory"]), _text | _number, max_size=2)
_resources = st.fixed_dictionaries({}, optional={"requests": _quantities, "limits": _quantities})
_volume = st.fixed_dictionaries({}, optional={"size": _text, "storageClassName": _text})
_source = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("secretKeyRef", "configMapKeyRef"), st.fixed_dictionaries({"name": _text, "key": _text})),
)
_env = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["A", "B", "BAPSANG_X", "1A", "", "AWS_ACCESS_KEY_ID"])},
        optional={"value": _text, "valueFrom": _source},
    ),
    max_size=3,
)
_parent = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "A"])},
    optional={
        "namespace": st.sampled_from(["a", "a.b"]),
        "sectionName": st.sampled_from(["a", "a.b", ""]),
        "port": st.integers(0, 2),
    },
)
_toleration = st.fixed_dictionaries(
    {}, optional={"key": _text, "operator": st.sampled_from(["Exists", "Equal", "In"]), "value": _text}
)
_api = st.fixed_dictionaries(
    {},
    optional={
        "base": st.fixed_dictionaries({}, optional={"replicas": _number, "resources": _resources}),
        "burst": st.fixed_dictionaries(
            {}, optional={"minReplicas": st.integers(0, 4), "maxReplicas": st.integers(0, 4)}
        ),
        "autoscaling": st.fixed_dictionaries({}, optional={"targetCPUUtilization": _number, "scaleUpSeconds": _number}),
        "arch": _text,
        "spot": st.fixed_dictionaries(
            {}, optional={"enabled": st.booleans() | _text, "tolerations": st.lists(_toleration, max_size=2)}
        ),
        "corsOrigins": st.lists(_text, max_size=2),
        "env": _env,
        "rateLimits": st.fixed_dictionaries(
            {},
            optional={
                "enabled": st.booleans() | _text,
                "rules": st.dictionaries(_text, st.sampled_from(["1/1", "off", "0/1", "1/", "5/60\n"]), max_size=2),
            },
        ),
    },
)
_tls = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["verified", "from-url"]),
        "caBundle": st.fixed_dictionaries(
            {"name": _text}, optional={"kind": st.sampled_from(["ConfigMap", "Secret", "Pod"]), "key": _text}
        ),
    },
)
_redis = st.fixed_dictionaries(
    {},
    optional={
        "tls": _tls,
        "mode": st.sampled_from(["managed", "external"]),
        "url": _text,
        "secretRef": _ref,
        "resources": _resources,
        "persistence": _volume,
    },
)
_database = st.fixed_dictionaries(
    {},
    optional={
        "tls": _tls,
        "mode": st.sampled_from(["embedded", "external"]),
        "writerSecretRef": _ref,
        "readerSecretRef": _ref,
        "storage": _volume,
    },
)
_like_sync = st.fixed_dictionaries({}, optional={"schedule": _text, "batchSize": _number, "suspend": st.booleans()})
_windows = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "b", "A", ""]), "duration": _text | st.sampled_from(["2h", "90m", "25h", "0m"])},
        optional={
            "replicas": st.integers(0, 12),
            "schedule": _text,
            "at": st.sampled_from(["2026-11-27T11:45:00+09:00", "2026-02-30T00:00:00Z", "2026-11-27", ""]),
            "timeZone": st.sampled_from(["UTC", "Asia/Seoul", "Asia/Nowhere", "asia/seoul", "+09:00", "Local", ""]),
        },
    ),
    max_size=3,
)
_storage_spec = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("bucket", "region", "endpoint", "uploadUrl", "publicUrl", "secretName"), _text),
)
_parts = {
    "image": _text | _number,
    "host": _text,
    "prewarm": _windows,
    "hibernate": st.booleans() | _text,
    "publicUrl": _text,
    "api": _api,
    "redis": _redis,
    "database": _database,
    "storage": _storage_spec,
    "likeSync": _like_sync,
    "imageCollector": st.fixed_dictionaries({}, optional={"schedule": _text, "graceHours": _number}),
    "media": st.fixed_dictionaries(
        {}, optional={"minReplicas": st.integers(0, 5), "maxReplicas": st.integers(0, 5), "resources": _resources}
    ),
    "originals": st.fixed_dictionaries({}, optional={"days": _number}),
    "serviceAccount": st.fixed_dictionaries({}, optional={"annotations": st.dictionaries(_text, _text | _number)}),
    "auth": st.fixed_dictionaries({}, optional={"issuer": _text, "audience": _text, "signingKeySecretRef": _ref}),
    "gateway": st.fixed_dictionaries(
        {"parentRefs": st.lists(_parent, max_size=3)},
        optional={"scheme": st.sampled_from(["https", "ftp"]), "requestTimeoutSeconds": _number},
    ),
    "ingress": st.fixed_dictionaries(
        {}, optional={"className": _text, "tlsSecretName": _text, "annotations": st.dictionaries(_text, _text)}
    ),
}
#: One or two parts at a time: a spec with everything in it would nearly always be refused for several reasons.
_specs = st.lists(st.sampled_from(sorted(_parts)), min_size=1, max_size=2, unique=True).flatmap(
    lambda chosen: st.fixed_dictionaries({part: _parts[part] for part in chosen})
)


@given(changes=_specs)
@settings(
    max_examples=int(os.environ.get("BAPSANG_TEST_SPECS", "400")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_operator_and_apiserver_give_the_same_verdict(client: Client, place: str, changes: Spec) -> None:
    manifest = {"image": "bapsang/api:0.1.0", **changes}
    code, answer = _create(client, place, manifest | {"host": changes.get("host")})
    violations = validate({key: value for key, value in manifest.items() if value is not None})
    assert (code == 201) is (violations == []), f"{json.dumps(changes)}\n{answer.get('message')}\n{violations}"
    if violations:
        assert any(violation.field in answer["message"] for violation in violations), (answer["message"], violations)
