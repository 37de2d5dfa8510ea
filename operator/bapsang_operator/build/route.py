"""The HTTPRoute: the way in from outside by the Gateway API, when the spec names a host and Gateways."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import api, meta
from bapsang_operator.build.child import Child
from bapsang_operator.kinds import HTTP_ROUTE
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community, Gateway, ParentRef


def route(community: Community, host: str, gateway: Gateway) -> Child:
    """Return the HTTPRoute that sends everything for `host` to the API.

    Every default of the CRD is spelled out: lists are compared whole, and one that the apiserver fills in would look
    edited.
    """
    backend = {"group": "", "kind": "Service", "name": names.api(community.name), "port": api.SERVICE_PORT, "weight": 1}
    rule: Manifest = {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [backend]}
    if gateway.request_timeout_seconds is not None:
        rule["timeouts"] = {"request": f"{gateway.request_timeout_seconds}s"}
    return Child(
        {
            "apiVersion": HTTP_ROUTE.api_version,
            "kind": HTTP_ROUTE.name,
            "metadata": meta.metadata(community, names.api(community.name), Component.API, gateway.annotations),
            "spec": {
                "parentRefs": [parent_ref(ref) for ref in gateway.parent_refs],
                "hostnames": [host],
                "rules": [rule],
            },
        }
    )


def parent_ref(ref: ParentRef) -> Manifest:
    """Return a reference to a Gateway as the route and its status have it."""
    optional = {"namespace": ref.namespace, "sectionName": ref.section_name, "port": ref.port}
    given = {name: value for name, value in optional.items() if value is not None}
    return {"group": HTTP_ROUTE.group, "kind": "Gateway", "name": ref.name, **given}
