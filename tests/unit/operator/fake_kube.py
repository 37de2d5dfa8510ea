"""A cluster in memory that answers like `Kube`, and whose single requests can be made to fail."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.kinds import COMMUNITY, Kind
from bapsang_operator.manifest import Key, Manifest, key_of


def patched(before: Any, patch: Manifest) -> Manifest:
    """Carry out a JSON merge patch (RFC 7396)."""
    after = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = patched(after.get(name), value) if isinstance(value, dict) else value
    return after


def _named(item: Any) -> object:
    """Return what an apiserver knows an item of a list by, None where it does not merge such lists."""
    known = ("name", "containerPort", "port", "mountPath", "topologyKey", "ip")
    return next((item[key] for key in known if key in item), None) if isinstance(item, dict) else None


def _applied(live: Any, wanted: Any) -> Any:
    """Put every field of `wanted` over `live`, as server-side apply does."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return live | {name: _applied(live.get(name), one) for name, one in wanted.items()}
    if not (isinstance(wanted, list) and isinstance(live, list)) or None in map(_named, wanted):
        return wanted
    known = {_named(item): item for item in live}
    ours = [_applied(known.pop(_named(item), None), item) for item in wanted]
    return ours + list(known.values())


class FakeKube(Kube):
    """Objects by identity. `fails` returns the error that a request is to end with; `writes` are those that succeeded."""

    def __init__(self, *objects: Manifest) -> None:
        self.objects_by_key = {key_of(one): one for one in objects}
        self.fails: Callable[[str, Key], KubeError | None] = lambda _verb, _key: None
        self.asked: list[tuple[str, Key]] = []
        self.writes: list[tuple[str, Key]] = []
        self.events: list[Manifest] = []
        self.told: dict[Key, list[Manifest]] = {}  # Events of controllers
        self._version = 100

    def _ask(self, verb: str, key: Key) -> None:
        self.asked.append((verb, key))
        error = self.fails(verb, key)
        if error is not None:
            raise error
        if verb not in {"get", "list"}:
            self.writes.append((verb, key))

    def put(self, found: Manifest) -> Manifest:
        """Save what somebody else has written, such as a controller."""
        return self._save(found)

    def _save(self, found: Manifest) -> Manifest:
        self._version += 1
        found = copy.deepcopy(found)
        found["metadata"] |= {"resourceVersion": str(self._version)}
        found["metadata"].setdefault("uid", f"uid-{key_of(found)}")
        self.objects_by_key[key_of(found)] = found
        return copy.deepcopy(found)

    async def get(self, key: Key) -> Manifest | None:
        self._ask("get", key)
        return copy.deepcopy(self.objects_by_key.get(key))

    async def node_labels(self, name: str) -> dict[str, str]:
        self._ask("get", Key("Node", "", name))
        node = self.objects_by_key.get(Key("Node", "", name), {"metadata": {}})
        return dict(node["metadata"].get("labels", {}))

    async def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Put the manifest over what is there. What others have added stays."""
        key = key_of(manifest)
        self._ask("dry-run" if dry_run else "apply", key)
        live = self.objects_by_key.get(key, {})
        made = patched(live, manifest)
        if "spec" in live and "spec" in manifest:
            made["spec"] = _applied(live["spec"], manifest["spec"])
        return made if dry_run else self._save(made)

    async def create(self, manifest: Manifest, *, fenced: bool = True) -> Manifest:
        del fenced
        self._ask("create", key_of(manifest))
        return self._save(manifest)

    async def delete(self, live: Manifest) -> None:
        self._ask("delete", key_of(live))
        self.objects_by_key.pop(key_of(live), None)

    async def merge(self, live: Manifest, patch: Manifest, *, dry_run: bool = False) -> Manifest:
        self._ask("dry-run" if dry_run else "merge", key_of(live))
        made = patched(self.objects_by_key[key_of(live)], patch)
        return made if dry_run else self._save(made)

    async def write_status(self, community: Manifest, status: Manifest) -> Manifest:
        self._ask("status", key_of(community))
        return self._save({**community, "status": status})

    async def post_event(self, event: Manifest) -> None:
        self.events.append(event)

    async def events_about(self, live: Manifest, reason: str) -> list[Manifest]:
        self._ask("get", Key("Event", live["metadata"]["namespace"], ""))
        return [event for event in self.told.get(key_of(live), ()) if event["reason"] == reason]

    async def unlabelled(self, kind: Kind, namespace: str) -> list[Manifest]:
        self._ask("list", Key(kind.name, namespace, ""))
        return [one for key, one in self.objects_by_key.items() if (key.kind, key.namespace) == (kind.name, namespace)]

    async def serves(self, kind: Kind) -> bool:
        return kind is COMMUNITY
