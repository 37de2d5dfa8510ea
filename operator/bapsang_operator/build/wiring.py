"""How API containers and jobs find database, Redis and signing key: environment, mounts and the secrets behind them."""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Mapping, Sequence

from bapsang_operator import names
from bapsang_operator.build import pod, sender, tls
from bapsang_operator.build.urls import Form
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.resource import Community, SecretRef

HTTP_PORT = 8000
ADMIN_PORT = 9000
KEY_FOLDER = "/var/run/secrets/bapsang"
KEY_FILE = "signing-key.pem"
_LOG_LEVEL: Manifest = {"name": "BAPSANG_LOG_LEVEL", "value": "info"}
_ADMIN_PORT: Manifest = {"name": "BAPSANG_ADMIN_PORT", "value": str(ADMIN_PORT)}

#: For how many days an API keeps originals that is not told otherwise.
API_ORIGINALS_DAYS = 30

#: Stores that photo workers use, beside the bucket.
MEDIA_STORES = ("database",)

#: Servers that mail workers verify.
MAIL_SERVERS = ("database", "mail")

#: Stands before the name of a ConfigMap among the digests.
CONFIG_MAP = "configmap/"

#: Digest of each secret value that was found; absent entries are missing secrets or keys.
Digests = Mapping[tuple[str, str], str]


def database(community: Community) -> SecretRef:
    """Return where the URL of the writing database is."""
    if community.database.writer is not None:
        return community.database.writer
    return SecretRef(names.mysql(community.name), "url", "")


def redis(community: Community) -> SecretRef | None:
    """Return where the URL of Redis is; None when the spec spells it out."""
    if community.redis.managed:
        return SecretRef(names.redis(community.name), "url", "")
    return community.redis.secret_ref


def signing_key(community: Community) -> SecretRef:
    """Return where the key that signs tokens is."""
    return community.auth.signing_key or SecretRef(names.signing_key(community.name), KEY_FILE, "")


def user_secrets(community: Community) -> list[SecretRef]:
    """Return the secrets that `spec.api.env` reads."""
    found = []
    for index, variable in enumerate(community.api.env):
        ref = variable.get("valueFrom", {}).get("secretKeyRef")
        if ref is not None:
            found.append(SecretRef(ref["name"], ref["key"], f"spec.api.env[{index}].valueFrom.secretKeyRef"))
    return found


def job_secrets(community: Community) -> list[SecretRef]:
    """Return the secrets of the stores, which all jobs read."""
    return [ref for ref in (database(community), redis(community)) if ref is not None]


def api_values(community: Community) -> list[SecretRef]:
    """Return every key of a Secret or a ConfigMap that the pods of the API read."""
    return [*api_secrets(community), *config_maps(community), *authorities(community)]


def job_values(community: Community) -> list[SecretRef]:
    """Return every key of a Secret or a ConfigMap that all jobs read."""
    return [*job_secrets(community), *authorities(community)]


def media_values(community: Community) -> list[SecretRef]:
    """Return every key of a Secret or a ConfigMap that the photo workers read: of the database and the storage."""
    return [database(community), *storage_secrets(community), *authorities(community, MEDIA_STORES)]


def mail_values(community: Community) -> list[SecretRef]:
    """Return every key of a Secret or a ConfigMap that the mail workers read."""
    return [
        database(community),
        signing_key(community),
        *sender.secrets(community),
        *authorities(community, MAIL_SERVERS),
    ]


def authorities(community: Community, stores: Sequence[str] = tls.STORES) -> list[SecretRef]:
    """Return the keys that hold the authorities by which stores are verified."""
    return [
        SecretRef(f"{CONFIG_MAP if bundle.kind == 'ConfigMap' else ''}{bundle.name}", bundle.key, bundle.field)
        for bundle in tls.bundles(community, stores)
    ]


