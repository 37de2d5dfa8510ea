"""`spec.api` of a Community: the two tiers of the API, how they scale and where they run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from bapsang_operator import names
from bapsang_operator.resource.core import Schema, rule
from bapsang_operator.resource.declare import Wire, of, validations
from bapsang_operator.resource.nodes import (
    BASE_URL_RULE,
    URL_RULE,
    array,
    boolean,
    choice,
    integer,
    matches,
    obj,
    object_name,
    rules,
    string_map,
    text,
)
from bapsang_operator.resource.pods import AUTHORITIES, template
from bapsang_operator.resource.shared import Resources, ordered_replicas

_TOLERATION: Final = obj(
    "One toleration, as in a pod.",
    {
        "key": text("Taint key; empty with operator Exists matches every taint.", 316),
        "operator": choice("How value is compared.", ["Exists", "Equal"], default="Equal"),
        "value": text("Taint value, for Equal.", 63),
        "effect": choice("Taint effect; every effect when absent.", ["NoSchedule", "PreferNoSchedule", "NoExecute"]),
    },
    **rules(
        rule(
            "self.operator == 'Equal' ? has(self.key) && self.key != '' : !has(self.value) || self.value == ''",
            lambda value, _old: bool(value.get("key")) if value["operator"] == "Equal" else not value.get("value"),
            "operator Equal needs a key, operator Exists takes no value",
        )
    ),
)


def _key_ref(kind: str) -> Schema:
    return obj(
        f"One key of a {kind} in the namespace of the Community.",
        {"name": object_name(f"Name of the {kind}."), "key": text("Key within it.", 253, minLength=1)},
        required=["name", "key"],
    )


_VARIABLE: Final = obj(
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
                    lambda value, _old: not value.removeprefix(names.OPTIONAL).startswith(names.RESERVED_ENV_PREFIX),
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
)


_RATE: Final = r"([1-9][0-9]{0,8}/[1-9][0-9]{0,5}|off)"
_RULE_NAME: Final = r"[a-z][a-z_]{0,31}"

_RATES: Final = rule(
    f"self.all(name, name.matches('^{_RULE_NAME}$') && self[name].matches('^{_RATE}$'))",
    lambda value, _old: all(
        re.fullmatch(_RULE_NAME, name) and re.fullmatch(_RATE, rate) for name, rate in value.items()
    ),
    "each rule is a name and requests/seconds, such as ip: 1200/60, or off",
)


@dataclass(frozen=True)
class RateLimits:
    """How many requests the API lets through, counted over all pods."""

    enabled: Annotated[
        bool, boolean("Limit at all. Without limits only in load tests, or behind something that limits.", True)
    ]
    rules: Annotated[
        Mapping[str, str],
        string_map(
            "Limits by rule, such as ip: 1200/60 (requests/seconds) or write: off; "
            "the others keep the API's defaults. docs/api.md lists the rules.",
            32,
            16,
            **rules(_RATES),
        ),
    ]


@dataclass(frozen=True)
class Spot:
    """Where spot capacity is. The defaults fit EKS managed node groups."""

    enabled: Annotated[
        bool, boolean("Prefer spot nodes for the burst tier and photo workers. The base tier never runs on them.", True)
    ]
    node_selector: Annotated[
        Mapping[str, str],
        string_map("Labels of spot nodes.", 8, default={names.SPOT_NODE_LABEL: names.SPOT_NODE_VALUE}),
    ]
    tolerations: Annotated[
        tuple[Mapping[str, str], ...],
        array(
            "Tolerations for the taints of spot nodes.",
            16,
            _TOLERATION,
            default=[{"key": names.SPOT_TAINT, "operator": "Equal", "value": "spot", "effect": "NoSchedule"}],
        ),
    ]


_RESOURCES: Final = of(
    Resources,
    "Compute resources of the API container.",
    requests={"cpu": "100m", "memory": "192Mi"},
    limits={"memory": "384Mi"},
)


@dataclass(frozen=True)
class Base:
    """The floor: pods on on-demand nodes, never on spot."""

    replicas: Annotated[int, integer("Number of pods; two survive the loss of one node.", 1, 100, default=2)]
    resources: Annotated[Resources, _RESOURCES]


@validations(ordered_replicas())
@dataclass(frozen=True)
class Burst:
    """The pods that the autoscaler adds, on spot nodes where there are any."""

    min_replicas: Annotated[
        int, integer("Fewest pods. At least 1: an autoscaler on CPU cannot leave zero.", 1, 1000, default=1)
    ]
    max_replicas: Annotated[int, integer("Most pods.", 1, 1000, default=10)]
    headroom: Annotated[
        int,
        integer(
            "Placeholder pods of the lowest priority, which keep place on the nodes and give way to burst pods.",
            0,
            1000,
            default=0,
        ),
    ]
    resources: Annotated[Resources, _RESOURCES]


@dataclass(frozen=True)
class Keda:
    """Let KEDA scale by requests as well as by CPU. Needs KEDA, and keda.enabled in the operator's chart."""

    prometheus_url: Annotated[
        str,
        text(
            "Prometheus that scrapes the API's pods, such as http://prometheus.monitoring:9090.",
            300,
            **rules(BASE_URL_RULE),
        ),
    ]
    requests_per_pod: Annotated[int, integer("Requests a second that a burst pod is to carry.", 1, 100_000)]


