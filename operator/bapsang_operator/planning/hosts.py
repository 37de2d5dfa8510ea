"""Whose a host is. Of several Communities that name one, the same always has it, whatever is restarted: the one that
has held a live Ingress or HTTPRoute for it the longest, else the older one. Pure; why so: docs/decisions/0008-hosts.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from bapsang_operator import names
from bapsang_operator.build import ingress, route
from bapsang_operator.build.child import Child
from bapsang_operator.kinds import HTTP_ROUTE, WAYS_IN
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.resource import Community

_INGRESS: Final = "Ingress"
#: A Gateway by namespace and name, and its listener; empty for all of them.
_Listener = tuple[str, str, str]
#: How controllers spell "everything" as a path.
_EVERYTHING: Final = frozenset({"", "/", "/*", "/.*", "/(.*)"})


@dataclass(frozen=True)
class Claim:
    """What wants a whole host for itself: a Community that names it, or an Ingress or HTTPRoute that serves it now.

    `community` is the Community itself or the one whose own Ingress or HTTPRoute it is, None for any other one. `created`
    is a creationTimestamp, which sorts as text. `listeners`: where an HTTPRoute is served.
    """

    key: Key
    created: str
    community: Key | None
    ingress_class: str | None = None
    listeners: frozenset[_Listener] = frozenset()

    @property
    def whose(self) -> str:
        """The object that claims, with its namespace."""
        return f"{self.key.kind} {self.key.namespace}/{self.key.name}"


class Hosts:
    """All claims, by host."""

    def __init__(self) -> None:
        self._claims: dict[str, dict[Key, Claim]] = {}
        self._named: dict[Key, frozenset[str]] = {}
        #: The Community that serves a host, see `_server`.
        self._served: dict[str, Key] = {}

    def put(self, key: Key, resource: Manifest, community: Key | None) -> set[Key]:
        """Note what an object claims now, and return the other Communities that must look again at whose their host is."""
        created = resource["metadata"].get("creationTimestamp", "")
        claim = Claim(key, created, _owner(key, community), _class_of(resource), _listeners(resource))
        named = _claimed(resource)
        lost = self._named.get(key, frozenset()) - named
        gained = {host for host in named if self._claims.get(host, {}).get(key) != claim}
        found = self._others(lost | gained, community)
        for host in lost:
            self._remove(host, key)
        for host in gained:
            self._claims.setdefault(host, {})[key] = claim
        if named:
            self._named[key] = named
        else:
            self._named.pop(key, None)
        return found

    def drop(self, key: Key, community: Key | None) -> set[Key]:
        """Forget an object that is gone, and return the other Communities that must look again."""
        lost = self._named.pop(key, frozenset())
        found = self._others(lost, community)
        for host in lost:
            self._remove(host, key)
        return found

    def holder(self, community: Community) -> Claim | None:
        """Return what keeps a Community from its host; None when it may have it."""
        if community.host is None:
            return None
        host = _canonical(community.host)
        claims = self._claims.get(host, {}).values()
        server = self._server(host)

        def rank(claim: Claim) -> tuple[bool, bool, tuple[str, Key]]:
            is_community = claim.key.kind == names.KIND
            return is_community and claim.key != server, not is_community, _age(claim)

        first = min(_contenders(community, claims), key=rank, default=None)
        return None if first is None or first.key == _key(community) else first

    def give_way(self, community: Community, children: Iterable[Child]) -> list[Child]:
        """Return the children of a Community whose host somebody else holds. Its Ingress and HTTPRoute are not among them,
        so those that were made go; only what serves another host from before is left as it is, since what runs stays in
        service."""
        found = [child for child in children if child.key.kind not in WAYS_IN]
        for kind in sorted(WAYS_IN):
            live = self._named.get(Key(kind, community.namespace, names.api(community.name)), frozenset())
            if not live or _canonical(community.host or "") in live:
                continue
            if kind == _INGRESS:
                found.append(ingress.ingress(community, min(live)))
            elif community.gateway is not None:
                found.append(route.route(community, min(live), community.gateway))
        return found

    def _others(self, hosts: Iterable[str], community: Key | None) -> set[Key]:
        return {key for host in hosts for key in self._claims.get(host, {}) if key.kind == names.KIND} - {community}

    def _remove(self, host: str, key: Key) -> None:
        claims = self._claims[host]
        self._server(host)  # while its Ingress is known
        del claims[key]
        if self._served.get(host) == key:
            del self._served[host]
        if not claims:
            del self._claims[host]

    def _server(self, host: str) -> Key | None:
        """Return the Community that serves a host, the same one as long as it names it: an Ingress that somebody deletes or
        edits is put back, and neither that moment nor an Ingress made by hand gives the host to another one. Where none
        is known, as after a restart, it is the one with the oldest Ingress or HTTPRoute, which nobody can make older."""
        claims = self._claims.get(host, {})
        if host not in self._served:
            serving = [
                (claim.created, _age(claims[claim.community]), claim.community)
                for claim in claims.values()
                if claim.key.kind in WAYS_IN and claim.community is not None and claim.community in claims
            ]
            if serving:
                self._served[host] = min(serving)[-1]
        return self._served.get(host)


def _age(claim: Claim) -> tuple[str, Key]:
    return claim.created, claim.key


def _owner(key: Key, community: Key | None) -> Key | None:
    """Return the Community that an object claims for. Its label does not make an Ingress of another name one of ours."""
    if key.kind in WAYS_IN and community is not None and key.name != names.api(community.name):
        return None
    return community


def _contenders(community: Community, claims: Collection[Claim]) -> list[Claim]:
    """Return the Communities that name a host, and each Ingress or HTTPRoute that serves it for nobody of them: of
    another class, or at another Gateway, it is another way in, and stands in nobody's."""
    naming = {claim.key for claim in claims if claim.key.kind == names.KIND} | {_key(community)}
    return [
        claim
        for claim in claims
        if claim.key in naming or (claim.community not in naming and _is_same_way(community, claim))
    ]


