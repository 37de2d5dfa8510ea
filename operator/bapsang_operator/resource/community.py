"""The Community: its whole spec, the rules between its parts, and the typed view that the builders read.

Fields are only ever added, always optional, so that a resource written today stays valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from bapsang_operator import names
from bapsang_operator.resource import core
from bapsang_operator.resource.api import Api
from bapsang_operator.resource.core import Violation, rule
from bapsang_operator.resource.declare import Wire, arguments, node_of, of, validations
from bapsang_operator.resource.estate import Budget, Estate
from bapsang_operator.resource.gateway import Gateway
from bapsang_operator.resource.mail import Mail
from bapsang_operator.resource.media import Media
from bapsang_operator.resource.network import NetworkPolicy
from bapsang_operator.resource.nodes import (
    HOST_PATTERN,
    URL_RULE,
    array,
    boolean,
    choice,
    integer,
    matches,
    object_name,
    rules,
    schedule,
    string_map,
    text,
)
from bapsang_operator.resource.pods import Jobs
from bapsang_operator.resource.scaling import FITS, Window
from bapsang_operator.resource.shared import SecretRef
from bapsang_operator.resource.storage import ImageCollector, Originals, Storage
from bapsang_operator.resource.stores import Database, Redis


@dataclass(frozen=True)
class Ingress:
    """How the community is reached from outside. Nothing is exposed unless spec.host is set."""

    class_name: Annotated[
        str | None,
        object_name("IngressClass, such as alb, contour or traefik; the cluster's default when absent."),
    ]
    tls_secret: Annotated[
        str | None,
        object_name("Secret of type kubernetes.io/tls for spec.host. Without it the URL is http://."),
        Wire("tlsSecretName"),
    ]
    annotations: Annotated[Mapping[str, str], string_map("Annotations of the Ingress, for the ingress controller.", 64)]


@dataclass(frozen=True)
class LikeSync:
    """The job that writes likes from Redis to MySQL."""

    schedule: Annotated[str, schedule("* * * * *")]
    batch_size: Annotated[int, integer("Posts that are written in one transaction.", 1, 10_000, default=500)]
    suspend: Annotated[bool, boolean("Stop writing likes; they gather in Redis meanwhile.", False)]


@dataclass(frozen=True)
class ServiceAccount:
    """The identity of API pods, workers and jobs in the cluster and, through it, at the cloud provider."""

    annotations: Annotated[
        Mapping[str, str],
        string_map(
            "Annotations of the ServiceAccount, such as eks.amazonaws.com/role-arn for access to the bucket.", 16
        ),
    ]


@dataclass(frozen=True)
class Auth:
    """How access tokens are signed."""

    issuer: Annotated[
        str | None, text("Issuer of tokens (claim iss); the community's first URL when absent.", 300, **rules(URL_RULE))
    ]
    audience: Annotated[str, text("Audience of tokens (claim aud).", 128, minLength=1, default="bapsang")]
    signing_key: Annotated[
        SecretRef | None,
        of(
            SecretRef,
            "Secret with an RSA private key in PKCS#8 PEM; generated when absent.",
            key="signing-key.pem",
        ),
        Wire("signingKeySecretRef"),
    ]


_ACCESS_KEY_ONCE: Final = rule(
    "!has(self.storage) || !has(self.storage.secretName) || "
    f"!self.api.env.exists(variable, variable.name in {list(names.ACCESS_KEY)})",
    lambda value, _old: (
        "secretName" not in value.get("storage", {})
        or not any(variable["name"] in names.ACCESS_KEY for variable in value["api"]["env"])
    ),
    f"{' and '.join(names.ACCESS_KEY)} come from the Secret of storage.secretName",
    ".api.env",
)


@validations(FITS, _ACCESS_KEY_ONCE)
@dataclass(frozen=True)
class Spec:
    """What the community should be. Only image is required."""

    image: Annotated[
        str,
        text(
            "Image of the API, which also migrates the database and runs the jobs. A new image rolls out by itself.",
            512,
            **rules(
                matches(r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$", "must be an image reference, such as bapsang/api:0.1.0")
            ),
        ),
    ]
    host: Annotated[
        str | None,
        text(
            "DNS name under which users reach the community. Without it there is neither Ingress nor HTTPRoute.",
            253,
            **rules(matches(HOST_PATTERN, "must be a DNS name in lower case, such as community.example.com")),
        ),
    ]
    public_url: Annotated[
        str | None,
        text(
            "The URL that users open, when it is not simply http(s)://host (another port, a proxy in front).",
            300,
            **rules(URL_RULE),
        ),
    ]
    ingress: Ingress
    gateway: Gateway | None
    api: Api
    redis: Redis
    database: Database
    storage: Storage | None
    jobs: Jobs
    network_policy: NetworkPolicy
    like_sync: LikeSync
    image_collector: ImageCollector
    mail: Mail | None
    media: Media
    originals: Originals
    service_account: ServiceAccount
    auth: Auth
    prewarm: Annotated[
        tuple[Window, ...],
        array(
            "Windows in which the burst tier has more pods before the load comes.",
            16,
            node_of(Window),
            key="name",
            default=[],
        ),
    ]
    hibernate: Annotated[
        bool,
        boolean(
            "Stop every pod of the API and all workers and suspend the jobs, for nights and staging. Redis and MySQL "
            "keep running.",
            False,
        ),
    ]
    deletion_policy: Annotated[
        str,
        choice(
            "What becomes of the volumes and generated Secrets when the Community is deleted. Retain: they stay, and a "
            "Community of the same name goes on with them. A deleted namespace takes them along.",
            ["Delete", "Retain"],
            default="Delete",
        ),
    ]
    estate: Estate | None
    budget: Budget | None


#: `spec` of a Community.
SPEC: Final = node_of(Spec)


@dataclass(frozen=True)
class Community(Spec):
    """A Community and the identity that its children refer to.

    `paused`: why the operator shall leave everything as it is; None when it shall not. `first_issuer`: that of the tokens
    that are out.
    """

    name: str
    namespace: str
    uid: str
    generation: int
    paused: str | None
    first_issuer: str | None

    @property
    def url(self) -> str:
        """The URL that users open; the Service's own where nothing is exposed."""
        if self.public_url is not None:
            return self.public_url
        if self.host is None:
            return f"http://{names.api(self.name)}.{self.namespace}.svc"
        if self.gateway is not None:
            return f"{self.gateway.scheme}://{self.host}"
        return f"{'https' if self.ingress.tls_secret else 'http'}://{self.host}"

    @property
    def has_ingress(self) -> bool:
        """Whether the spec asks for an Ingress."""
        return self.host is not None and (self.gateway is None or self.gateway.keep_ingress)

    @property
    def issuer(self) -> str:
        """Value of the claim `iss`: what `spec.auth` says, else the first URL, whatever the URL is now."""
        return self.auth.issuer or self.first_issuer or self.url

    @property
    def retains(self) -> bool:
        """Whether data outlives it."""
        return self.deletion_policy == "Retain"

    def __str__(self) -> str:
        return f"Community {self.namespace}/{self.name}"


def validate(spec: object, old: object = None) -> list[Violation]:
    """Return what the apiserver would refuse in `spec` when it replaces `old`; defaults are filled in first."""
    return core.validate(SPEC, with_defaults(spec), "spec", with_defaults(old))


def with_defaults(spec: Any) -> Any:
    """Return a copy of `spec` with every default filled in, as the apiserver does."""
    return core.with_defaults(SPEC, spec)


def parse(resource: Mapping[str, Any]) -> Community:
    """Return the typed view of a Community whose spec passes `validate`; defaults are filled in."""
    metadata = resource["metadata"]
    return Community(
        **arguments(Spec, with_defaults(resource["spec"]), "spec"),
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        paused=_paused(metadata),
        first_issuer=_first_issuer(resource.get("status") or {}),
    )


def _paused(metadata: Mapping[str, Any]) -> str | None:
    found: str | None = metadata.get("annotations", {}).get(names.ANNOTATION_PAUSED)
    return None if found in (None, "", "false") else found


def _first_issuer(status: Mapping[str, Any]) -> str | None:
    """Return the issuer of the tokens that are out: with another one, every reader would be logged out. v0.0.1 reported
    the URL alone, which was its issuer."""
    found: str | None = status.get("issuer") or status.get("url")
    return found
