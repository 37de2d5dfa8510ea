"""`spec.api` of a Community: the two tiers of the API, how they scale and where they run."""

from __future__ import annotations

import re
from typing import Final

from bapsang_operator import names
from bapsang_operator.schema.core import Schema, rule
from bapsang_operator.schema.fields import (
    BASE_URL_RULE,
    URL_RULE,
    boolean,
    integer,
    matches,
    obj,
    object_name,
    resources,
    rules,
    string_map,
    text,
)

_TOLERATION: Final = obj(
    "One toleration, as in a pod.",
    {
        "key": text("Taint key; empty with operator Exists matches every taint.", 316),
        "operator": {
            "type": "string",
            "description": "How value is compared.",
            "enum": ["Exists", "Equal"],
            "default": "Equal",
        },
        "value": text("Taint value, for Equal.", 63),
        "effect": {
            "type": "string",
            "description": "Taint effect; every effect when absent.",
            "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
        },
    },
    **rules(
        rule(
            "self.operator == 'Equal' ? has(self.key) && self.key != '' : !has(self.value) || self.value == ''",
            lambda value, _old: bool(value.get("key")) if value["operator"] == "Equal" else not value.get("value"),
            "operator Equal needs a key, operator Exists takes no value",
        )
    ),
)

_SPOT: Final = obj(
    "Where spot capacity is. The defaults fit EKS managed node groups.",
    {
        "enabled": boolean("Prefer spot nodes for the burst tier. The base tier never runs on them.", True),
        "nodeSelector": string_map("Labels of spot nodes.", 8)
        | {"default": {names.SPOT_NODE_LABEL: names.SPOT_NODE_VALUE}},
        "tolerations": {
            "type": "array",
            "description": "Tolerations for the taints of spot nodes.",
            "maxItems": 16,
            "items": _TOLERATION,
            "default": [
                {"key": names.SPOT_TAINT, "operator": "Equal", "value": "spot", "effect": "NoSchedule"},
            ],
        },
    },
    default={},
)


def _key_ref(kind: str) -> Schema:
    return obj(
        f"One key of a {kind} in the namespace of the Community.",
        {"name": object_name(f"Name of the {kind}."), "key": text("Key within it.", 253, minLength=1)},
        required=["name", "key"],
    )


_ENV: Final[Schema] = {
    "type": "array",
    "description": "Additional environment of the API containers.",
    "maxItems": 64,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": obj(
        "One variable: either value or valueFrom.",
        {
            "name": text(
                "Name of the variable; names that begin with BAPSANG_ belong to the operator.",
                128,
                minLength=1,
                **rules(
                    matches("^[A-Za-z_][A-Za-z0-9_]*$", "must be letters, digits and _, and not begin with a digit"),
                    rule(
                        f"!self.matches('^({names.OPTIONAL})?{names.RESERVED_ENV_PREFIX}')",
                        lambda value, _old: (
                            not value.removeprefix(names.OPTIONAL).startswith(names.RESERVED_ENV_PREFIX)
                        ),
                        "names beginning with BAPSANG_ are reserved: use the fields of spec instead",
                    ),
                ),
            ),
            "value": text("Literal value.", 4096),
            "valueFrom": obj(
                "Where the value is read from: one of secretKeyRef and configMapKeyRef.",
                {"secretKeyRef": _key_ref("Secret"), "configMapKeyRef": _key_ref("ConfigMap")},
                **rules(
                    rule(
                        "has(self.secretKeyRef) != has(self.configMapKeyRef)",
                        lambda value, _old: ("secretKeyRef" in value) != ("configMapKeyRef" in value),
                        "needs exactly one of secretKeyRef and configMapKeyRef",
                    )
                ),
            ),
        },
        required=["name"],
        **rules(
            rule(
                "has(self.value) != has(self.valueFrom)",
                lambda value, _old: ("value" in value) != ("valueFrom" in value),
                "needs exactly one of value and valueFrom",
            )
        ),
    ),
    "default": [],
}


_RATE: Final = r"([1-9][0-9]{0,8}/[1-9][0-9]{0,5}|off)"
_RULE_NAME: Final = r"[a-z][a-z_]{0,31}"