def _is_same_way(community: Community, claim: Claim) -> bool:
    """Tell whether somebody's Ingress or HTTPRoute stands where the Community's own would."""
    if claim.key.kind == _INGRESS:
        mine = ingress.class_of(community)
        return community.has_ingress and (None in (mine, claim.ingress_class) or mine == claim.ingress_class)
    refs = community.gateway.parent_refs if community.gateway is not None else ()
    own = {_listener(route.parent_ref(ref), community.namespace) for ref in refs}
    return any(
        one[:2] == other[:2] and (one[2] == other[2] or not one[2] or not other[2])
        for one in own
        for other in claim.listeners
    )


def _claimed(resource: Manifest) -> frozenset[str]:
    """Return the hosts that an object claims as a whole. Paths that others add to a host are no claim to it."""
    spec = resource.get("spec", {})
    found: list[str | None] = []
    if resource["kind"] == names.KIND and "deletionTimestamp" not in resource["metadata"]:
        found = [spec.get("host")]
    elif resource["kind"] == _INGRESS:
        found = [rule.get("host") for rule in spec.get("rules") or () if _takes_all(rule)]
    elif resource["kind"] == HTTP_ROUTE.name and any(_routes_all(rule) for rule in spec.get("rules") or [{}]):
        found = list(spec.get("hostnames") or ())
    return frozenset(_canonical(host) for host in found if host)


def _takes_all(rule: dict[str, Any]) -> bool:
    paths = (rule.get("http") or {}).get("paths")
    return not paths or any(path.get("path", "") in _EVERYTHING and path.get("pathType") != "Exact" for path in paths)


def _routes_all(rule: dict[str, Any]) -> bool:
    """Tell whether a rule of an HTTPRoute takes all requests. A redirect (to https, for nearly all) is no claim."""
    if any(one.get("type") == "RequestRedirect" for one in rule.get("filters") or ()):
        return False
    matches = rule.get("matches") or [{}]
    return any(
        match.keys() <= {"path"}
        and (path := match.get("path") or {}).get("value", "/") == "/"
        and path.get("type") != "Exact"
        for match in matches
    )


def _listeners(resource: Manifest) -> frozenset[_Listener]:
    if resource["kind"] != HTTP_ROUTE.name:
        return frozenset()
    namespace = resource["metadata"]["namespace"]
    return frozenset(_listener(ref, namespace) for ref in resource.get("spec", {}).get("parentRefs") or ())


def _listener(ref: Manifest, namespace: str) -> _Listener:
    return ref.get("namespace") or namespace, ref["name"], ref.get("sectionName") or ""


def _class_of(resource: Manifest) -> str | None:
    if resource["kind"] != _INGRESS:
        return None
    old: str | None = resource["metadata"].get("annotations", {}).get(ingress.CLASS_ANNOTATION)
    found: str | None = resource.get("spec", {}).get("ingressClassName", old)
    return found


def _canonical(host: str) -> str:
    return host.lower().removesuffix(".")


def _key(community: Community) -> Key:
    return Key(names.KIND, community.namespace, community.name)
