"""The client that writes to the cluster; nothing else does: what the operator asks of the apiserver, by server-side
apply and without a client library."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from bapsang_operator import names
from bapsang_operator.cluster.credentials import Credentials
from bapsang_operator.cluster.errors import KubeError
from bapsang_operator.cluster.fence import Fence
from bapsang_operator.cluster.transport import Transport
from bapsang_operator.kinds import BY_NAME, COMMUNITY, EVENT, LEASE, NODE, Kind
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.metrics import Metrics

__all__ = ["Kube", "KubeError"]

_PAGE = 500
#: Whole objects are about fifty times the size of their metadata.
_OBJECTS_PAGE = 100


class Kube:
    """Requests to the apiserver. Every method raises KubeError; none retries, because the work queue does."""

    def __init__(
        self,
        credentials: Credentials,
        session: aiohttp.ClientSession,
        metrics: Metrics,
        fence: Fence,
        write_seconds: float,
    ) -> None:
        self._request = Transport(credentials.server, session, metrics, fence, write_seconds)

    async def get(self, key: Key) -> Manifest | None:
        """Return an object, None when it does not exist."""
        kind = BY_NAME[key.kind]
        try:
            return await self._request("get", "GET", kind, kind.path(key.namespace, key.name))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def node_labels(self, name: str) -> dict[str, str]:
        """Return the labels of a node, none when it does not exist. Only its metadata is sent."""
        accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        try:
            found = await self._request("get", "GET", NODE, NODE.path(None, name), accept=accept)
        except KubeError as error:
            if error.status == 404:
                return {}
            raise
        return dict(found["metadata"].get("labels") or {})

    async def objects(self, kind: Kind, namespace: str | None) -> AsyncIterator[Manifest]:
        """Yield every object of a kind that is watched, page by page, so that memory never holds more than one."""
        params = _listing(kind, _OBJECTS_PAGE)
        while True:
            page = _checked(await self._request("list", "GET", kind, kind.path(namespace), params=params))
            for item in page["items"] or ():
                yield {**item, "apiVersion": kind.api_version, "kind": kind.name}
            if not page["metadata"].get("continue"):
                return
            params["continue"] = page["metadata"]["continue"]

    async def versions(self, kind: Kind, namespace: str | None) -> tuple[int, set[tuple[str, str]]]:
        """Return the version of the list and the (namespace, name) of every object of a kind that is watched."""
        params = _listing(kind, _PAGE)
        found: set[tuple[str, str]] = set()
        while True:
            accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
            page = _checked(
                await self._request("list", "GET", kind, kind.path(namespace), params=params, accept=accept)
            )
            found |= {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in page["items"] or ()}
            if not page["metadata"].get("continue"):
                return int(page["metadata"]["resourceVersion"]), found
            params["continue"] = page["metadata"]["continue"]

    async def changes(
        self, kind: Kind, namespace: str | None, version: int, seconds: int, silence: float
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Yield what happens to the objects of a kind after a version, as the events of a watch, until the apiserver ends
        it after `seconds`. Raises KubeError, also after `silence` seconds without an event."""
        params = {"watch": "true", "resourceVersion": str(version), "allowWatchBookmarks": "true"}
        params |= {"timeoutSeconds": str(seconds)} | ({"labelSelector": kind.selector} if kind.selector else {})
        async for event in self._request.lines(kind, kind.path(namespace), params, silence):
            what, found = event.get("type"), event.get("object")
            if what not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"} or not isinstance(found, dict):
                raise KubeError(0, "WatchEnded", f"the watch of {kind.plural} ended with {str(event)[:200]}")
            if what != "BOOKMARK":
                yield what, {**found, "apiVersion": kind.api_version, "kind": kind.name}

    async def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create or change an object by server-side apply and return it as it is now; `dry_run`: as it would be."""
        key = key_of(manifest)
        kind = BY_NAME[key.kind]
        return await self._request(
            "patch",
            "PATCH",
            kind,
            kind.path(key.namespace, key.name),
            params={"fieldManager": names.MANAGER, "force": "true"},
            body=manifest,
            content="application/apply-patch+yaml",
            dry_run=dry_run,
        )

    async def create(self, manifest: Manifest, *, fenced: bool = True) -> Manifest:
        """Create an object; status 409 when one of its name exists. Only the lease itself is not `fenced`."""
        kind = BY_NAME[manifest["kind"]]
        path = kind.path(manifest["metadata"]["namespace"])
        params = {"fieldManager": names.MANAGER}
        return await self._request("create", "POST", kind, path, params=params, body=manifest, fenced=fenced)

    async def replace_lease(self, manifest: Manifest) -> Manifest:
        """Replace a Lease if it still has the version that the manifest names; else status 409. Never fenced."""
        key = key_of(manifest)
        return await self._request(
            "update",
            "PUT",
            LEASE,
            LEASE.path(key.namespace, key.name),
            params={"fieldManager": names.MANAGER},
            body=manifest,
            fenced=False,
        )

    async def delete(self, live: Manifest) -> None:
        """Delete exactly this object (by uid), its pods in the background; no error when it is gone already."""
        key = key_of(live)
        kind = BY_NAME[key.kind]
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": live["metadata"]["uid"]},
        }
        try:
            await self._request("delete", "DELETE", kind, kind.path(key.namespace, key.name), body=body)
        except KubeError as error:
            # 409: another object has the name by now; the watch will tell.
            if not error.missing and error.status != 409:
                raise

    async def scale(self, live: Manifest, replicas: int) -> Manifest:
        """Set the count of a Deployment's pods without owning it in later applies; returns it as it is now."""
        key = key_of(live)
        kind = BY_NAME[key.kind]
        answer = await self._request(
            "patch",
            "PATCH",
            kind,
            f"{kind.path(key.namespace, key.name)}/scale",
            params={"fieldManager": names.MANAGER},
            body={"spec": {"replicas": replicas}},
            content="application/merge-patch+json",
        )
        metadata = live["metadata"]
        changed = {
            "resourceVersion": answer["metadata"]["resourceVersion"],
            "generation": metadata.get("generation", 0) + 1,
        }
        return {**live, "metadata": {**metadata, **changed}, "spec": {**live["spec"], "replicas": replicas}}

    async def merge(self, live: Manifest, patch: Manifest, *, dry_run: bool = False) -> Manifest:
        """Change single fields of exactly this object (by uid) by a JSON merge patch and return it as it is now;
        `dry_run`: as it would be."""
        key = key_of(live)
        kind = BY_NAME[key.kind]
        metadata = {"uid": live["metadata"]["uid"], **patch.get("metadata", {})}
        return await self._request(
            "patch",
            "PATCH",
            kind,
            kind.path(key.namespace, key.name),
            params={"fieldManager": names.MANAGER},
            body={**patch, "metadata": metadata},
            content="application/merge-patch+json",
            dry_run=dry_run,
        )

    async def write_status(self, community: Manifest, status: Manifest) -> Manifest:
        """Replace the status of a Community and return the Community as it is now."""
        key = key_of(community)
        # A merge patch leaves out no field: what is gone from the status must be named to disappear.
        gone = {name: None for name in community.get("status", {}) if name not in status}
        return await self._request(
            "patch",
            "PATCH",
            COMMUNITY,
            f"{COMMUNITY.path(key.namespace, key.name)}/status",
            params={"fieldManager": names.MANAGER},
            body={"metadata": {"uid": community["metadata"]["uid"]}, "status": status | gone},
            content="application/merge-patch+json",
        )

    async def post_event(self, event: Manifest) -> None:
        """Post a Kubernetes Event."""
        await self._request("create", "POST", EVENT, EVENT.path(event["metadata"]["namespace"]), body=event)

    async def events_about(self, live: Manifest, reason: str) -> list[Manifest]:
        """Return Events of one reason about exactly this object (by uid)."""
        metadata = live["metadata"]
        params = {"fieldSelector": f"involvedObject.uid={metadata['uid']},reason={reason}", "limit": "20"}
        path = EVENT.path(metadata["namespace"])
        return list(_checked(await self._request("list", "GET", EVENT, path, params=params))["items"] or ())

    async def unlabelled(self, kind: Kind, namespace: str) -> list[Manifest]:
        """Return the objects of a kind in one namespace, whoever made them."""
        return list(_checked(await self._request("list", "GET", kind, kind.path(namespace)))["items"] or ())

    async def serves(self, kind: Kind) -> bool:
        """Tell whether the apiserver knows a kind: whether its CRD is installed."""
        try:
            found = await self._request("get", "GET", kind, f"/apis/{kind.api_version}")
        except KubeError as error:
            if error.status == 404:
                return False
            raise
        return kind.plural in {resource["name"] for resource in found["resources"]}

    async def lists_group(self, kind: Kind) -> bool:
        """Tell whether the group of a kind is in the apiserver's list of groups: some seconds later than it is served."""
        found = await self._request("get", "GET", kind, "/apis")
        return kind.group in {group["name"] for group in found["groups"]}

    async def check_list(self, namespace: str | None) -> None:
        """List one Community; raises what stands in the way of watching them."""
        await self._request("list", "GET", COMMUNITY, COMMUNITY.path(namespace), params={"limit": "1"})


def _listing(kind: Kind, limit: int) -> dict[str, str]:
    return {"limit": str(limit)} | ({"labelSelector": kind.selector} if kind.selector else {})


def _checked(page: Manifest) -> Manifest:
    """Return a page of a list; a proxy may answer 200 with something else, which must not end the informers."""
    if "items" not in page or "resourceVersion" not in page.get("metadata", {}):
        raise KubeError(0, "BadAnswer", "the answer is no list")
    return page
