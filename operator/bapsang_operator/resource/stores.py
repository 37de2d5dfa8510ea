"""`spec.redis` and `spec.database` of a Community: run by the operator, or named by the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from bapsang_operator.resource.containers import IMAGE_RULE
from bapsang_operator.resource.core import Schema, rule
from bapsang_operator.resource.declare import Wire, of, validations
from bapsang_operator.resource.nodes import PORT, choice, immutable, matches, rules, text
from bapsang_operator.resource.pods import template
from bapsang_operator.resource.shared import Resources, SecretRef, Tls, Volume


def _image(what: str) -> Schema:
    return text(
        f"Image of the {what}, such as one of a registry of yours, by tag or by digest; the operator's own choice when "
        "absent, which a newer operator may raise.",
        512,
        **rules(IMAGE_RULE),
    )


@validations(
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
    rule(
        "self.mode != 'managed' || !has(self.tls)",
        lambda value, _old: value["mode"] != "managed" or "tls" not in value,
        "tls belongs to mode external",
        ".tls",
    ),
)
@dataclass(frozen=True)
class Redis:
    """Redis: hot reads and likes."""

    mode: Annotated[
        str,
        choice(
            "managed: the operator runs one Redis with a volume. external: you name one. "
            "Cannot be changed, because likes that are not yet in the database would be lost.",
            ["managed", "external"],
            default="managed",
            **rules(immutable("cannot be changed: likes would be lost")),
        ),
    ]
    url: Annotated[
        str | None,
        text(
            "URL of the external Redis, without a password: redis://host:6379/0 or rediss://host:6379/0, which mean the same "
            "unless tls.mode is from-url.",
            300,
            **rules(
                matches(
                    rf"^rediss?://[a-z0-9][a-z0-9.-]*(:{PORT})?(/[0-9]{{1,2}})?$",
                    "must be redis:// or rediss://, host, port (1 to 65535) and database; "
                    "put a URL with a password into a Secret and name it in secretRef",
                )
            ),
        ),
    ]
    secret_ref: Annotated[
        SecretRef | None, of(SecretRef, "Secret that holds the URL of the external Redis.", key="url")
    ]
    tls: Annotated[Tls | None, of(Tls, "How the external Redis is reached by TLS; verified when absent.")]
    resources: Annotated[
        Resources,
        of(
            Resources,
            "Compute resources of the managed Redis.",
            requests={"cpu": "50m", "memory": "128Mi"},
            limits={"memory": "256Mi"},
        ),
    ]
    volume: Annotated[Volume, of(Volume, "Volume of the managed Redis (its append-only file)."), Wire("persistence")]
    image: Annotated[str | None, _image("managed Redis")]
    pod_template: Annotated[Mapping[str, Any], template(("redis",), ("/data", "/etc/bapsang"), ("config", "data"))]

    @property
    def managed(self) -> bool:
        """Whether the operator runs it."""
        return self.mode == "managed"

    @property
    def verified(self) -> bool:
        """Whether it must prove by TLS who it is."""
        return not self.managed and (self.tls is None or self.tls.mode == "verified")


@validations(
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
    rule(
        "self.mode != 'embedded' || !has(self.tls)",
        lambda value, _old: value["mode"] != "embedded" or "tls" not in value,
        "tls belongs to mode external",
        ".tls",
    ),
)
@dataclass(frozen=True)
class Database:
    """MySQL: the truth about users, posts and likes."""

    mode: Annotated[
        str,
        choice(
            "embedded: the operator runs one MySQL, for development. external: you name one. "
            "Cannot be changed, because the data would stay behind.",
            ["embedded", "external"],
            default="embedded",
            **rules(immutable("cannot be changed: the data would stay behind")),
        ),
    ]
    writer: Annotated[
        SecretRef | None,
        of(SecretRef, "Secret that holds the URL of the external database.", key="url"),
        Wire("writerSecretRef"),
    ]
    reader: Annotated[
        SecretRef | None,
        of(SecretRef, "Secret that holds the URL of a read replica.", key="url"),
        Wire("readerSecretRef"),
    ]
    tls: Annotated[
        Tls | None, of(Tls, "How the external database, and its replica, are reached by TLS; verified when absent.")
    ]
    volume: Annotated[Volume, of(Volume, "Volume of the embedded MySQL.", size="5Gi"), Wire("storage")]
    resources: Annotated[
        Resources,
        of(
            Resources,
            "Compute resources of the embedded MySQL.",
            requests={"cpu": "100m", "memory": "512Mi"},
            limits={"memory": "1Gi"},
        ),
    ]

    image: Annotated[str | None, _image("embedded MySQL")]
    pod_template: Annotated[
        Mapping[str, Any],
        template(
            ("mysql",),
            ("/var/lib/mysql", "/run/mysqld", "/etc/bapsang", "/tmp"),  # noqa: S108
            ("config", "data", "run"),
            init=("initialise",),
        ),
    ]

    @property
    def embedded(self) -> bool:
        """Whether the operator runs it."""
        return self.mode == "embedded"

    @property
    def verified(self) -> bool:
        """Whether it must prove by TLS who it is."""
        return not self.embedded and (self.tls is None or self.tls.mode == "verified")
