"""Whether a live object still is what was applied.

Two checks, because each misses something: the hash of the applied manifest misses edits by hand, and comparing the
owned fields misses a field that the manifest no longer has. Only fields of the manifest are compared, so defaults and
fields of other writers never count as drift.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from bapsang_operator import names, quantity

if TYPE_CHECKING:
    from bapsang_operator.child import Manifest

#: Lists that the apiserver merges by key; others may add items of their own to these. All other lists are whole.
_MERGE_KEYS: Final = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_SERVICE_PORT_KEYS: Final = ("port", "protocol")
_CONTAINER_PORT_KEYS: Final = ("containerPort", "protocol")
#: Maps that the apiserver takes whole: an added key changes what is selected.
_WHOLE_MAPS: Final = frozenset({"selector", "podSelector", "labelSelector", "matchLabels", "nodeSelector"})
#: Fields below which texts are quantities, which the apiserver rewrites.
_QUANTITIES: Final = frozenset({"requests", "limits", "sizeLimit"})


def digest(manifest: Manifest) -> str:
    """Return the hash that identifies a manifest; independent of the order of keys."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def stamped(manifest: Manifest) -> Manifest:
    """Return a copy of the manifest that carries its own hash, ready to be applied."""
    stamped_copy = copy.deepcopy(manifest)
    stamped_copy["metadata"].setdefault("annotations", {})[names.ANNOTATION_APPLIED] = digest(manifest)
    return stamped_copy


def applied_digest(live: Manifest) -> str | None:
    """Return the hash of the manifest that was last applied to a live object."""
    found = live["metadata"].get("annotations", {}).get(names.ANNOTATION_APPLIED)
    return found if isinstance(found, str) else None


def differing_fields(manifest: Manifest, live: Manifest) -> list[str]:
    """Return the paths of the manifest's fields whose live value is another, such as `spec.replicas`."""
    return list(_compare(manifest, live, "", str(manifest["kind"])))


def _compare(wanted: Any, live: Any, path: str, kind: str) -> Iterator[str]:
    if isinstance(wanted, dict):
        # The apiserver drops empty maps and lists of many fields: absent means the same.
        if not wanted and live is None:
            return
        if not isinstance(live, dict):
            yield path
            return
        if path.rpartition(".")[2] in _WHOLE_MAPS:
            yield from (f"{path}.{name}" for name in live if name not in wanted)
        for name, value in wanted.items():
            yield from _compare(value, live.get(name), f"{path}.{name}" if path else name, kind)
    elif isinstance(wanted, list):
        if not wanted and live is None:
            return
        if not isinstance(live, list):
            yield path
            return
        yield from _compare_list(wanted, live, path, kind)
    elif wanted != live and not (_is_quantity(path) and quantity.equal(wanted, live)):
        yield path


def _compare_list(wanted: list[Any], live: list[Any], path: str, kind: str) -> Iterator[str]:
    keys = _merge_keys(path, kind)
    if keys is None:
        if len(wanted) != len(live):
            yield path
            return
        for index, value in enumerate(wanted):
            yield from _compare(value, live[index], f"{path}[{index}]", kind)
        return
    by_key = {tuple(item.get(key) for key in keys): item for item in live}
    for item in wanted:
        identity = tuple(item.get(key) for key in keys)
        yield from _compare(item, by_key.get(identity), f"{path}[{identity[0]}]", kind)


def _merge_keys(path: str, kind: str) -> tuple[str, ...] | None:
    field = path.rpartition(".")[2]
    if field == "ports":
        if kind == "Service":
            return _SERVICE_PORT_KEYS
        # The ports of a NetworkPolicy are one list: an added port would open a way in.
        return _CONTAINER_PORT_KEYS if ".containers[" in path else None
    return _MERGE_KEYS.get(field)


def _is_quantity(path: str) -> bool:
    return not _QUANTITIES.isdisjoint(path.split(".")[-2:])
