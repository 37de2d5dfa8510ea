"""Typed, frozen view of a Community, as the builders read it. Holds no rules: those are in `schema`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bapsang_operator import names, schema
from bapsang_operator.cost import estate
from bapsang_operator.cost.estate import Estate
from bapsang_operator.parts import (
    Api,
    Auth,
    Autoscaling,
    Burst,
    Database,
    ImageCollector,
    Ingress,
    Keda,
    LikeSync,
    RateLimits,
    Redis,
    Resources,
    SecretRef,
    Spot,
    Storage,
    Volume,
    Window,
)
from bapsang_operator.schema import Violation, scaling

__all__ = [
    "Api",
    "Auth",
    "Autoscaling",
    "Burst",
    "Community",
    "Database",
    "ImageCollector",
    "Ingress",
    "Keda",
    "LikeSync",
    "RateLimits",
    "Redis",
    "Resources",
    "SecretRef",
    "Spot",
    "Storage",
    "Volume",
    "Window",
    "parse",
    "validate",
]


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
    storage: Storage | None
    like_sync: LikeSync
    image_collector: ImageCollector
    service_account_annotations: Mapping[str, str]
    auth: Auth
    prewarm: tuple[Window, ...]
    hibernate: bool
    #: Why the operator shall leave everything as it is; None when it shall not.
    paused: str | None
    estate: Estate | None

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
        """Value of the claim `iss`: what `spec.auth` says, else the first URL, whatever the URL is now."""
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
        storage=_storage(spec["storage"]) if "storage" in spec else None,
        like_sync=LikeSync(
            schedule=spec["likeSync"]["schedule"],
            batch_size=spec["likeSync"]["batchSize"],
            suspend=spec["likeSync"]["suspend"],
        ),
        image_collector=ImageCollector(
            schedule=spec["imageCollector"]["schedule"],
            suspend=spec["imageCollector"]["suspend"],
            grace_hours=spec["imageCollector"]["graceHours"],
        ),
        service_account_annotations=spec["serviceAccount"].get("annotations", {}),
        auth=Auth(
            issuer=spec["auth"].get("issuer") or _first_issuer(resource.get("status") or {}),
            audience=spec["auth"]["audience"],
            signing_key=_ref(spec["auth"], "signingKeySecretRef", "spec.auth"),
        ),
        prewarm=tuple(_window(window) for window in spec["prewarm"]),
        hibernate=spec["hibernate"],
        paused=_paused(metadata),
        estate=estate.parse(spec["estate"], spec.get("budget", {})) if "estate" in spec else None,
    )


def _first_issuer(status: Mapping[str, Any]) -> str | None:
    """Return the issuer of the tokens that are out: with another one, every reader would be logged out. v0.0.1 reported
    the URL alone, which was its issuer."""
    found: str | None = status.get("issuer") or status.get("url")
    return found


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


def _keda(keda: Mapping[str, Any]) -> Keda:
    return Keda(prometheus_url=keda["prometheusUrl"], requests_per_pod=keda["requestsPerPod"])


def _api(api: Mapping[str, Any]) -> Api:
    scaling, spot = api["autoscaling"], api["spot"]
    return Api(
        base_replicas=api["base"]["replicas"],
        base_resources=_resources(api["base"]),
        burst=Burst(
            min_replicas=api["burst"]["minReplicas"],
            max_replicas=api["burst"]["maxReplicas"],
            headroom=api["burst"]["headroom"],
            resources=_resources(api["burst"]),
        ),
        autoscaling=Autoscaling(
            target_cpu=scaling["targetCPUUtilization"],
            scale_up_seconds=scaling["scaleUpSeconds"],
            scale_down_seconds=scaling["scaleDownSeconds"],
            keda=_keda(scaling["keda"]) if "keda" in scaling else None,
        ),
        drain_seconds=api["drainSeconds"],
        arch=api["arch"],
        spot=Spot(
            enabled=spot["enabled"],
            node_selector=spot["nodeSelector"],
            tolerations=tuple(spot["tolerations"]),
        ),
        cors_origins=tuple(api["corsOrigins"]),
        rate_limits=RateLimits(enabled=api["rateLimits"]["enabled"], rules=api["rateLimits"].get("rules", {})),
        trusted_hops=api["trustedHops"],
        env=tuple(api["env"]),
    )


def _storage(storage: Mapping[str, Any]) -> Storage:
    name = storage.get("secretName")
    return Storage(
        bucket=storage["bucket"],
        region=storage["region"],
        endpoint=storage.get("endpoint"),
        upload_url=storage.get("uploadUrl"),
        public_url=storage.get("publicUrl"),
        access_key=()
        if name is None
        else tuple(SecretRef(name, key, "spec.storage.secretName") for key in names.ACCESS_KEY),
    )


def _ref(parent: Mapping[str, Any], field: str, path: str) -> SecretRef | None:
    ref = parent.get(field)
    return None if ref is None else SecretRef(name=ref["name"], key=ref["key"], field=f"{path}.{field}")


def _resources(parent: Mapping[str, Any]) -> Resources:
    return Resources(requests=parent["resources"]["requests"], limits=parent["resources"]["limits"])


def _volume(volume: Mapping[str, Any]) -> Volume:
    return Volume(size=volume["size"], storage_class=volume.get("storageClassName"))
