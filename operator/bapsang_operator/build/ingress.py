"""The Ingress: the way in from outside, when the spec names a host."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import meta
from bapsang_operator.build.child import Child
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community

#: Annotation by which Ingresses name their class without an IngressClass.
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
#: Annotations of the AWS Load Balancer Controller, and the one that holds attributes of its target groups.
_ALB = "alb.ingress.kubernetes.io/"
ATTRIBUTES = f"{_ALB}target-group-attributes"
DEREGISTRATION_DELAY = "deregistration_delay.timeout_seconds"
#: What Elastic Load Balancing takes where the attribute is absent (API reference, TargetGroupAttribute).
_DEFAULT_DELAY_SECONDS = 300
#: Seconds that pass until a load balancer has begun to take out a pod.
_MARGIN_SECONDS = 5
#: Classes whose controllers make a load balancer for each Ingress and always write its address. Others write one only
#: where they are told which (Contour, Traefik, HAProxy), so that a missing one means nothing.
_ADDRESSED = frozenset({"alb", "gce", "gce-internal", "azure-application-gateway"})


def class_of(community: Community) -> str | None:
    """Return the class that the spec names, as a field or, as on GKE, by annotation."""
    return community.ingress.class_name or community.ingress.annotations.get(CLASS_ANNOTATION)


def _is_alb(community: Community) -> bool:
    return class_of(community) == "alb" or any(key.startswith(_ALB) for key in community.ingress.annotations)


def needs_address(community: Community) -> bool:
    """Tell whether an Ingress without an address leads nowhere."""
    return _is_alb(community) or class_of(community) in _ADDRESSED


def seconds_until_silent(community: Community) -> int:
    """Return for how many seconds after its deletion began the load balancer may send to a pod; 0 where the annotations of
    the ingress say nothing about that."""
    if not community.has_ingress or not _is_alb(community):
        return 0
    pairs = (pair.partition("=") for pair in community.ingress.annotations.get(ATTRIBUTES, "").split(","))
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
