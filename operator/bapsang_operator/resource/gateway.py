"""`spec.gateway` of a Community: the way in from outside by the Gateway API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from bapsang_operator.resource.core import rule
from bapsang_operator.resource.declare import node_of
from bapsang_operator.resource.nodes import (
    array,
    boolean,
    choice,
    integer,
    namespace_name,
    object_name,
    rules,
    string_map,
)


@dataclass(frozen=True)
class ParentRef:
    """One Gateway, or one of its listeners."""

    name: Annotated[str, object_name("Name of the Gateway.")]
    namespace: Annotated[
        str | None,
        namespace_name(
            "Its namespace; that of the Community when absent. The Gateway's allowedRoutes must let this one in."
        ),
    ]
    section_name: Annotated[
        str | None,
        object_name("Name of the listener, such as https; all that take the host when absent."),
    ]
    port: Annotated[
        int | None, integer("Port of the listeners; any when absent. Not every controller reads it.", 1, 65535)
    ]


def _are_told_apart(value: Any, _old: Any) -> bool:
    """HTTPRoute's own two rules in one: without sectionName a Gateway may be named once."""
    return all(sum(_may_be_same(one, other) for other in value) == 1 for one in value)


def _may_be_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if (one["name"], one.get("namespace")) != (other["name"], other.get("namespace")):
        return False
    sections = one.get("sectionName"), other.get("sectionName")
    return None in sections or sections[0] == sections[1]


_SAME: Final = (
    "other.name == one.name && has(other.__namespace__) == has(one.__namespace__) && "
    "(!has(one.__namespace__) || other.__namespace__ == one.__namespace__)"
)
_TOLD_APART: Final = rule(
    f"self.all(one, self.filter(other, {_SAME} && (!has(one.sectionName) || !has(other.sectionName) || "
    "other.sectionName == one.sectionName)).size() == 1)",
    _are_told_apart,
    "each listener of a Gateway once: two references to one Gateway need two different sectionNames",
)


@dataclass(frozen=True)
class Gateway:
    """Reach the community by an HTTPRoute of the Gateway API instead of an Ingress. Needs gateway.enabled in the operator's chart."""

    parent_refs: Annotated[
        tuple[ParentRef, ...],
        array(
            "Gateways, or listeners of them, that serve spec.host.",
            16,
            node_of(ParentRef),
            minItems=1,
            **rules(_TOLD_APART),
        ),
    ]
    scheme: Annotated[
        str,
        choice(
            "What the URL begins with. The Gateway holds the certificate, so nothing here tells whether it has one.",
            ["https", "http"],
            default="https",
        ),
    ]
    request_timeout_seconds: Annotated[
        int | None,
        integer("Longest time a request may take; what the Gateway's controller has as default when absent.", 1, 3600),
    ]
    keep_ingress: Annotated[
        bool, boolean("Make the Ingress of spec.ingress as well, until DNS names lead to the Gateway alone.", False)
    ]
    annotations: Annotated[
        Mapping[str, str], string_map("Annotations of the HTTPRoute, such as those of external-dns.", 64)
    ]