def api_secrets(community: Community) -> list[SecretRef]:
    """Return every secret that the pods of the API read."""
    reader = [community.database.reader] if community.database.reader is not None else []
    return [
        *job_secrets(community),
        *reader,
        signing_key(community),
        *storage_secrets(community),
        *sender.secrets(community),
        *user_secrets(community),
    ]


def storage_secrets(community: Community) -> list[SecretRef]:
    """Return the access key of the storage; nothing where the pods' own identity counts."""
    return list(community.storage.access_key) if community.storage is not None else []


def formed(community: Community) -> list[tuple[SecretRef, Form]]:
    """Return the secrets whose values have a form: URLs and access keys."""
    found = [(ref, Form.ACCESS_KEY) for ref in storage_secrets(community)]
    found += [(ref, Form.SMTP) for ref in sender.secrets(community)]
    mysql = Form.VERIFIED_MYSQL if community.database.verified else Form.MYSQL
    found += [(ref, mysql) for ref in (database(community), community.database.reader) if ref is not None]
    cache = redis(community)
    form = Form.VERIFIED_REDIS if community.redis.verified else Form.REDIS
    return [*found, (cache, form)] if cache is not None else found


def config_maps(community: Community) -> list[SecretRef]:
    """Return the keys of ConfigMaps that `spec.api.env` reads; `configmap/` before the name, which no Secret's has."""
    found = []
    for index, variable in enumerate(community.api.env):
        ref = variable.get("valueFrom", {}).get("configMapKeyRef")
        if ref is not None:
            field = f"spec.api.env[{index}].valueFrom.configMapKeyRef"
            found.append(SecretRef(f"{CONFIG_MAP}{ref['name']}", ref["key"], field))
    return found


def holder(community: Community, name: str) -> Key:
    """Return the Secret or ConfigMap that a name among the digests stands for."""
    bare = name.removeprefix(CONFIG_MAP)
    return Key("Secret" if bare == name else "ConfigMap", community.namespace, bare)


def values(live: Manifest | None) -> dict[str, bytes]:
    """Return the values in a Secret or a ConfigMap; none of one that does not exist."""
    if live is None:
        return {}
    found: dict[str, bytes] = {}
    encoded = live.get("data") or {}
    if live["kind"] == "ConfigMap":
        found = {name: str(value).encode() for name, value in encoded.items()}
        encoded = live.get("binaryData") or {}
    for name, value in encoded.items():
        # No base 64, or null: counts as missing, and the pods that read it wait.
        with contextlib.suppress(binascii.Error, TypeError):
            found[name] = base64.b64decode(value)
    return found


def missing(refs: list[SecretRef], digests: Digests) -> tuple[SecretRef, ...]:
    """Return those of `refs` that are not in the cluster."""
    return tuple(ref for ref in refs if (ref.name, ref.key) not in digests)


def store_env(community: Community) -> list[Manifest]:
    """Return the variables that name database and Redis."""
    cache = redis(community)
    env = [_database_env(community)]
    if cache is None:
        env.append({"name": "BAPSANG_REDIS_URL", "value": community.redis.url})
    else:
        env.append(pod.secret_env("BAPSANG_REDIS_URL", cache.name, cache.key))
    return [*env, _LOG_LEVEL, *tls.env(community)]


def media_env(community: Community) -> list[Manifest]:
    """Return the whole environment of a photo worker, which asks Redis nothing."""
    return [
        _database_env(community),
        _LOG_LEVEL,
        *tls.env(community, MEDIA_STORES),
        _ADMIN_PORT,
        *storage_env(community),
    ]


def mail_env(community: Community) -> list[Manifest]:
    """Return the whole environment of a mail worker. Links in letters lead to the community's own address."""
    return [
        _database_env(community),
        _LOG_LEVEL,
        *tls.env(community, MAIL_SERVERS),
        _key_file(),
        {"name": "BAPSANG_ISSUER", "value": community.issuer},
        _ADMIN_PORT,
        *_public_url(community),
        *sender.env(community),
    ]


