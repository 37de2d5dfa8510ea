"""The Ingress: the way in from outside, when the spec names a host."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import meta
from bapsang_operator.child import Child, Manifest
from bapsang_operator.names import Component
from bapsang_operator.spec import Community


def ingress(community: Community, host: str) -> Child:
    """Return the Ingress that sends everything for `host` to the API."""
    backend = {"service": {"name": names.api(community.name), "port": {"name": "http"}}}
    spec: Manifest = {
        "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
    }
    if community.ingress.class_name is not None:
        spec["ingressClassName"] = community.ingress.class_name
    if community.ingress.tls_secret is not None:
        spec["tls"] = [{"hosts": [host], "secretName": community.ingress.tls_secret}]
    return Child(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": meta.metadata(
                community, names.api(community.name), Component.API, community.ingress.annotations
            ),
            "spec": spec,
        }
    )
