"""The parts of a Community's typed view, one class for each part of the spec. Frozen, without rules or defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Quantities = Mapping[str, str | int]


@dataclass(frozen=True)
class Resources:
    """Requests and limits of a container, as Kubernetes writes them."""

    requests: Quantities
    limits: Quantities


@dataclass(frozen=True)
class SecretRef:
    """One key of a Secret; `field` is the path in the spec that names it, for messages."""

    name: str
    key: str
    field: str


@dataclass(frozen=True)
class Volume:
    size: str
    storage_class: str | None


@dataclass(frozen=True)
class Burst:
    """`headroom`: placeholder pods that keep place for burst pods to come."""

    min_replicas: int
    max_replicas: int
    headroom: int
    resources: Resources


@dataclass(frozen=True)
class Keda:
    """`requests_per_pod`: requests a second."""

    prometheus_url: str
    requests_per_pod: int


@dataclass(frozen=True)
class Autoscaling:
    """`target_cpu` in percent of the request, the others in seconds. `keda`: None where CPU alone counts."""

    target_cpu: int
    scale_up_seconds: int
    scale_down_seconds: int
    keda: Keda | None


@dataclass(frozen=True)
class Spot:
    enabled: bool
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class RateLimits:
    """`rules`: requests/seconds or off, by rule; rules that are not named keep the API's defaults."""

    enabled: bool
    rules: Mapping[str, str]


@dataclass(frozen=True)
class Api:
    """`drain_seconds`: for how long a pod takes requests after its deletion began."""

    base_replicas: int
    base_resources: Resources
    burst: Burst
    autoscaling: Autoscaling
    drain_seconds: int
    arch: str
    spot: Spot
    cors_origins: tuple[str, ...]
    rate_limits: RateLimits
    trusted_hops: int
    env: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Redis:
    managed: bool
    url: str | None
    secret_ref: SecretRef | None
    resources: Resources
    volume: Volume


@dataclass(frozen=True)
class Database:
    embedded: bool
    writer: SecretRef | None
    reader: SecretRef | None
    volume: Volume
    resources: Resources


@dataclass(frozen=True)
class Storage:
    """`access_key`: both halves of it, empty where the pods' identity counts."""

    bucket: str
    region: str
    endpoint: str | None
    upload_url: str | None
    public_url: str | None
    access_key: tuple[SecretRef, ...]


@dataclass(frozen=True)
class ImageCollector:
    schedule: str
    suspend: bool
    grace_hours: int


@dataclass(frozen=True)
class LikeSync:
    schedule: str
    batch_size: int
    suspend: bool


@dataclass(frozen=True)
class Ingress:
    class_name: str | None
    tls_secret: str | None
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class Auth:
    issuer: str | None
    audience: str
    signing_key: SecretRef | None


@dataclass(frozen=True)
class Window:
    """A time in which the burst tier has at least `replicas` pods; either `schedule` (cron) or `at` is set."""

    name: str
    schedule: str | None
    at: str | None
    time_zone: str
    minutes: int
    replicas: int
