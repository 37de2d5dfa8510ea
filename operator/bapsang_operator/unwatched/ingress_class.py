"""The class of an Ingress whose spec names none (any more): the one that a new Ingress would be given.

The apiserver fills in the cluster's default class on creation only. An Ingress from which `ingressClassName` is merely
taken away belongs to nobody, and its controller takes the load balancer down.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from bapsang_operator import names
from bapsang_operator.build.child import Child
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.manifest import Manifest
from bapsang_operator.planning import drift
from bapsang_operator.planning.progress import Live
from bapsang_operator.resource import Community

_log = logging.getLogger(__name__)


async def with_class(kube: Kube, community: Community, children: list[Child], live: Live) -> list[Child]:
    """Return the children, the Ingress with the class that it is to have. Raises KubeError when no other request would
    fare better."""
    return [await _settle(kube, community, child, live.get(child.key)) for child in children]


async def _settle(kube: Kube, community: Community, child: Child, found: Manifest | None) -> Child:
    if child.key.kind != "Ingress" or "ingressClassName" in child.manifest["spec"] or found is None:
        return child
    applied, known = drift.applied_digest(found), found["spec"].get("ingressClassName")
    if applied == child.digest:
        return child
    kept = _of_class(child, known, is_default=True)
    if applied == kept.digest:
        return kept
    try:
        return _of_class(child, await _default(kube, child.manifest), is_default=True)
    except KubeError as error:
        if error.concerns_all:
            raise
        # Refused by a policy: the class that serves stays.
        _log.warning("default class unknown", extra={"community": str(community), "error": str(error)})
        return _of_class(child, known, is_default=False)


async def _default(kube: Kube, manifest: Manifest) -> str | None:
    """Return the class that a new Ingress is given, by a dry run. Without a host, which its admission webhook would find
    taken."""
    backend = manifest["spec"]["rules"][0]["http"]["paths"][0]["backend"]
    metadata = {"name": f"{manifest['metadata']['name']}-class", "namespace": manifest["metadata"]["namespace"]}
    probe = {**manifest, "metadata": metadata, "spec": {"defaultBackend": backend}}
    answer = await kube.apply(probe, dry_run=True)
    found: str | None = answer["spec"].get("ingressClassName")
    return found


def _of_class(child: Child, name: str | None, *, is_default: bool) -> Child:
    if name is None:
        return child
    metadata, spec = child.manifest["metadata"], child.manifest["spec"] | {"ingressClassName": name}
    if is_default:
        annotations = metadata.get("annotations", {}) | {names.ANNOTATION_DEFAULT_CLASS: "true"}
        metadata = metadata | {"annotations": annotations}
    return replace(child, manifest={**child.manifest, "metadata": metadata, "spec": spec})