def _key_file() -> Manifest:
    return {"name": "BAPSANG_SIGNING_KEY_FILE", "value": f"{KEY_FOLDER}/{KEY_FILE}"}


def _database_env(community: Community) -> Manifest:
    writer = database(community)
    return pod.secret_env("BAPSANG_DATABASE_URL", writer.name, writer.key)


def reader_env(community: Community) -> list[Manifest]:
    """Return the variable that names the replica; none where there is none."""
    reader = community.database.reader
    return [] if reader is None else [pod.secret_env("BAPSANG_DATABASE_READER_URL", reader.name, reader.key)]


def storage_env(community: Community) -> list[Manifest]:
    """Return the variables that name the bucket of images and the key to it; none without storage."""
    storage = community.storage
    if storage is None:
        return []
    values = {
        "BAPSANG_S3_BUCKET": storage.bucket,
        "BAPSANG_S3_REGION": storage.region,
        "BAPSANG_S3_ENDPOINT": storage.endpoint,
        "BAPSANG_S3_UPLOAD_URL": storage.upload_url,
        "BAPSANG_S3_PUBLIC_URL": storage.public_url,
    }
    env = [{"name": name, "value": value} for name, value in values.items() if value is not None]
    return env + [pod.secret_env(ref.key, ref.name, ref.key) for ref in storage.access_key]


def originals_env(community: Community) -> Manifest:
    """Return the variable that says how long originals are kept. Optional: an image that keeps none does not know it."""
    return {"name": f"{names.OPTIONAL}BAPSANG_ORIGINALS_DAYS", "value": str(community.originals.days)}


def _stated_originals(community: Community) -> list[Manifest]:
    # For the privacy policy. Absent where it is the API's default, so that an upgrade alone restarts no pod.
    stated = community.storage is not None and community.originals.days != API_ORIGINALS_DAYS
    return [originals_env(community)] if stated else []


def _rate_limits(community: Community) -> list[Manifest]:
    limits = community.api.rate_limits
    text = ",".join(f"{name}={rate}" for name, rate in sorted(limits.rules.items())) if limits.enabled else "off"
    # Absent rather than empty, so that a Community that never asked for limits keeps its pods.
    return [{"name": "BAPSANG_RATE_LIMITS", "value": text}] if text else []


def _public_url(community: Community) -> list[Manifest]:
    # Absent where it is the API's default, as above.
    name = f"{names.OPTIONAL}BAPSANG_PUBLIC_URL"
    return [] if community.url == community.issuer else [{"name": name, "value": community.url}]


def _hold_posts(community: Community) -> list[Manifest]:
    # Absent where it is the API's default, as above. An image that does not know it holds no posts.
    return [] if community.api.hold_posts else [{"name": f"{names.OPTIONAL}BAPSANG_HOLD_POSTS", "value": "off"}]


def _hops(community: Community) -> list[Manifest]:
    hops = community.api.trusted_hops
    # Absent where it is the API's default, so that a Community that never asked for another keeps its pods.
    return [] if hops == 1 else [{"name": "BAPSANG_TRUSTED_HOPS", "value": str(hops)}]


def api_env(community: Community) -> list[Manifest]:
    """Return the whole environment of an API container."""
    origins = dict.fromkeys((community.url, *community.api.cors_origins))
    env = store_env(community)
    env += [
        *reader_env(community),
        _key_file(),
        {"name": "BAPSANG_ISSUER", "value": community.issuer},
        {"name": "BAPSANG_AUDIENCE", "value": community.auth.audience},
        {"name": "BAPSANG_CORS_ORIGINS", "value": ",".join(origins)},
        _ADMIN_PORT,
        *storage_env(community),
        *_rate_limits(community),
        *_hold_posts(community),
        *_hops(community),
        *_public_url(community),
        *_stated_originals(community),
        *sender.env(community),
    ]
    return env + [dict(variable) for variable in community.api.env]
