"""`spec.redis` and `spec.database` of a Community: run by the operator, or named by the user."""

from __future__ import annotations

from typing import Final

from bapsang_operator.schema.core import rule
from bapsang_operator.schema.fields import PORT, immutable, matches, obj, resources, rules, secret_ref, text, volume

REDIS: Final = obj(
    "Redis: hot reads and likes.",
    {
        "mode": {
            "type": "string",
            "description": "managed: the operator runs one Redis with a volume. external: you name one. "
            "Cannot be changed, because likes that are not yet in the database would be lost.",
            "enum": ["managed", "external"],
            "default": "managed",
            **rules(immutable("cannot be changed: likes would be lost")),
        },
        "url": text(
            "URL of the external Redis, without a password: redis://host:6379/0, or rediss:// for TLS.",
            300,
            **rules(
                matches(
                    rf"^rediss?://[a-z0-9][a-z0-9.-]*(:{PORT})?(/[0-9]{{1,2}})?$",
                    "must be redis:// or rediss://, host, port (1 to 65535) and database; "
                    "put a URL with a password into a Secret and name it in secretRef",
                )
            ),
        ),
        "secretRef": secret_ref("Secret that holds the URL of the external Redis.", "url"),
        "resources": resources("the managed Redis", cpu="50m", memory="128Mi", memory_limit="256Mi"),
        "persistence": volume("the managed Redis (its append-only file)", "1Gi"),
    },
    # The apiserver judges a default by the rules before it fills in the defaults within.
    default={"mode": "managed"},
    **rules(
        rule(
            "self.mode != 'external' || has(self.url) != has(self.secretRef)",
            lambda value, _old: value["mode"] != "external" or ("url" in value) != ("secretRef" in value),
            "an external Redis needs exactly one of url and secretRef",
            ".secretRef",
        ),
        rule(
            "self.mode != 'managed' || (!has(self.url) && !has(self.secretRef))",
            lambda value, _old: value["mode"] != "managed" or ("url" not in value and "secretRef" not in value),
            "url and secretRef belong to mode external",
            ".mode",
        ),
    ),
)

DATABASE: Final = obj(
    "MySQL: the truth about users, posts and likes.",
    {
        "mode": {
            "type": "string",
            "description": "embedded: the operator runs one MySQL, for development. external: you name one. "
            "Cannot be changed, because the data would stay behind.",
            "enum": ["embedded", "external"],
            "default": "embedded",
            **rules(immutable("cannot be changed: the data would stay behind")),
        },
        "writerSecretRef": secret_ref("Secret that holds the URL of the external database.", "url"),
        "readerSecretRef": secret_ref("Secret that holds the URL of a read replica.", "url"),
        "storage": volume("the embedded MySQL", "5Gi"),
        "resources": resources("the embedded MySQL", cpu="100m", memory="512Mi", memory_limit="1Gi"),
    },
    default={"mode": "embedded"},
    **rules(
        rule(
            "self.mode != 'external' || has(self.writerSecretRef)",
            lambda value, _old: value["mode"] != "external" or "writerSecretRef" in value,
            "an external database needs writerSecretRef, a Secret that holds its URL",
            ".writerSecretRef",
        ),
        rule(
            "self.mode != 'embedded' || (!has(self.writerSecretRef) && !has(self.readerSecretRef))",
            lambda value, _old: (
                value["mode"] != "embedded" or ("writerSecretRef" not in value and "readerSecretRef" not in value)
            ),
            "writerSecretRef and readerSecretRef belong to mode external",
            ".mode",
        ),
    ),
)
