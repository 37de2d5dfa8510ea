"""The Ingress: the way in from outside, when the spec names a host."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import meta
from bapsang_operator.child import Child, Manifest
from bapsang_operator.names import Component
from bapsang_operator.spec import Community

#: Annotations of the AWS Load Balancer Controller, and the one that holds attributes of its target groups.
_ALB = "alb.ingress.kubernetes.io/"
ATTRIBUTES = f"{_ALB}target-group-attributes"
DEREGISTRATION_DELAY = "deregistration_delay.timeout_seconds"
#: What Elastic Load Balancing takes where the attribute is absent (API reference, TargetGroupAttribute).
_DEFAULT_DELAY_SECONDS = 300
#: Seconds that pass until a load balancer has begun to take out a pod.
_MARGIN_SECONDS = 5


def seconds_until_silent(community: Community) -> int:
    """Return for how many seconds after its deletion began the load balancer may send to a pod; 0 where the annotations of
    the ingress say nothing about that."""
    ingress, annotations = community.ingress, community.ingress.annotations
    if community.host is None or not (ingress.class_name == "alb" or any(key.startswith(_ALB) for key in annotations)):
        return 0
    pairs = (pair.partition("=") for pair in annotations.get(ATTRIBUTES, "").split(","))
    attributes = {name.strip(): value.strip() for name, _, value in pairs}
    value = attributes.get(DEREGISTRATION_DELAY, str(_DEFAULT_DELAY_SECONDS))
    # Anything else is refused by the controller, with an Event of its own on the Ingress.
    return int(value) + _MARGIN_SECONDS if value.isascii() and value.isdigit() and len(value) < 6 else 0


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
