"""What the managed Redis and the embedded MySQL share: one pod with a volume behind a Service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bapsang_operator import names
from bapsang_operator.build import meta, template
from bapsang_operator.build.child import Child
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community, SecretRef, Volume

#: Seconds from the deletion of a store's pod until the kubelet kills it: what is left to write goes to its volume.
GRACE_SECONDS: Final = 60


def claim(community: Community, name: str, component: Component, volume: Volume) -> Child:
    """Return the volume claim.

    A child of the Community instead of a template of the StatefulSet: deleting the StatefulSet by hand then keeps the
    data, deleting the Community removes it unless `spec.deletionPolicy` says otherwise, and the size can grow (templates
    cannot change).
    """
    spec: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": volume.size}},
    }
    if volume.storage_class is not None:
        spec["storageClassName"] = volume.storage_class
    return Child(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": meta.metadata_of_data(community, name, component),
            "spec": spec,
        }
    )


def service(community: Community, name: str, component: Component, port: int) -> Child:
    """Return the Service; an address of its own, so that a restarted pod is found without waiting for DNS."""
    return Child(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta.metadata(community, name, component),
            "spec": {
                "type": "ClusterIP",
                "selector": meta.selector(community, component),
                "ports": [{"name": component.value, "port": port, "protocol": "TCP", "targetPort": component.value}],
            },
        }
    )


def stateful_set(
    community: Community,
    name: str,
    component: Component,
    template_spec: Manifest,
    annotations: Manifest,
    missing: tuple[SecretRef, ...],
    patch: Mapping[str, Any],
) -> Child:
    """Return the StatefulSet of one pod: never two on the same volume, not even while a node is lost."""
    return Child(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": meta.metadata(community, name, component),
            "spec": {
                "replicas": 1,
                "serviceName": name,
                "revisionHistoryLimit": 3,
                "selector": {"matchLabels": meta.selector(community, component)},
                "template": template.overlaid(
                    {
                        "metadata": {
                            "labels": meta.labels(community, component),
                            "annotations": annotations | names.ANNOTATIONS_STAY,
                        },
                        "spec": template_spec,
                    },
                    patch,
                ),
            },
        },
        missing=missing,
    )
