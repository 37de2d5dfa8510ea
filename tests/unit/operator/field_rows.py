"""What each field of the spec changes: a row names every child and the path at which the value arrives there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from bapsang_operator.manifest import Manifest

from .template_rows import leaves

BASE, BURST = "Deployment c-api-base", "Deployment c-api-burst"
HEADROOM = "Deployment c-headroom"
SYNC, COLLECTOR = "CronJob c-like-sync", "CronJob c-image-collector"
HPA, INGRESS = "HorizontalPodAutoscaler c-api-burst", "Ingress c-api"
MEDIA, MEDIA_HPA = "Deployment c-media", "HorizontalPodAutoscaler c-media"
MAIL = "Deployment c-mail"
SCALED = "ScaledObject c-api-burst"
ROUTE = "HTTPRoute c-api"
REDIS, MYSQL = "StatefulSet c-redis", "StatefulSet c-mysql"
MIGRATE = "Job c-migrate-*"
POLICIES = {"NetworkPolicy c-api": "spec.egress", "NetworkPolicy c-jobs": "spec.egress"}
S3_POLICIES = POLICIES | {"NetworkPolicy c-media": "spec.egress"}
STATUS = "status"

POD = "spec.template.spec"
ENV = f"{POD}.containers[api].env"
CRON = "spec.jobTemplate.spec.template.spec.containers"
PAIR = (BASE, BURST)
COST = {STATUS: "cost"}


@dataclass(frozen=True)
class Row:
    """The value `to` of a field, what the rest of the spec is meanwhile, and where the change shows.

    `then` is all of the spec that a change needs besides the field itself (a field that excludes another one).
    """

    to: Any
    shows: dict[str, str]
    given: Manifest = field(default_factory=dict)
    then: Manifest = field(default_factory=dict)


def _both(path: str) -> dict[str, str]:
    return dict.fromkeys(PAIR, path)


def _resources(name: str, path: str) -> dict[str, Row]:
    """Rows of a `resources` block that reaches the container at `path` of the child `name`."""
    found = {}
    for kind, what, value in (
        ("requests", "cpu", "77m"),
        ("requests", "memory", "99Mi"),
        ("limits", "cpu", "3"),
        ("limits", "memory", "3Gi"),
    ):
        found[f"resources.{kind}.{what}"] = Row(value, {name: f"{path}.resources.{kind}.{what}"})
    return found


def _under(prefix: str, rows: dict[str, Row]) -> dict[str, Row]:
    return {f"{prefix}.{name}": row for name, row in rows.items()}


EXTERNAL_REDIS: Manifest = {"redis": {"mode": "external", "url": "redis://a:6379/0"}}
REDIS_BY_SECRET: Manifest = {"redis": {"mode": "external", "secretRef": {"name": "cache"}}}
EXTERNAL_DATABASE: Manifest = {"database": {"mode": "external", "writerSecretRef": {"name": "w"}}}
WITH_READER: Manifest = {
    "database": {"mode": "external", "writerSecretRef": {"name": "w"}, "readerSecretRef": {"name": "r"}}
}
BY_URL: Manifest = {"tls": {"mode": "from-url"}}
REDIS_BY_URL: Manifest = {"redis": {**EXTERNAL_REDIS["redis"], **BY_URL}}
DATABASE_BY_URL: Manifest = {"database": {**EXTERNAL_DATABASE["database"], **BY_URL}}
BUNDLE: Manifest = {"tls": {"caBundle": {"name": "ca"}}}
REDIS_BUNDLE: Manifest = {"redis": {**EXTERNAL_REDIS["redis"], **BUNDLE}}
DATABASE_BUNDLE: Manifest = {"database": {**EXTERNAL_DATABASE["database"], **BUNDLE}}
BUCKET: Manifest = {"storage": {"bucket": "media"}}
KEYED: Manifest = {"storage": {"bucket": "media", "secretName": "s3"}}
SERVED: Manifest = {"storage": {"bucket": "media", "secretName": "s3", "endpoint": "http://s3.storage.svc:7070"}}
LETTERS: Manifest = {"mail": {"from": "a@example.com", "url": "smtp://mail.example.com:587"}}
LETTERS_BY_SECRET: Manifest = {"mail": {"from": "a@example.com", "secretRef": {"name": "mail"}}}
LETTERS_BUNDLE: Manifest = {"mail": {**LETTERS["mail"], "caBundle": {"name": "ca"}}}
KEY: Manifest = {"auth": {"signingKeySecretRef": {"name": "k"}}}
LITERAL: Manifest = {"api": {"env": [{"name": "A", "value": "1"}]}}
FROM_SECRET: Manifest = {"api": {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}}
FROM_MAP: Manifest = {"api": {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}]}}
TOLERATION: Manifest = {"api": {"spot": {"tolerations": [{"key": "a", "operator": "Equal", "value": "b"}]}}}
#: Open at NOW, 10:00 in UTC.
OPEN: Manifest = {"name": "w", "schedule": "0 10 * * *", "duration": "2h", "replicas": 4}
WINDOW: Manifest = {"prewarm": [OPEN]}
SINGLE: Manifest = {"prewarm": [{"name": "w", "at": "2026-11-23T09:30:00Z", "duration": "2h", "replicas": 4}]}
PRICED: Manifest = {"estate": {}, "budget": {"monthlyUSD": 500, "monthlyRevenueUSD": 5000}}
KEDA: Manifest = {"api": {"autoscaling": {"keda": {"prometheusUrl": "http://p:9090", "requestsPerPod": 50}}}}
GATEWAY: Manifest = {"gateway": {"parentRefs": [{"name": "public"}]}}
PRICED_CACHE: Manifest = PRICED | EXTERNAL_REDIS

DATABASE_URL = "env[BAPSANG_DATABASE_URL].valueFrom.secretKeyRef"
READER_URL = "env[BAPSANG_DATABASE_READER_URL].valueFrom.secretKeyRef"
REDIS_URL = "env[BAPSANG_REDIS_URL]"


def _containers(path: str) -> dict[str, str]:
    """The path in the container of each pod that uses database and Redis."""
    return {
        BASE: f"{POD}.containers[api].{path}",
        BURST: f"{POD}.containers[api].{path}",
        SYNC: f"{CRON}[like-sync].{path}",
        MIGRATE: f"{POD}.containers[migrate].{path}",
    }


def _bundle(store: str, given: Manifest) -> dict[str, Row]:
    """Rows of the authorities by which a store is verified."""
    volume = f"volumes[{store}-ca]"
    pods = dict.fromkeys((BASE, BURST, MIGRATE), f"{POD}.{volume}") | {SYNC: CRON.replace(".containers", f".{volume}")}
    return {
        "kind": Row("Secret", pods, given),
        "name": Row("other", pods, given),
        "key": Row("root.pem", {name: f"{path}.configMap.items[0].key" for name, path in pods.items()}, given),
    }


def _api(path: str) -> dict[str, str]:
    return _both(f"{POD}.containers[api].{path}")


def _bucket(path: str) -> dict[str, str]:
    return _api(path) | {COLLECTOR: f"{CRON}[image-collector].{path}", MEDIA: f"{POD}.containers[media].{path}"}


def _letters(path: str) -> dict[str, str]:
    return _api(path) | {MAIL: f"{POD}.containers[mail].{path}"}


def _beside(given: Manifest, letters: Manifest) -> Manifest:
    """Return the spec of a field of spec.mail that stands beside what mail needs."""
    return given | {"mail": given.get("mail", {}) | letters["mail"]}


def _template(part: str, *children: str) -> dict[str, Row]:
    """Rows of the `podTemplate` of a part, which reaches the pods of `children`."""
    at = {
        name: "spec.jobTemplate.spec.template" if name.startswith("CronJob") else "spec.template" for name in children
    }
    return {
        path: Row(to, {name: f"{template}.{place}" for name, template in at.items()}, given)
        for path, (to, given, place) in leaves(part).items()
    }


GONE = ""
NODES = f"{POD}.affinity.nodeAffinity"
JOB_NODES = "spec.jobTemplate.spec.template.spec.affinity.nodeAffinity"
WHERE = {
    BASE: NODES,
    BURST: NODES,
    REDIS: NODES,
    MYSQL: NODES,
    SYNC: JOB_NODES,
    MIGRATE: NODES,
}

ROWS: dict[str, Row] = {
    "image": Row(
        "bapsang/api:0.2.0",
        _api("image") | {SYNC: f"{CRON}[like-sync].image", MIGRATE: f"{POD}.containers[migrate].image"},
    ),
    "host": Row(
        "new.example.com",
        {INGRESS: "spec.rules[0].host", STATUS: "url"} | _api("env[BAPSANG_ISSUER].value"),
    ),
    "publicUrl": Row("http://c.localhost:8880", {STATUS: "url"} | _api("env[BAPSANG_CORS_ORIGINS].value")),
    "ingress.className": Row("alb", {INGRESS: "spec.ingressClassName"}),
    "ingress.tlsSecretName": Row(
        "tls", {INGRESS: "spec.tls[0].secretName", STATUS: "url"} | _api("env[BAPSANG_ISSUER].value")
    ),
    "ingress.annotations": Row({"a": "b"}, {INGRESS: "metadata.annotations.a"}),
    **{
        f"gateway.parentRefs[].{name}": Row(to, {ROUTE: "spec.parentRefs"}, GATEWAY)
        for name, to in {"name": "other", "namespace": "infra", "sectionName": "https", "port": 443}.items()
    },
    "gateway.scheme": Row("http", {STATUS: "url"} | _api("env[BAPSANG_ISSUER].value"), GATEWAY),
    "gateway.requestTimeoutSeconds": Row(20, {ROUTE: "spec.rules[0].timeouts.request"}, GATEWAY),
    "gateway.keepIngress": Row(True, {INGRESS: GONE}, GATEWAY),
    "gateway.annotations": Row({"a": "b"}, {ROUTE: "metadata.annotations.a"}, GATEWAY),
    "api.base.replicas": Row(3, {BASE: "spec.replicas"}),
    **_under("api.base", _resources(BASE, f"{POD}.containers[api]")),
    "api.burst.minReplicas": Row(2, {HPA: "spec.minReplicas"}),
    "api.burst.maxReplicas": Row(20, {HPA: "spec.maxReplicas"}),
    "api.burst.headroom": Row(3, {HEADROOM: "spec.replicas"}, {"api": {"burst": {"headroom": 2}}}),
    **_under("api.burst", _resources(BURST, f"{POD}.containers[api]")),
    "api.autoscaling.targetCPUUtilization": Row(
        50, {HPA: "spec.metrics[0].containerResource.target.averageUtilization"}
    ),
    "api.autoscaling.scaleUpSeconds": Row(30, {HPA: "spec.behavior.scaleUp.stabilizationWindowSeconds"}),
    "api.autoscaling.scaleDownSeconds": Row(60, {HPA: "spec.behavior.scaleDown.stabilizationWindowSeconds"}),
    "api.autoscaling.keda.prometheusUrl": Row("http://q", {SCALED: "spec.triggers[1].metadata.serverAddress"}, KEDA),
    "api.autoscaling.keda.requestsPerPod": Row(60, {SCALED: "spec.triggers[1].metadata.threshold"}, KEDA),
    "api.drainSeconds": Row(
        60, _api("lifecycle.preStop.sleep.seconds") | {BURST: f"{POD}.terminationGracePeriodSeconds"}
    ),
    "api.arch": Row("arm64", WHERE),
    "api.spot.enabled": Row(False, {BURST: NODES, "PodDisruptionBudget c-api-burst": "spec.maxUnavailable"}),
    "api.spot.nodeSelector": Row({"capacity": "spot"}, WHERE),
    "api.spot.tolerations[].key": Row("other", {BURST: f"{POD}.tolerations[0].key"}, TOLERATION),
    "api.spot.tolerations[].operator": Row(
        "Exists",
        {BURST: f"{POD}.tolerations[0].operator"},
        {"api": {"spot": {"tolerations": [{"key": "a", "operator": "Equal"}]}}},
    ),
    "api.spot.tolerations[].value": Row("other", {BURST: f"{POD}.tolerations[0].value"}, TOLERATION),
    "api.spot.tolerations[].effect": Row("NoExecute", {BURST: f"{POD}.tolerations[0].effect"}, TOLERATION),
    "api.corsOrigins[]": Row(
        "https://app.example.com", _api("env[BAPSANG_CORS_ORIGINS].value"), {"api": {"corsOrigins": ["http://a.b"]}}
    ),
    "api.rateLimits.enabled": Row(False, _api("env[BAPSANG_RATE_LIMITS].value")),
    "api.holdPosts": Row(False, _api("env[OPTIONAL_BAPSANG_HOLD_POSTS].value")),
    "api.trustedHops": Row(2, _api("env[BAPSANG_TRUSTED_HOPS].value")),
    "api.rateLimits.rules": Row({"ip": "1/1"}, _api("env[BAPSANG_RATE_LIMITS].value")),
    "api.env[].name": Row("B", _api("env[B].name"), LITERAL),
    "api.env[].value": Row("2", _api("env[A].value"), LITERAL),
    "api.env[].valueFrom.secretKeyRef.name": Row(
        "t", _api("env[A].valueFrom.secretKeyRef.name") | {"Secret t": GONE, "Secret s": GONE}, FROM_SECRET
    ),
    "api.env[].valueFrom.secretKeyRef.key": Row("l", _api("env[A].valueFrom.secretKeyRef.key"), FROM_SECRET),
    "api.env[].valueFrom.configMapKeyRef.name": Row("n", _api("env[A].valueFrom.configMapKeyRef.name"), FROM_MAP),
    "api.env[].valueFrom.configMapKeyRef.key": Row("l", _api("env[A].valueFrom.configMapKeyRef.key"), FROM_MAP),
    "redis.mode": Row(
        "external",
        {
            REDIS: GONE,
            "Secret c-redis": GONE,
            "Service c-redis": GONE,
            "PersistentVolumeClaim c-redis": GONE,
            "NetworkPolicy c-redis": GONE,
            "PodDisruptionBudget c-redis": GONE,
            STATUS: "RedisReady",
        }
        | POLICIES
        | _containers(f"{REDIS_URL}.value"),
        then={"redis": {"mode": "external", "url": "redis://a:6379/0"}},
    ),
    "redis.url": Row("redis://b:6379/0", _containers(f"{REDIS_URL}.value"), EXTERNAL_REDIS),
    "redis.secretRef.name": Row(
        "other",
        _containers(f"{REDIS_URL}.valueFrom.secretKeyRef.name") | {"Secret cache": GONE, "Secret other": GONE},
        REDIS_BY_SECRET,
    ),
    "redis.secretRef.key": Row("uri", _containers(f"{REDIS_URL}.valueFrom.secretKeyRef.key"), REDIS_BY_SECRET),
    "redis.tls.mode": Row("verified", _containers("env[OPTIONAL_BAPSANG_REDIS_TLS_CA].value"), REDIS_BY_URL),
    **_under("redis.tls.caBundle", _bundle("redis", REDIS_BUNDLE)),
    **_under("redis", _resources(REDIS, f"{POD}.containers[redis]")),
    "redis.image": Row("mirror.example:5000/redis@sha256:" + "a" * 64, {REDIS: f"{POD}.containers[redis].image"}),
    "redis.persistence.size": Row("2Gi", {"PersistentVolumeClaim c-redis": "spec.resources.requests.storage"}),
    "redis.persistence.storageClassName": Row("fast", {"PersistentVolumeClaim c-redis": "spec.storageClassName"}),
    "database.mode": Row(
        "external",
        {
            MYSQL: GONE,
            "Secret c-mysql": GONE,
            "Secret w": GONE,
            "Service c-mysql": GONE,
            "PersistentVolumeClaim c-mysql": GONE,
            "NetworkPolicy c-mysql": GONE,
            "PodDisruptionBudget c-mysql": GONE,
            STATUS: "DatabaseReady",
        }
        | POLICIES
        | _containers(f"{DATABASE_URL}.name"),
        then=EXTERNAL_DATABASE,
    ),
    "database.writerSecretRef.name": Row(
        "v", _containers(f"{DATABASE_URL}.name") | {"Secret v": GONE, "Secret w": GONE}, EXTERNAL_DATABASE
    ),
    "database.writerSecretRef.key": Row("uri", _containers(f"{DATABASE_URL}.key"), EXTERNAL_DATABASE),
    "database.readerSecretRef.name": Row(
        "v",
        _api(f"{READER_URL}.name")
        | {MIGRATE: f"{POD}.containers[migrate].{READER_URL}.name"}
        # The Job asks the replica, too, whether it can be verified.
        | {"Secret v": GONE, "Secret r": GONE},
        WITH_READER,
    ),
    "database.readerSecretRef.key": Row(
        "uri", _api(f"{READER_URL}.key") | {MIGRATE: f"{POD}.containers[migrate].{READER_URL}.key"}, WITH_READER
    ),
    "database.tls.mode": Row("verified", _containers("env[OPTIONAL_BAPSANG_DATABASE_TLS_CA].value"), DATABASE_BY_URL),
    **_under("database.tls.caBundle", _bundle("database", DATABASE_BUNDLE)),
    "database.image": Row("mirror.example/mysql:9.7.1", {MYSQL: f"{POD}.containers[mysql].image"}),
    "database.storage.size": Row("9Gi", {"PersistentVolumeClaim c-mysql": "spec.resources.requests.storage"}),
    "database.storage.storageClassName": Row("fast", {"PersistentVolumeClaim c-mysql": "spec.storageClassName"}),
    **_under("database", _resources(MYSQL, f"{POD}.containers[mysql]")),
    "storage.bucket": Row("other", _bucket("env[BAPSANG_S3_BUCKET].value"), BUCKET),
    "storage.region": Row("us-east-1", _bucket("env[BAPSANG_S3_REGION].value"), BUCKET),
    "storage.endpoint": Row(
        "http://s3.storage.svc:7070", _bucket("env[BAPSANG_S3_ENDPOINT].value") | S3_POLICIES, KEYED
    ),
    "storage.uploadUrl": Row("https://up.example.com", _bucket("env[BAPSANG_S3_UPLOAD_URL].value"), SERVED),
    "storage.publicUrl": Row("https://cdn.example.com", _bucket("env[BAPSANG_S3_PUBLIC_URL].value"), SERVED),
    "storage.secretName": Row(
        "s3", _bucket("env[AWS_ACCESS_KEY_ID].valueFrom.secretKeyRef.name") | S3_POLICIES | {"Secret s3": GONE}, BUCKET
    ),
    "likeSync.schedule": Row("*/5 * * * *", {SYNC: "spec.schedule"}),
    "likeSync.batchSize": Row(7, {SYNC: f"{CRON}[like-sync].args[2]"}),
    "likeSync.suspend": Row(True, {SYNC: "spec.suspend", STATUS: "LikeSyncHealthy"}),
    "imageCollector.schedule": Row("5 4 * * *", {COLLECTOR: "spec.schedule"}, BUCKET),
    "imageCollector.suspend": Row(True, {COLLECTOR: "spec.suspend"}, BUCKET),
    "imageCollector.graceHours": Row(48, {COLLECTOR: f"{CRON}[image-collector].args[2]"}, BUCKET),
    "originals.days": Row(
        7,
        {
            COLLECTOR: f"{CRON}[image-collector].env[OPTIONAL_BAPSANG_ORIGINALS_DAYS].value",
            **_api("env[OPTIONAL_BAPSANG_ORIGINALS_DAYS]"),
        },
        BUCKET,
    ),
    "media.minReplicas": Row(2, {MEDIA_HPA: "spec.minReplicas"}, BUCKET),
    "media.maxReplicas": Row(9, {MEDIA_HPA: "spec.maxReplicas"}, BUCKET),
    **{
        f"media.{name}": replace(row, given=BUCKET)
        for name, row in _resources(MEDIA, f"{POD}.containers[media]").items()
    },
    "mail.from": Row("b@example.com", _letters("env[OPTIONAL_BAPSANG_MAIL_FROM].value"), LETTERS),
    "mail.url": Row(
        "smtp://mail.infra.svc:1025?tls=none",
        _letters("env[OPTIONAL_BAPSANG_SMTP_URL].value") | {"NetworkPolicy c-mail": "spec.egress"},
        LETTERS,
    ),
    "mail.secretRef.name": Row(
        "other",
        _letters("env[OPTIONAL_BAPSANG_SMTP_URL].valueFrom.secretKeyRef.name")
        | {"Secret mail": GONE, "Secret other": GONE},
        LETTERS_BY_SECRET,
    ),
    "mail.secretRef.key": Row(
        "uri", _letters("env[OPTIONAL_BAPSANG_SMTP_URL].valueFrom.secretKeyRef.key"), LETTERS_BY_SECRET
    ),
    **{
        f"mail.caBundle.{name}": Row(to, {MAIL: f"{POD}.volumes[mail-ca]"}, LETTERS_BUNDLE)
        for name, to in {"kind": "Secret", "name": "other", "key": "root.pem"}.items()
    },
    "mail.replicas": Row(2, {MAIL: "spec.replicas"}, LETTERS),
    **{
        f"mail.{name}": replace(row, given=LETTERS) for name, row in _resources(MAIL, f"{POD}.containers[mail]").items()
    },
    "serviceAccount.annotations": Row({"a": "b"}, {"ServiceAccount c-api": "metadata.annotations.a"}),
    "auth.issuer": Row("https://id.example.com", _api("env[BAPSANG_ISSUER].value")),
    "auth.audience": Row("other", _api("env[BAPSANG_AUDIENCE].value")),
    "auth.signingKeySecretRef.name": Row(
        "l", _both(f"{POD}.volumes[signing-key].secret.secretName") | {"Secret k": GONE, "Secret l": GONE}, KEY
    ),
    "auth.signingKeySecretRef.key": Row("pem", _both(f"{POD}.volumes[signing-key].secret.items[0].key"), KEY),
    "prewarm[].name": Row("x", {STATUS: "Prewarmed"}, WINDOW),
    "prewarm[].schedule": Row("0 12 * * *", {HPA: "spec.minReplicas", STATUS: "Prewarmed"}, WINDOW),
    "prewarm[].at": Row("2026-11-24T09:30:00Z", {HPA: "spec.minReplicas", STATUS: "Prewarmed"}, SINGLE),
    "prewarm[].timeZone": Row("Asia/Seoul", {HPA: "spec.minReplicas", STATUS: "Prewarmed"}, WINDOW),
    "prewarm[].duration": Row("3h", {STATUS: "Prewarmed"}, WINDOW),
    "prewarm[].replicas": Row(6, {HPA: "spec.minReplicas", STATUS: "Prewarmed"}, WINDOW),
    "deletionPolicy": Row(
        "Retain",
        {
            **dict.fromkeys((f"PersistentVolumeClaim c-{store}" for store in ("redis", "mysql")), "metadata.labels"),
            **dict.fromkeys((f"Secret c-{one}" for one in ("redis", "mysql", "signing-key")), "metadata.labels"),
        },
    ),
    "hibernate": Row(True, {BASE: "spec.replicas", SYNC: "spec.suspend", STATUS: "LikeSyncHealthy"}),
    **{
        f"estate.{name}": Row(value, COST, PRICED)
        for name, value in {
            "baseNodes.type": "t4g.large",
            "baseNodes.count": 3,
            "baseNodes.commitmentPercent": 20,
            "burstNodes.type": "c7g.xlarge",
            "burstNodes.count": 3,
            "egress": "endpoints",
            "database.type": "db.t4g.large",
            "database.multiAZ": False,
            "database.replica": True,
            "database.storageGB": 100,
            "cdn": "none",
            "traffic.averageQPS": 100,
            "traffic.peakHours": 6,
            "traffic.photoViewsMillions": 500,
            "traffic.photosPerDay": 100_000,
        }.items()
    },
    "estate.zones": Row(1, {STATUS: "NoSinglePointOfFailure"}, PRICED | EXTERNAL_DATABASE),
    "estate.traffic.peakQPS": Row(9000, {STATUS: "SpotFloorHeld"}, PRICED),
    "estate.traffic.cpuMicroseconds": Row(9000, {STATUS: "SpotFloorHeld"}, PRICED),
    "estate.cache.type": Row("cache.t4g.small", COST, PRICED_CACHE),
    "estate.cache.count": Row(1, COST, PRICED_CACHE),
    "budget.monthlyUSD": Row(100, {STATUS: "CostWithinBudget"}, PRICED),
    "budget.monthlyRevenueUSD": Row(10_000, {STATUS: "cost"}, PRICED),
    "budget.maxCostPercent": Row(
        20, {STATUS: "CostWithinBudget"}, {"estate": {}, "budget": {"monthlyRevenueUSD": 5000}}
    ),
    **{
        f"networkPolicy.extraEgress[].{leaf}": Row(to, POLICIES, {"networkPolicy": {"extraEgress": [given]}})
        for leaf, to, given in (
            ("ports[].protocol", "UDP", {"ports": [{"port": 25060}]}),
            ("ports[].port", 4000, {"ports": [{"port": 25060}]}),
            ("ports[].endPort", 25070, {"ports": [{"port": 25060}]}),
            ("to[].ipBlock.cidr", "10.1.0.0/16", {"to": [{"ipBlock": {"cidr": "10.0.0.0/16"}}]}),
            (
                "to[].ipBlock.except[]",
                "10.0.2.0/24",
                {"to": [{"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.1.0/24"]}}]},
            ),
            (
                "to[].namespaceSelector.matchLabels",
                {"a": "c"},
                {"to": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]},
            ),
            ("to[].podSelector.matchLabels", {"a": "c"}, {"to": [{"podSelector": {"matchLabels": {"a": "b"}}}]}),
        )
    },
    **_template("api", *PAIR),
    **_template("redis", REDIS),
    **_template("database", MYSQL),
    **_template("jobs", MIGRATE, SYNC),
    **{path: replace(row, given=row.given | BUCKET) for path, row in _template("media", MEDIA).items()},
    **{path: replace(row, given=_beside(row.given, LETTERS)) for path, row in _template("mail", MAIL).items()},
}
