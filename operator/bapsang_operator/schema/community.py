"""The Community resource: every field, its default, its limits and the rules between fields.

`charts/bapsang-operator/crds/` holds the printed form (`bapsang-operator crd`); a test keeps the two equal. Fields are
only ever added, always optional, so that a resource written today stays valid.
"""

from __future__ import annotations

from typing import Any, Final

from bapsang_operator import names
from bapsang_operator.schema.api import API
from bapsang_operator.schema.core import rule
from bapsang_operator.schema.estate import BUDGET, ESTATE
from bapsang_operator.schema.fields import (
    HOST_PATTERN,
    URL_RULE,
    boolean,
    integer,
    matches,
    obj,
    object_name,
    rules,
    schedule,
    secret_ref,
    string_map,
    text,
)
from bapsang_operator.schema.scaling import FITS, HIBERNATE, PREWARM
from bapsang_operator.schema.status import STATUS
from bapsang_operator.schema.storage import IMAGE_COLLECTOR, STORAGE
from bapsang_operator.schema.stores import DATABASE, REDIS

_INGRESS: Final = obj(
    "How the community is reached from outside. Nothing is exposed unless spec.host is set.",
    {
        "className": object_name("IngressClass, such as alb, contour or traefik; the cluster's default when absent."),
        "tlsSecretName": object_name("Secret of type kubernetes.io/tls for spec.host. Without it the URL is http://."),
        "annotations": string_map("Annotations of the Ingress, for the ingress controller.", 64),
    },
    default={},
)

_LIKE_SYNC: Final = obj(
    "The job that writes likes from Redis to MySQL.",
    {
        "schedule": schedule("* * * * *"),
        "batchSize": integer("Posts that are written in one transaction.", 1, 10_000, default=500),
        "suspend": boolean("Stop writing likes; they gather in Redis meanwhile.", False),
    },
    default={},
)

_SERVICE_ACCOUNT: Final = obj(
    "The identity of API pods and jobs in the cluster and, through it, at the cloud provider.",
    {
        "annotations": string_map(
            "Annotations of the ServiceAccount, such as eks.amazonaws.com/role-arn for access to the bucket.", 16
        )
    },
    default={},
)

_AUTH: Final = obj(
    "How access tokens are signed.",
    {
        "issuer": text("Issuer of tokens (claim iss); the community's first URL when absent.", 300, **rules(URL_RULE)),
        "audience": text("Audience of tokens (claim aud).", 128, minLength=1, default="bapsang"),
        "signingKeySecretRef": secret_ref(
            "Secret with an RSA private key in PKCS#8 PEM; generated when absent.", "signing-key.pem"
        ),
    },
    default={},
)

#: `spec` of a Community.
SPEC: Final = obj(
    "What the community should be. Only image is required.",
    {
        "image": text(
            "Image of the API, which also migrates the database and runs the jobs. A new image rolls out by itself.",
            512,
            **rules(
                matches(
                    r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$",
                    "must be an image reference, such as bapsang/api:0.1.0",
                )
            ),
        ),
        "host": text(
            "DNS name under which users reach the community. Without it there is no Ingress.",
            253,
            **rules(matches(HOST_PATTERN, "must be a DNS name in lower case, such as community.example.com")),
        ),
        "publicUrl": text(
            "The URL that users open, when it is not simply http(s)://host (another port, a proxy in front).",
            300,
            **rules(URL_RULE),
        ),
        "ingress": _INGRESS,
        "api": API,
        "redis": REDIS,
        "database": DATABASE,
        "storage": STORAGE,
        "likeSync": _LIKE_SYNC,
        "imageCollector": IMAGE_COLLECTOR,
        "serviceAccount": _SERVICE_ACCOUNT,
        "auth": _AUTH,
        "prewarm": PREWARM,
        "hibernate": HIBERNATE,
        "estate": ESTATE,
        "budget": BUDGET,
    },
    required=["image"],
    **rules(
        FITS,
        rule(
            "!has(self.storage) || !has(self.storage.secretName) || "
            f"!self.api.env.exists(variable, variable.name in {list(names.ACCESS_KEY)})",
            lambda value, _old: (
                "secretName" not in value.get("storage", {})
                or not any(variable["name"] in names.ACCESS_KEY for variable in value["api"]["env"])
            ),
            f"{' and '.join(names.ACCESS_KEY)} come from the Secret of storage.secretName",
            ".api.env",
        ),
    ),
)

#: `metadata.name`: what every child can bear.
NAME: Final = {"type": "string", "maxLength": names.MAX_NAME, "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}

_COLUMNS: Final = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether users are being served."),
    ("URL", "string", ".status.url", "Where users reach the community."),
    ("Base", "integer", ".status.replicas.base", "Ready pods of the base tier."),
    ("Burst", "integer", ".status.replicas.burst", "Ready pods of the burst tier."),
    ("Image", "string", ".status.image", "Image that serves; spec.image once it is rolled out."),
    ("Cost/mo", "string", ".status.cost.monthlyUSD", "USD a month of spec.estate."),
    ("Age", "date", ".metadata.creationTimestamp", "Age of the resource."),
)


def custom_resource_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition `communities.bapsang.dev`."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.KIND.lower(),
                "shortNames": ["bap"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": column, "type": kind, "jsonPath": path, "description": description}
                        for column, kind, path, description in _COLUMNS
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "A food-photo community: API, Redis, database, jobs and its way in.",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object", "properties": {"name": NAME}},
                                "spec": SPEC,
                                "status": STATUS,
                            },
                        }
                    },
                }
            ],
        },
    }