_RATE_LIMITS: Final = obj(
    "How many requests the API lets through, counted over all pods.",
    {
        "enabled": boolean("Limit at all. Without limits only in load tests, or behind something that limits.", True),
        "rules": {
            "type": "object",
            "description": "Limits by rule, such as ip: 1200/60 (requests/seconds) or write: off; "
            "the others keep the API's defaults. docs/api.md lists the rules.",
            "maxProperties": 32,
            "additionalProperties": {"type": "string", "maxLength": 16},
            **rules(
                rule(
                    f"self.all(name, name.matches('^{_RULE_NAME}$') && self[name].matches('^{_RATE}$'))",
                    lambda value, _old: all(
                        re.fullmatch(_RULE_NAME, name) and re.fullmatch(_RATE, rate) for name, rate in value.items()
                    ),
                    "each rule is a name and requests/seconds, such as ip: 1200/60, or off",
                )
            ),
        },
    },
    default={},
)


def _api_resources() -> Schema:
    return resources("the API container", cpu="100m", memory="192Mi", memory_limit="384Mi")


API: Final = obj(
    "The API: a base tier that is always there and a burst tier that follows the load.",
    {
        "base": obj(
            "The floor: pods on on-demand nodes, never on spot.",
            {
                "replicas": integer("Number of pods; two survive the loss of one node.", 1, 100, default=2),
                "resources": _api_resources(),
            },
            default={},
        ),
        "burst": obj(
            "The pods that the autoscaler adds, on spot nodes where there are any.",
            {
                "minReplicas": integer(
                    "Fewest pods. At least 1: an autoscaler on CPU cannot leave zero.", 1, 1000, default=1
                ),
                "maxReplicas": integer("Most pods.", 1, 1000, default=10),
                "headroom": integer(
                    "Placeholder pods of the lowest priority, which keep place on the nodes and give way to burst pods.",
                    0,
                    1000,
                    default=0,
                ),
                "resources": _api_resources(),
            },
            default={"minReplicas": 1, "maxReplicas": 10},
            **rules(
                rule(
                    "self.minReplicas <= self.maxReplicas",
                    lambda value, _old: value["minReplicas"] <= value["maxReplicas"],
                    "minReplicas must not exceed maxReplicas",
                    ".minReplicas",
                )
            ),
        ),
        "autoscaling": obj(
            "When the burst tier grows and shrinks.",
            {
                "targetCPUUtilization": integer("CPU in percent of the request that is aimed at.", 10, 95, default=60),
                "scaleUpSeconds": integer("Seconds of high load before pods are added.", 0, 3600, default=0),
                "scaleDownSeconds": integer("Seconds of low load before pods are removed.", 0, 3600, default=300),
                "keda": obj(
                    "Let KEDA scale by requests as well as by CPU. Needs KEDA, and keda.enabled in the operator's chart.",
                    {
                        "prometheusUrl": text(
                            "Prometheus that scrapes the API's pods, such as http://prometheus.monitoring:9090.",
                            300,
                            **rules(BASE_URL_RULE),
                        ),
                        "requestsPerPod": integer("Requests a second that a burst pod is to carry.", 1, 100_000),
                    },
                    required=["prometheusUrl", "requestsPerPod"],
                ),
            },
            default={},
        ),
        "drainSeconds": integer(
            "Seconds that a pod goes on taking requests after its deletion began, until no load balancer sends any more: "
            "at least its deregistration delay + 5. Below 90 where spot nodes end two minutes after their notice.",
            1,
            600,
            default=35,
        ),
        "arch": {
            "type": "string",
            "description": "CPU architecture of the nodes; any when the image is built for both.",
            "enum": ["any", "amd64", "arm64"],
            "default": "any",
        },
        "spot": _SPOT,
        "corsOrigins": {
            "type": "array",
            "description": "Origins of browser apps that may call the API, besides the community's own URL.",
            "maxItems": 32,
            "items": text("An origin, such as https://app.example.com.", 300, **rules(URL_RULE)),
            "default": ["http://localhost:3000", "http://127.0.0.1:3000"],
        },
        "rateLimits": _RATE_LIMITS,
        "trustedHops": integer(
            "Proxies of yours that each request passes, each of which adds an entry to X-Forwarded-For: 1 behind the ingress, 2 "
            "behind a CDN before it. Limits by address count what the outermost of them saw; with 0 the header is not read.",
            0,
            10,
            default=1,
        ),
        "env": _ENV,
    },
    default={},
)
