"""`spec.networkPolicy` of a Community: what its pods may reach beside what the operator knows of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from bapsang_operator.resource.core import Schema, rule
from bapsang_operator.resource.nodes import array, choice, integer, matches, obj, rules, string_map, text

_CIDR_RULE: Final = matches(
    r"^([0-9]{1,3}([.][0-9]{1,3}){3}/[0-9]{1,2}|[0-9a-f:]{2,39}/[0-9]{1,3})$",
    "must be a range of addresses, such as 10.0.0.0/16 or fd00::/8",
)
_PORT: Final = obj(
    "A port, or a range of ports.",
    {
        "protocol": choice("Protocol.", ["TCP", "UDP", "SCTP"], default="TCP"),
        "port": integer("Number of the port, as the other end's pods listen on it.", 1, 65535),
        "endPort": integer("Last port of a range that begins with port.", 1, 65535),
    },
    required=["port"],
    **rules(
        rule(
            "!has(self.endPort) || self.endPort >= self.port",
            lambda value, _old: value.get("endPort", 65535) >= value["port"],
            "endPort must be at least port",
            ".endPort",
        )
    ),
)


def _selector(what: str) -> Schema:
    return obj(f"Which {what}; all when empty.", {"matchLabels": string_map(f"Labels of the {what}.", 16, 63)})


_PEER: Final = obj(
    "A range of addresses, or pods.",
    {
        "ipBlock": obj(
            "A range of addresses.",
            {
                "cidr": text("The range.", 43, **rules(_CIDR_RULE)),
                "except": array("Ranges within it that are left out.", 16, text("A range.", 43, **rules(_CIDR_RULE))),
            },
            required=["cidr"],
        ),
        "namespaceSelector": _selector("namespaces"),
        "podSelector": _selector("pods"),
    },
    **rules(
        rule(
            "has(self.ipBlock) != (has(self.namespaceSelector) || has(self.podSelector))",
            lambda value, _old: ("ipBlock" in value) != ("namespaceSelector" in value or "podSelector" in value),
            "needs either ipBlock or selectors",
        )
    ),
)
_EGRESS: Final = obj(
    "One rule: ports, peers, or ports of peers.",
    {"ports": array("Ports; all when absent.", 16, _PORT), "to": array("Peers; all when absent.", 16, _PEER)},
    **rules(
        rule(
            "has(self.ports) && self.ports.size() > 0 || has(self.to) && self.to.size() > 0",
            lambda value, _old: bool(value.get("ports") or value.get("to")),
            "an empty rule would let everything through: name ports or peers",
        )
    ),
)


@dataclass(frozen=True)
class NetworkPolicy:
    """What the NetworkPolicies of the community let through besides what the operator knows of."""

    extra_egress: Annotated[
        tuple[Mapping[str, Any], ...],
        array(
            "What pods of the API and jobs may reach besides: a database or Redis whose URL in a Secret has another port "
            "than 3306 or 6379, DNS on another port than 53, a collector of traces. Rules of a NetworkPolicy.",
            32,
            _EGRESS,
            default=[],
        ),
    ]
