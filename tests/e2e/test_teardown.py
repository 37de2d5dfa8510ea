"""A Community, or its whole namespace, is deleted while the operator is stopped, and nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable

from bapsang_local import s3
from bapsang_local.cluster import Cluster

from .conftest import Community, eventually

KINDS = (
    "deployments,statefulsets,services,ingresses,hpa,pdb,cronjobs,jobs,serviceaccounts,networkpolicies,pods,replicasets"
)


def test_deletion_removes_every_child_also_with_the_operator_stopped(
    cluster: Cluster,
    own: Community,
    keyless: Community,
    operator_stopped: Callable[[], None],
    figure: Callable[[str, str], None],
) -> None:
    """The last test of `own` and `keyless`: the first is deleted as a resource, the other with its namespace."""
    keyless.patch({"storage": {"secretName": s3.COMMUNITY_SECRET}})
    for community in (own, keyless):
        community.wait_ready()
        assert len(community.items(KINDS)) > 15
    operator_stopped()
    began = time.monotonic()
    cluster.kubectl("delete", "namespace", keyless.namespace, "--wait=false")
    cluster.kubectl("delete", "community", own.name, "-n", own.namespace, "--timeout=30s")

    eventually(lambda: not own.items(KINDS) and not _volumes(own), 120, what="all children and volumes are gone")
    figure("community deleted without an operator, nothing left", f"{time.monotonic() - began:.1f} s")
    left = own.reader.items("secrets,persistentvolumeclaims,configmaps", own.namespace)
    secrets = [item["metadata"]["name"] for item in left if item["kind"] == "Secret"]
    assert secrets == [s3.COMMUNITY_SECRET], "what the user has put there stays, and nothing else"

    gone = f"metadata.name={keyless.namespace}"
    eventually(lambda: not keyless.reader.items("namespaces", fields=gone), 120, what="the namespace is gone")
    eventually(lambda: not _volumes(keyless), 60, what="its volumes are gone")
    figure("namespace deleted without an operator, nothing left", f"{time.monotonic() - began:.1f} s")


def _volumes(community: Community) -> list[object]:
    """Return its volumes and the claims on them; volumes belong to no namespace and would outlive it."""
    claims = community.reader.items("persistentvolumeclaims", community.namespace)
    volumes = community.reader.items("persistentvolumes")
    return [*claims, *(one for one in volumes if one["spec"]["claimRef"]["namespace"] == community.namespace)]
