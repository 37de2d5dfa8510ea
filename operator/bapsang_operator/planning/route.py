"""What each Gateway makes of the HTTPRoute, as their controllers tell it in its status, and what of a Community stays as it
is until one of them has accepted it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bapsang_operator import names
from bapsang_operator.build import route
from bapsang_operator.build.child import Child
from bapsang_operator.kinds import HTTP_ROUTE
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.planning.progress import Live
from bapsang_operator.problem import shorten
from bapsang_operator.resource import Community, ParentRef

#: Fields by which a status names the parent that it is about.
_IDENTITY: Final = ("group", "kind", "name", "namespace", "sectionName", "port")


@dataclass(frozen=True)
class Parent:
    """What a Gateway makes of the route. `refusal`: why it does not serve it, in its controller's words; empty while
    nobody has said so."""

    gateway: str
    is_accepted: bool
    refusal: str = ""


def parents(community: Community, children: Iterable[Child], live: Live) -> list[Parent] | None:
    """Return what each Gateway makes of the live route; None when no route is among the children."""
    return _parents(community, live) if _key(community) in {child.key for child in children} else None


def _parents(community: Community, live: Live) -> list[Parent]:
    if community.gateway is None:
        return []
    entries = live.get(_key(community), {}).get("status", {}).get("parents") or []
    return [_parent(community, ref, entries) for ref in community.gateway.parent_refs]


def spared(community: Community, live: Live) -> frozenset[Key]:
    """Return what stays as it is although no child is to have its name: the Ingress, until a Gateway has accepted the
    route (a typing error in `parentRefs`, or a Gateway that does not exist, takes nobody's way in away), and a route where
    none can be made any more."""
    if community.host is None or community.gateway is None:
        return frozenset()
    found = {_key(community)}
    if not community.has_ingress and not any(parent.is_accepted for parent in _parents(community, live)):
        found.add(Key("Ingress", community.namespace, names.api(community.name)))
    return frozenset(found)


def _parent(community: Community, ref: ParentRef, entries: list[Manifest]) -> Parent:
    section = f", listener {ref.section_name}" if ref.section_name else ""
    port = f", port {ref.port}" if ref.port else ""
    name = f"{ref.namespace or community.namespace}/{ref.name}{section}{port}"
    wanted = _identity(route.parent_ref(ref), community.namespace)
    # Several controllers may answer for one reference; it leads somewhere when one of them takes it.
    found = [
        {one["type"]: one for one in entry.get("conditions") or ()}
        for entry in entries
        if _identity(entry.get("parentRef") or {}, community.namespace) == wanted
    ]
    refused = [_refusal(conditions) for conditions in found]
    accepted = [_is_true(conditions.get("Accepted")) for conditions in found]
    if any(accepts and not refusal for accepts, refusal in zip(accepted, refused, strict=True)):
        return Parent(name, True)
    return Parent(name, False, next(filter(None, refused), ""))


def _identity(ref: Manifest, namespace: str) -> Manifest:
    full = {"group": HTTP_ROUTE.group, "kind": "Gateway", "namespace": namespace} | ref
    return {field: full.get(field) for field in _IDENTITY}


def _is_true(condition: Manifest | None) -> bool:
    return condition is not None and condition.get("status") == "True"


def _refusal(conditions: Mapping[str, Manifest]) -> str:
    for kind in ("Accepted", "ResolvedRefs"):
        one = conditions.get(kind, {})
        if one.get("status") == "False":
            return f"{kind} is False, {one.get('reason')}: {shorten(one.get('message', '')).removesuffix('.')}"
    return ""


def _key(community: Community) -> Key:
    return Key(HTTP_ROUTE.name, community.namespace, names.api(community.name))
