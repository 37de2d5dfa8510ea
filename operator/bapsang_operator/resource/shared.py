"""Parts that occur in several places of the spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from bapsang_operator.resource import quantity
from bapsang_operator.resource.core import Schema, rule
from bapsang_operator.resource.declare import Path, Wire, validations
from bapsang_operator.resource.nodes import amount, choice, obj, object_name, text

Quantities = Mapping[str, str | int]


def ordered_replicas() -> Schema:
    """Return the rule of whatever an autoscaler moves between minReplicas and maxReplicas."""
    return rule(
        "self.minReplicas <= self.maxReplicas",
        lambda value, _old: value["minReplicas"] <= value["maxReplicas"],
        "minReplicas must not exceed maxReplicas",
        ".minReplicas",
    )


@dataclass(frozen=True)
class SecretRef:
    """One key of a Secret in the namespace of the Community.

    `field` is the path in the spec that names it, for messages; empty where the operator itself does.
    """

    name: Annotated[str, object_name("Name of the Secret, in the namespace of the Community.")]
    key: Annotated[str, text("Key within the Secret.", 253, minLength=1)]
    field: Annotated[str, Path()]


@dataclass(frozen=True)
class CaBundle:
    """Certificates of the authorities (PEM) by which the server is verified, and by no other; those that the image trusts
    when absent. One key of a ConfigMap or a Secret in the namespace of the Community."""

    kind: Annotated[str, choice("Kind of the object.", ["ConfigMap", "Secret"], default="ConfigMap")]
    name: Annotated[str, object_name("Name of the object.")]
    key: Annotated[str, text("Key within it.", 253, minLength=1, default="ca.crt")]
    field: Annotated[str, Path()]


@validations(
    rule(
        "!has(self.caBundle) || self.mode == 'verified'",
        lambda value, _old: "caBundle" not in value or value["mode"] == "verified",
        "caBundle belongs to mode verified",
        ".mode",
    )
)
@dataclass(frozen=True)
class Tls:
    """How the external server is reached by TLS."""

    mode: Annotated[
        str,
        choice(
            "verified: by TLS alone, and only if certificate and host name are right; no password is sent before. "
            "from-url: as the URL says, for servers without TLS or options of TLS in the URL; unless these ask for it, "
            "nothing is verified.",
            ["verified", "from-url"],
            default="verified",
        ),
    ]
    ca_bundle: CaBundle | None


def _covers(name: str) -> Schema:
    def twin(value: Any, _old: Any) -> bool:
        limits, requests = value.get("limits", {}), value.get("requests", {})
        return (
            name not in limits or name not in requests or quantity.parse(limits[name]) >= quantity.parse(requests[name])
        )

    return rule(
        f"!has(self.limits) || !has(self.limits.{name}) || !has(self.requests) || !has(self.requests.{name}) || "
        f"quantity(string(self.limits.{name})).compareTo(quantity(string(self.requests.{name}))) >= 0",
        twin,
        f"limits.{name} must be at least requests.{name}",
        ".limits",
    )


@validations(_covers("cpu"), _covers("memory"))
@dataclass(frozen=True)
class Resources:
    """Compute resources of one container. There is no default CPU limit, because it only throttles."""

    requests: Annotated[
        Quantities,
        obj(
            "What the scheduler reserves.",
            {"cpu": amount("CPU cores, such as 100m or 2."), "memory": amount("Memory, such as 256Mi.")},
            default={},
        ),
    ]
    limits: Annotated[
        Quantities,
        obj(
            "What the container may use at most. No CPU limit is set unless you set one.",
            {"cpu": amount("CPU cores, such as 500m or 2."), "memory": amount("Memory, such as 512Mi.")},
            default={},
        ),
    ]


@dataclass(frozen=True)
class Volume:
    """A volume. It never shrinks or moves, which the operator compares with the live claim: the spec before may have
    asked for what never came about."""

    size: Annotated[
        str,
        text(
            "Size, such as 5Gi. A volume only grows, and only where its StorageClass allows it.",
            20,
            default="1Gi",
            pattern=quantity.PATTERN,
        ),
    ]
    storage_class: Annotated[
        str | None,
        text("StorageClass; the cluster's default class when absent. A volume that exists keeps its own.", 253),
        Wire("storageClassName"),
    ]
