"""Typed, frozen view of a Community, as the builders read it. Holds no rules: those are in `schema`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bapsang_operator import names, schema
from bapsang_operator.schema import Violation, scaling

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
    min_replicas: int
    max_replicas: int
    resources: Resources


@dataclass(frozen=True)
class Autoscaling:
    """`target_cpu` in percent of the request, the others in seconds."""

    target_cpu: int
    scale_up_seconds: int
    scale_down_seconds: int


@dataclass(frozen=True)
class Spot:
    enabled: bool
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Api:
    base_replicas: int
    base_resources: Resources
    burst: Burst
    autoscaling: Autoscaling
    arch: str
    spot: Spot
    cors_origins: tuple[str, ...]
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


@dataclass(frozen=True)
class Community:
    """A Community and the identity that its children refer to."""

    name: str
    namespace: str
    uid: str
    generation: int
    image: str
    host: str | None
    public_url: str | None
    ingress: Ingress
    api: Api
    redis: Redis
    database: Database
    like_sync: LikeSync
    auth: Auth
    prewarm: tuple[Window, ...]
    hibernate: bool
    #: Why the operator shall leave everything as it is; None when it shall not.
    paused: str | None

    @property
    def url(self) -> str:
        """The URL that users open; the Service's own where nothing is exposed."""
        if self.public_url is not None:
            return self.public_url
        if self.host is None:
            return f"http://{names.api(self.name)}.{self.namespace}.svc"
        return f"{'https' if self.ingress.tls_secret else 'http'}://{self.host}"

    @property
    def issuer(self) -> str:
        """Value of the claim `iss`."""
        return self.auth.issuer or self.url

    def __str__(self) -> str:
        return f"Community {self.namespace}/{self.name}"


def validate(spec: object, old: object = None) -> list[Violation]:
    """Return what the apiserver would refuse in `spec` when it replaces `old`; defaults are filled in first."""
    return schema.validate(
        schema.SPEC,
        schema.with_defaults(schema.SPEC, spec),
        "spec",
        schema.with_defaults(schema.SPEC, old),
    )


def parse(resource: Mapping[str, Any]) -> Community:
    """Return the typed view of a Community whose spec passes `validate`; defaults are filled in."""
    metadata = resource["metadata"]
    spec = schema.with_defaults(schema.SPEC, resource["spec"])
    return Community(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        image=spec["image"],
        host=spec.get("host"),
        public_url=spec.get("publicUrl"),
        ingress=Ingress(
            class_name=spec["ingress"].get("className"),
            tls_secret=spec["ingress"].get("tlsSecretName"),
            annotations=spec["ingress"].get("annotations", {}),
        ),
        api=_api(spec["api"]),
        redis=Redis(
            managed=spec["redis"]["mode"] == "managed",
            url=spec["redis"].get("url"),
            secret_ref=_ref(spec["redis"], "secretRef", "spec.redis"),
            resources=_resources(spec["redis"]),
            volume=_volume(spec["redis"]["persistence"]),
        ),
        database=Database(
            embedded=spec["database"]["mode"] == "embedded",
            writer=_ref(spec["database"], "writerSecretRef", "spec.database"),
            reader=_ref(spec["database"], "readerSecretRef", "spec.database"),
            volume=_volume(spec["database"]["storage"]),
            resources=_resources(spec["database"]),
        ),
        like_sync=LikeSync(
            schedule=spec["likeSync"]["schedule"],
            batch_size=spec["likeSync"]["batchSize"],
            suspend=spec["likeSync"]["suspend"],
        ),
        auth=Auth(
            issuer=spec["auth"].get("issuer"),
            audience=spec["auth"]["audience"],
            signing_key=_ref(spec["auth"], "signingKeySecretRef", "spec.auth"),
        ),
        prewarm=tuple(_window(window) for window in spec["prewarm"]),
        hibernate=spec["hibernate"],
        paused=_paused(metadata),
    )


def _window(window: Mapping[str, Any]) -> Window:
    return Window(
        name=window["name"],
        schedule=window.get("schedule"),
        at=window.get("at"),
        time_zone=window["timeZone"],
        minutes=scaling.minutes(window["duration"]),
        replicas=window["replicas"],
    )


def _paused(metadata: Mapping[str, Any]) -> str | None:
    found: str | None = metadata.get("annotations", {}).get(names.ANNOTATION_PAUSED)
    return None if found in (None, "", "false") else found


def _api(api: Mapping[str, Any]) -> Api:
    scaling, spot = api["autoscaling"], api["spot"]
    return Api(
        base_replicas=api["base"]["replicas"],
        base_resources=_resources(api["base"]),
        burst=Burst(
            min_replicas=api["burst"]["minReplicas"],
            max_replicas=api["burst"]["maxReplicas"],
            resources=_resources(api["burst"]),
        ),
        autoscaling=Autoscaling(
            target_cpu=scaling["targetCPUUtilization"],
            scale_up_seconds=scaling["scaleUpSeconds"],
            scale_down_seconds=scaling["scaleDownSeconds"],
        ),
        arch=api["arch"],
        spot=Spot(
            enabled=spot["enabled"],
            node_selector=spot["nodeSelector"],
            tolerations=tuple(spot["tolerations"]),
        ),
        cors_origins=tuple(api["corsOrigins"]),
        env=tuple(api["env"]),
    )


def _ref(parent: Mapping[str, Any], field: str, path: str) -> SecretRef | None:
    ref = parent.get(field)
    return None if ref is None else SecretRef(name=ref["name"], key=ref["key"], field=f"{path}.{field}")


def _resources(parent: Mapping[str, Any]) -> Resources:
    return Resources(requests=parent["resources"]["requests"], limits=parent["resources"]["limits"])


def _volume(volume: Mapping[str, Any]) -> Volume:
    return Volume(size=volume["size"], storage_class=volume.get("storageClassName"))
