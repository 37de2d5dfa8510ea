"""Metadata that every child carries: labels, owner and selectors."""

from __future__ import annotations

from collections.abc import Mapping

from bapsang_operator import names
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community


def labels(community: Community, component: Component, **more: str) -> dict[str, str]:
    """Return the labels of a child and of its pods; the watches select by the first of them."""
    return {
        names.LABEL_MANAGED_BY: names.MANAGER,
        names.LABEL_NAME: "bapsang",
        names.LABEL_PART_OF: "bapsang",
        names.LABEL_COMPONENT: component,
        names.LABEL_COMMUNITY: community.name,
    } | more


def selector(community: Community, component: Component) -> dict[str, str]:
    """Return the labels that pick the pods of one component. Deployments cannot change theirs: never alter it."""
    return {names.LABEL_COMMUNITY: community.name, names.LABEL_COMPONENT: component}


def owner(community: Community) -> Manifest:
    """Return the owner reference: garbage collection removes the child even when no operator runs.

    No `blockOwnerDeletion`: it would need rights on the Community's finalizers and make foreground deletion wait.
    """
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": community.name,
        "uid": community.uid,
        "controller": True,
    }


def metadata_of_data(community: Community, name: str, component: Component) -> Manifest:
    """Return the metadata of a child without which data would be lost or unreadable. With `spec.deletionPolicy: Retain`
    it has no owner, so that garbage collection, which runs without the operator, leaves it."""
    found = metadata(community, name, component)
    if community.retains:
        del found["ownerReferences"]
        found["labels"][names.LABEL_RETAINED] = community.uid
    return found


def metadata(
    community: Community, name: str, component: Component, annotations: Mapping[str, str] | None = None
) -> Manifest:
    """Return the metadata of a child."""
    found: Manifest = {
        "name": name,
        "namespace": community.namespace,
        "labels": labels(community, component),
        "ownerReferences": [owner(community)],
    }
    if annotations:
        found["annotations"] = dict(annotations)
    return found
