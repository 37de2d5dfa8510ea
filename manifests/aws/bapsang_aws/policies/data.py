"""Database, cache, buckets, queues: what must survive, stay private and be found again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bapsang_aws.policies.core import dig, each, listed, policy, queues, true
from bapsang_aws.render import Estate, Resource

Found = Iterator[tuple[Resource | str, str]]
#: What becomes of each kind of data when it is deleted, and when it is replaced. A replica holds nothing of its own.
#: Kept, but not when the creation of the stack is rolled back: a bucket of a fixed name would block the next try.
_KEPT: Final = {
    "AWS::RDS::DBInstance": ("Snapshot", "Snapshot"),
    "AWS::ElastiCache::ReplicationGroup": ("Snapshot", "Snapshot"),
    "AWS::S3::Bucket": ("RetainExceptOnCreate", "Retain"),
    "AWS::KMS::Key": ("RetainExceptOnCreate", "Retain"),
}


def _writers(estate: Estate) -> list[Resource]:
    return [one for one in estate.of("RDS::DBInstance") if "SourceDBInstanceIdentifier" not in one.properties]


def _each_writer(name: str, message: str, holds: Any, *, production: bool = False) -> None:
    @policy(name)
    def check(estate: Estate) -> Found:
        for one in _writers(estate):
            if (estate.production or not production) and not holds(one.properties):
                yield one, message


@policy("data-outlives-its-stack")
def _kept(estate: Estate) -> Found:
    for one in estate.resources:
        wanted = _KEPT.get(one.type)
        if wanted is None or "SourceDBInstanceIdentifier" in one.properties:
            continue
        for key, value in zip(("DeletionPolicy", "UpdateReplacePolicy"), wanted, strict=True):
            if one.body.get(key) != value:
                yield one, f"{key} must be {value}"


@policy("generated-secrets-are-kept")
def _secrets_kept(estate: Estate) -> Found:
    for one in estate.of("SecretsManager::Secret"):
        # A snapshot is restored with its password; a URL is made anew with its database.
        wanted = "RetainExceptOnCreate" if "GenerateSecretString" in one.properties else "Delete"
        if one.body.get("DeletionPolicy") != wanted:
            yield one, f"DeletionPolicy must be {wanted}"


@policy("log-groups-go-after-their-writers")
def _log_groups(estate: Estate) -> Found:
    """A writer that outlives its log groups makes them again by itself, and the next creation finds their names taken."""
    groups = estate.of("Logs::LogGroup")
    for kind, key, prefix in (
        ("RDS::DBInstance", "DBInstanceIdentifier", "/aws/rds/instance/"),
        ("EKS::Cluster", "Name", "/aws/eks/"),
    ):
        for one in estate.of(kind):
            own = f"{prefix}{one.properties.get(key)}/"
            first = listed(one.body.get("DependsOn", []))
            for group in groups:
                is_own = str(group.properties.get("LogGroupName")).startswith(own)
                if is_own and group.address.rpartition(".")[2] not in first:
                    yield one, f"does not depend on {group}, which it writes to"


each(
    "secrets-by-our-key",
    "SecretsManager::Secret",
    "is not encrypted with our key",
    lambda p: "${Data.DataKey" in str(p.get("KmsKeyId")),
)
each(
    "passwords-are-long-and-fit-a-url",
    "SecretsManager::Secret",
    "is short or breaks the URL that it becomes part of",
    lambda p: (
        "GenerateSecretString" not in p
        or (
            p["GenerateSecretString"].get("PasswordLength", 0) >= 32
            and true(p["GenerateSecretString"].get("ExcludePunctuation"))
        )
    ),
)
_each_writer(
    "mysql-8.4", "is not 8.4: 8.0 costs extended support", lambda p: str(p.get("EngineVersion")).startswith("8.4.")
)
_each_writer("mysql-engine", "the API speaks MySQL", lambda p: p.get("Engine") == "mysql")
_each_writer(
    "no-extended-support",
    "may slip into paid extended support",
    lambda p: p.get("EngineLifecycleSupport") == "open-source-rds-extended-support-disabled",
)
_each_writer("database-multi-az", "stands in one zone", lambda p: true(p.get("MultiAZ")), production=True)
_each_writer(
    "database-encrypted",
    "is not encrypted with our key",
    lambda p: true(p.get("StorageEncrypted")) and "${Data.DataKey" in str(p.get("KmsKeyId")),
)
_each_writer("database-backed-up", "has no backups", lambda p: p.get("BackupRetentionPeriod", 0) >= 1)
_each_writer(
    "database-backed-up-a-week",
    "keeps less than a week",
    lambda p: p.get("BackupRetentionPeriod", 0) >= 7,
    production=True,
)
_each_writer(
    "database-protected", "can be deleted by mistake", lambda p: true(p.get("DeletionProtection")), production=True
)
_each_writer(
    "database-grows", "stops when its disk is full", lambda p: p.get("MaxAllocatedStorage", 0) > p["AllocatedStorage"]
)
_each_writer(
    "database-writes-its-logs",
    "its errors and slow statements are not kept",
    lambda p: {"error", "slowquery"} <= set(p.get("EnableCloudwatchLogsExports", ())),
)
each(
    "database-not-public",
    "RDS::DBInstance",
    "has a public address",
    lambda p: str(p.get("PubliclyAccessible")).lower() == "false",
)
each("database-on-gp3", "RDS::DBInstance", "pays more for a slower disk", lambda p: p.get("StorageType") == "gp3")
each("database-patched", "RDS::DBInstance", "gets no minor versions", lambda p: true(p.get("AutoMinorVersionUpgrade")))
each(
    "database-parameters",
    "RDS::DBParameterGroup",
    "must be of 8.4, require TLS, and speak utf8mb4 in UTC",
    lambda p: (
        p.get("Family") == "mysql8.4"
        and p["Parameters"].get("require_secure_transport") == "1"
        and p["Parameters"].get("character_set_server") == "utf8mb4"
        and p["Parameters"].get("time_zone") == "UTC"
    ),
)


@policy("database-uses-its-parameters")
def _parameters_used(estate: Estate) -> Found:
    for one in estate.of("RDS::DBInstance"):
        if estate.at(one.properties.get("DBParameterGroupName")) is None:
            yield one, "runs with the default parameters"


@policy("cache-survives-a-zone")
def _cache_pair(estate: Estate) -> Found:
    groups = estate.of("ElastiCache::ReplicationGroup")
    if estate.production and not groups:
        yield "Data", "production has no cache of its own"
    for one in groups:
        properties = one.properties
        if estate.production and (
            properties.get("NumCacheClusters", 1) < 2
            or not true(properties.get("AutomaticFailoverEnabled"))
            or not true(properties.get("MultiAZEnabled"))
        ):
            yield one, "has no second node in another zone that takes over"


each(
    "cache-encrypted",
    "ElastiCache::ReplicationGroup",
    "must be encrypted at rest and in transit, and ask for a password",
    lambda p: (
        true(p.get("AtRestEncryptionEnabled"))
        and true(p.get("TransitEncryptionEnabled"))
        and p.get("TransitEncryptionMode") == "required"
        and p.get("AuthToken")
    ),
)
each(
    "cache-snapshots",
    "ElastiCache::ReplicationGroup",
    "takes no snapshots",
    lambda p: p.get("SnapshotRetentionLimit", 0) >= 1,
)
each(
    "cache-is-valkey",
    "ElastiCache::ReplicationGroup",
    "costs 25 % more than Valkey",
    lambda p: p.get("Engine") == "valkey",
)
each(
    "cache-never-forgets",
    "ElastiCache::ParameterGroup",
    "evicts likes that are not written yet",
    lambda p: dig(p, "Properties", "maxmemory-policy") == "noeviction",
)


@policy("cache-uses-its-parameters")
def _cache_parameters_used(estate: Estate) -> Found:
    for one in estate.of("ElastiCache::ReplicationGroup"):
        if estate.at(one.properties.get("CacheParameterGroupName")) is None:
            yield one, "runs with the default parameters"


_BLOCKS: Final = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
each(
    "buckets-private",
    "S3::Bucket",
    "can be made public",
    lambda p: all(true(dig(p, "PublicAccessBlockConfiguration", block)) for block in _BLOCKS),
)
each(
    "buckets-without-acls",
    "S3::Bucket",
    "takes rights from ACLs",
    lambda p: dig(p, "OwnershipControls", "Rules", 0, "ObjectOwnership") == "BucketOwnerEnforced",
)
each(
    "buckets-encrypted",
    "S3::Bucket",
    "is not encrypted",
    lambda p: (
        dig(
            p,
            "BucketEncryption",
            "ServerSideEncryptionConfiguration",
            0,
            "ServerSideEncryptionByDefault",
            "SSEAlgorithm",
        )
        in {"AES256", "aws:kms"}
    ),
)
each(
    "buckets-versioned",
    "S3::Bucket",
    "a deletion is for ever",
    lambda p: dig(p, "VersioningConfiguration", "Status") == "Enabled",
)


def _enabled(bucket: Resource) -> list[Any]:
    rules = dig(bucket.properties, "LifecycleConfiguration", "Rules") or ()
    return [rule for rule in rules if rule.get("Status") == "Enabled"]


@policy("buckets-forget-what-nobody-needs")
def _lifecycle(estate: Estate) -> Found:
    for bucket in estate.of("S3::Bucket"):
        rules = _enabled(bucket)
        if not any("AbortIncompleteMultipartUpload" in rule for rule in rules):
            yield bucket, "keeps parts of uploads that were given up, and they are billed"
        if not any("NoncurrentVersionExpiration" in rule for rule in rules):
            yield bucket, "keeps old versions for ever"


#: Days after which what lies below a prefix goes: at least, at most. Erasures have to outlive every backup, originals the days
#: that a Community keeps them.
_PASSING: Final = {
    "temp/": (2, 7),
    "checked/": (2, 7),
    "originals/": (31, 400),
    "exports/": (7, 8),
    "erasures/": (36, 40),
}


@policy("temporary-uploads-expire")
def _temporary(estate: Estate) -> Found:
    for bucket in estate.of("S3::Bucket"):
        days = {rule.get("Prefix"): rule["ExpirationInDays"] for rule in _enabled(bucket) if "ExpirationInDays" in rule}
        for prefix, (least, most) in _PASSING.items():
            if bucket.address == "Media.Media" and not least <= days.get(prefix, 0) <= most:
                yield bucket, f"keeps what lies below {prefix} for another time than {least} to {most} days"
        if not set(days) <= _PASSING.keys():
            yield bucket, "lets photos expire"


@policy("browsers-put-and-no-more")
def _cors(estate: Estate) -> Found:
    for bucket in estate.of("S3::Bucket"):
        for rule in dig(bucket.properties, "CorsConfiguration", "CorsRules") or ():
            if (
                "*" in rule["AllowedOrigins"]
                or "*" in rule.get("AllowedHeaders", ())
                or rule["AllowedMethods"] != ["PUT"]
            ):
                yield bucket, "lets other sites or other methods in"


@policy("uploads-are-told")
def _events(estate: Estate) -> Found:
    media = next((one for one in estate.of("S3::Bucket") if one.address == "Media.Media"), None)
    if media is None:
        yield "Media", "there is no bucket of photos"
        return
    told = {
        dig(one, "Filter", "S3Key", "Rules", 0, "Value")
        for one in dig(media.properties, "NotificationConfiguration", "QueueConfigurations") or ()
        if one["Event"] == "s3:ObjectCreated:*" and one["Queue"] == "${Media.UploadEvents.Arn}"
    }
    wanted = {"users/", "temp/"} if "UploadEvents" in queues(estate) else set()
    for prefix in sorted(wanted - told):
        yield media, f"uploads below {prefix} are not told"
    removed = [
        dig(one, "Filter", "S3Key", "Rules", 0, "Value")
        for one in dig(media.properties, "NotificationConfiguration", "QueueConfigurations") or ()
        if one["Event"] == "s3:ObjectRemoved:*" and one["Queue"] == "${Media.RemovalEvents.Arn}"
    ]
    if removed != ["public/"]:
        yield media, "the edge is not told what was taken down"


def _readers(estate: Estate, queue: Resource) -> Iterator[Resource]:
    """Yield the functions that read a queue."""
    for one in estate.of("Lambda::EventSourceMapping"):
        function = estate.at(one.properties.get("FunctionName"))
        if function is not None and queue is estate.at(one.properties.get("EventSourceArn")):
            yield function


@policy("queues-keep-what-fails")
def _queues(estate: Estate) -> Found:
    for queue in estate.of("SQS::Queue"):
        if not true(queue.properties.get("SqsManagedSseEnabled")):
            yield queue, "is not encrypted"
        if queue.address in {"Media.UploadEvents", "Media.RemovalEvents"}:
            target = estate.at(dig(queue.properties, "RedrivePolicy", "deadLetterTargetArn"))
            if target is None or not 3 <= dig(queue.properties, "RedrivePolicy", "maxReceiveCount") <= 10:
                yield queue, "loses or repeats for ever what cannot be handled"
            longest = max((one.properties.get("Timeout", 3) for one in _readers(estate, queue)), default=10)
            if queue.properties.get("VisibilityTimeout", 30) < 6 * longest:
                yield queue, "hands a message out again while it is being handled"
        elif queue.properties.get("MessageRetentionPeriod", 0) < 1_209_600:
            yield queue, "forgets a failure before two weeks are over"


@policy("queues-take-before-the-bucket-sends")
def _sent(estate: Estate) -> Found:
    media = next((one for one in estate.of("S3::Bucket") if one.address == "Media.Media"), None)
    awaited = str([media.body.get("DependsOn"), media.body.get("Metadata")]) if media else ""
    for one in estate.of("SQS::QueuePolicy"):
        if one.address.partition(".")[2] not in awaited:
            yield one, "may come after the bucket, which S3 refuses while a queue does not let it send"


@policy("queue-takes-only-our-bucket")
def _queue_policy(estate: Estate) -> Found:
    for one in estate.of("SQS::QueuePolicy"):
        for statement in one.properties["PolicyDocument"]["Statement"]:
            conditions = dig(statement, "Condition") or {}
            bounded = dig(conditions, "StringEquals", "aws:SourceAccount") and dig(
                conditions, "ArnEquals", "aws:SourceArn"
            )
            narrow = statement["Principal"] == {"Service": "s3.amazonaws.com"} and listed(statement["Action"]) == [
                "sqs:SendMessage"
            ]
            if not (bounded and narrow):
                yield one, "lets others than our bucket in"