@dataclass(frozen=True)
class Autoscaling:
    """When the burst tier grows and shrinks."""

    target_cpu: Annotated[
        int,
        integer("CPU in percent of the request that is aimed at.", 10, 95, default=60),
        Wire("targetCPUUtilization"),
    ]
    scale_up_seconds: Annotated[
        int, integer("Seconds of high load before pods are added (`stabilizationWindowSeconds`).", 0, 3600, default=0)
    ]
    scale_down_seconds: Annotated[
        int,
        integer("Seconds of low load before pods are removed (`stabilizationWindowSeconds`).", 0, 3600, default=300),
    ]
    keda: Keda | None


@validations(
    rule(
        "!has(self.podTemplate) || !has(self.podTemplate.spec) || "
        "!has(self.podTemplate.spec.terminationGracePeriodSeconds) || "
        f"self.podTemplate.spec.terminationGracePeriodSeconds >= self.drainSeconds + {names.ENDING_SECONDS}",
        lambda value, _old: (
            value.get("podTemplate", {}).get("spec", {}).get("terminationGracePeriodSeconds", 2**31)
            >= value["drainSeconds"] + names.ENDING_SECONDS
        ),
        f"terminationGracePeriodSeconds must be at least drainSeconds + {names.ENDING_SECONDS}",
        ".podTemplate.spec.terminationGracePeriodSeconds",
    )
)
@dataclass(frozen=True)
class Api:
    """The API: a base tier that is always there and a burst tier that follows the load."""

    base: Base
    burst: Burst
    autoscaling: Autoscaling
    drain_seconds: Annotated[
        int,
        integer(
            "Seconds that a pod goes on taking requests after its deletion began, until no load balancer sends any more: "
            "at least its deregistration delay + 5. Below 90 where spot nodes end two minutes after their notice.",
            1,
            600,
            default=35,
        ),
    ]
    arch: Annotated[
        str,
        choice(
            "CPU architecture of the nodes; any when the image is built for both.",
            ["any", "amd64", "arm64"],
            default="any",
        ),
    ]
    spot: Spot
    cors_origins: Annotated[
        tuple[str, ...],
        array(
            "Origins of browser apps that may call the API, besides the community's own URL.",
            32,
            text("An origin, such as https://app.example.com.", 300, **rules(URL_RULE)),
            default=["http://localhost:3000", "http://127.0.0.1:3000"],
        ),
    ]
    rate_limits: RateLimits
    trusted_hops: Annotated[
        int,
        integer(
            "Proxies of yours that each request passes, each of which adds an entry to X-Forwarded-For: 1 behind the ingress, 2 "
            "behind a CDN before it. Limits by address count what the outermost of them saw; with 0 the header is not read.",
            0,
            10,
            default=1,
        ),
    ]
    hold_posts: Annotated[
        bool,
        boolean(
            "Whether posts of accounts younger than three days wait for a moderator when they hold many links, repeat another or "
            "come in great haste.",
            default=True,
        ),
    ]
    env: Annotated[
        tuple[Mapping[str, Any], ...],
        array("Additional environment of the API containers.", 64, _VARIABLE, key="name", default=[]),
    ]
    pod_template: Annotated[
        Mapping[str, Any],
        template(("api",), ("/var/run/secrets/bapsang", *AUTHORITIES[0], "/tmp"), ("signing-key", *AUTHORITIES[1])),  # noqa: S108
    ]
