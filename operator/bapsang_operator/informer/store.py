"""The live objects as last seen, in memory: filled by the watches and by the answers to our own writes.

Keeping each answer matters: until the watch returns our own write, the old object would look like drift and be written
again.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Final, NamedTuple

from bapsang_operator import names
from bapsang_operator.build.child import Child
from bapsang_operator.informer import news
from bapsang_operator.kinds import WAYS_IN
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.planning import drift, fields
from bapsang_operator.planning.hosts import Hosts


class CommunityKey(NamedTuple):
    """Identity of a Community: what the work queue holds."""

    namespace: str
    name: str


_IDENTITY: Final = ("name", "namespace", "uid", "resourceVersion")


def _version(resource: Manifest) -> int:
    # Resource versions are numbers that grow (KEP-5504 makes it a promise).
    return int(resource["metadata"]["resourceVersion"])


def slim(resource: Manifest) -> Manifest:
    """Return what the operator reads of an object; of pods, which are many, only their condition and node, and of
    Ingresses and HTTPRoutes of no Community, only that they are there."""
    metadata = {key: value for key, value in resource["metadata"].items() if key != "managedFields"}
    if community_of(resource) is None:
        return {"kind": resource["kind"], "metadata": {key: metadata[key] for key in _IDENTITY}}
    if resource["kind"] != "Pod":
        # Nearly always none: people who add something to a child by hand are among them.
        managed = fields.foreign(resource) if resource["kind"] != names.KIND else []
        if managed:
            metadata["managedFields"] = managed
        return {**resource, "metadata": metadata}
    metadata.pop("annotations", None)
    kept = ("phase", "conditions", "initContainerStatuses", "containerStatuses")
    status = {key: value for key, value in resource.get("status", {}).items() if key in kept}
    node = resource.get("spec", {}).get("nodeName")
    where = {"spec": {"nodeName": node}} if node else {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, **where, "status": status}


def community_of(resource: Manifest) -> CommunityKey | None:
    """Return the Community that an object concerns: itself, its owner, or the one its label names.

    The owner comes first: it still leads home when somebody edited the label.
    """
    metadata = resource["metadata"]
    if resource["kind"] == names.KIND:
        return CommunityKey(metadata["namespace"], metadata["name"])
    for ref in metadata.get("ownerReferences", ()):
        if ref["kind"] == names.KIND and ref.get("controller"):
            return CommunityKey(metadata["namespace"], ref["name"])
    name = metadata.get("labels", {}).get(names.LABEL_COMMUNITY)
    return CommunityKey(metadata["namespace"], name) if name is not None else None


class Packed(MutableMapping[Key, Manifest]):
    """Manifests as JSON bytes: a fifth of the memory that they take as dictionaries, at 30 µs for each look."""

    def __init__(self) -> None:
        self._packed: dict[Key, bytes] = {}

    def __getitem__(self, key: Key) -> Manifest:
        found: Manifest = json.loads(self._packed[key])
        return found

    def __setitem__(self, key: Key, manifest: Manifest) -> None:
        self._packed[key] = json.dumps(manifest, separators=(",", ":")).encode()

    def __delitem__(self, key: Key) -> None:
        del self._packed[key]

    def __contains__(self, key: object) -> bool:
        return key in self._packed

    def __iter__(self) -> Iterator[Key]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


class Store:
    """Live objects by identity and by Community.

    `listed` are the scopes (a namespace, or None for the whole cluster) of which every watched kind was listed, `awaited`
    those of which nothing is known yet.
    `applied` holds the manifests that were applied last, `baselines` what webhooks have made of them; a child without an
    entry was not applied by this process yet. `hosts` are who claims which host; `enqueue` receives each Community
    whose host may have become free or taken by what another one did.
    """

    def __init__(self, enqueue: Callable[[CommunityKey], None] = lambda _: None) -> None:
        self.listed: set[str | None] = set()
        self.awaited: set[str | None] = set()
        self.hosts = Hosts()
        self._enqueue = enqueue
        self.applied = Packed()
        self.baselines: dict[Key, drift.Baseline] = {}
        self._objects = Packed()
        self._by_community: dict[CommunityKey, set[Key]] = defaultdict(set)
        self._lost: dict[CommunityKey, set[Key]] = defaultdict(set)
        self._revisions: Counter[CommunityKey] = Counter()
        self._healthy: set[CommunityKey] = set()

    def put(self, resource: Manifest, *, is_news: bool = True) -> None:
        """Remember an object unless a newer version of it is known. What is no news asks for no other pass."""
        key = key_of(resource)
        known = self._objects.get(key)
        if known is not None and _version(known) >= _version(resource):
            return
        if known is not None:
            self._unlink(key, known, is_news=is_news)
        self._objects[key] = self._without_record(key, slim(resource))
        community = community_of(resource)
        if community is not None:
            self._by_community[community].add(key)
            self._revisions[community] += is_news
            if resource["kind"] == names.KIND:
                (self._healthy.add if news.is_healthy(resource) else self._healthy.discard)(community)
        self._enqueue_listed(self.hosts.put(key, resource, _key(community)))

    def drop(self, resource: Manifest, *, is_news: bool = True) -> None:
        """Forget an object that was deleted, unless another of its name exists by now."""
        key = key_of(resource)
        known = self._objects.get(key)
        if known is None or known["metadata"]["uid"] != resource["metadata"]["uid"]:
            return
        if _version(known) > _version(resource):
            # It left the watch (a label was taken off) and our write has brought it back meanwhile.
            return
        del self._objects[key]
        self._unlink(key, known, is_news=is_news)
        community = community_of(known)
        # Only of what was applied: a process that waits for the lease applies nothing, and would gather losses for ever.
        if community is not None and key in self.applied:
            self._lost[community].add(key)
        self._enqueue_listed(self.hosts.drop(key, _key(community)))

    def gone(self, key: Key) -> None:
        """Forget an object that was looked for and not found."""
        known = self._objects.get(key)
        if known is not None:
            self.drop(known)

    def take_lost(self, community: CommunityKey) -> set[Key]:
        """Return, once, the children that were deleted since the last call."""
        return self._lost.pop(community, set())

    def forget(self, community: CommunityKey) -> None:
        """Forget what is remembered for a Community that is gone."""
        self._lost.pop(community, None)
        self._healthy.discard(community)
        self._revisions.pop(community, None)
        in_namespace = [key for key in self.applied if key.namespace == community.namespace]
        for key in [key for key in in_namespace if community_of(self.applied[key]) == community]:
            del self.applied[key]
            self.baselines.pop(key, None)

    def remember(self, children: list[Child]) -> None:
        """Note what was applied to live children before this process led, as the children themselves tell it."""
        for child in children:
            known = self._objects.get(child.key) if child.key not in self.applied else None
            if known is None:
                continue
            is_current = drift.applied_digest(known) == child.digest
            manifest = child.manifest if is_current else drift.last_applied(known, child.manifest)
            if manifest is not None:
                self.applied[child.key] = manifest
                self._objects[child.key] = self._without_record(child.key, known)

    def leave(self, scope: str | None) -> None:
        """Forget a scope that cannot be looked at any more, all but its Ingresses and HTTPRoutes: what runs there may serve
        its host still, and nobody else gets that because we do not see it. What only waited for a host holds up nobody."""
        self.listed.discard(scope)
        for key in [key for key in self._objects if scope in (None, key.namespace) and key.kind not in WAYS_IN]:
            self.drop(self._objects[key])

    def revision(self, community: CommunityKey) -> int:
        """Return a number that changes with all news of a Community, its children, their Jobs and their pods."""
        return self._revisions[community]

    def is_healthy(self, community: CommunityKey) -> bool:
        """Tell whether a Community is healthy, by its status."""
        return community in self._healthy

    def community(self, key: CommunityKey) -> Manifest | None:
        """Return a Community as last seen."""
        return self._objects.get(Key(names.KIND, key.namespace, key.name))

    def find(self, key: Key) -> Manifest | None:
        """Return any object as last seen."""
        return self._objects.get(key)

    def is_listed(self, namespace: str) -> bool:
        """Tell whether all that a namespace has is known: a half-filled store would look like lost children."""
        return not self.listed.isdisjoint({None, namespace})

    def communities(self) -> list[CommunityKey]:
        """Return all Communities."""
        return [CommunityKey(key.namespace, key.name) for key in self._objects if key.kind == names.KIND]

    def children(self, community: CommunityKey) -> dict[Key, Manifest]:
        """Return what carries the label of a Community: children, their Jobs and their pods."""
        return {key: self._objects[key] for key in self._by_community.get(community, ()) if key.kind != names.KIND}

    def prune(
        self, kind: str, namespace: str | None, version: int, existing: set[tuple[str, str]]
    ) -> set[CommunityKey]:
        """Drop what a list of the given version does not have, and return the Communities concerned."""
        touched = set()
        for key in [key for key in self._objects if key.kind == kind and namespace in (None, key.namespace)]:
            if (key.namespace, key.name) in existing:
                continue
            known = self._objects[key]
            # What is newer than the list may have been created after it.
            if _version(known) > version:
                continue
            self.drop(known)
            community = community_of(known)
            if community is not None:
                touched.add(community)
        return touched

    def _without_record(self, key: Key, known: Manifest) -> Manifest:
        """Leave out of an object what is remembered beside it."""
        annotations = known["metadata"].get("annotations", {})
        if key not in self.applied or names.ANNOTATION_RECORD not in annotations:
            return known
        kept = {name: value for name, value in annotations.items() if name != names.ANNOTATION_RECORD}
        return {**known, "metadata": {**known["metadata"], "annotations": kept}}

    def _unlink(self, key: Key, resource: Manifest, *, is_news: bool) -> None:
        community = community_of(resource)
        if community is None:
            return
        self._revisions[community] += is_news
        keys = self._by_community[community]
        keys.discard(key)
        if not keys:
            del self._by_community[community]

    def _enqueue_listed(self, communities: Iterable[Key]) -> None:
        for key in communities:
            if self.is_listed(key.namespace):
                self._enqueue(CommunityKey(key.namespace, key.name))


def _key(community: CommunityKey | None) -> Key | None:
    return None if community is None else Key(names.KIND, *community)
