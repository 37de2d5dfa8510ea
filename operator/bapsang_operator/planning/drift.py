"""Whether a live object still is what was applied, and what others have added to it.

The hash of the applied manifest notices a field that the manifest no longer has; comparing notices edits by hand.
Compared are the fields of the manifest, so defaults never count as drift, and what was added where it opens, diverts or
stops something (`fields`). What a webhook makes of our own apply is no drift: it becomes the object's baseline.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from bapsang_operator import names
from bapsang_operator.manifest import Manifest, digest
from bapsang_operator.planning import record
from bapsang_operator.planning.fields import Deviation, Path, child, foreign, is_applied, is_foreign, owned_below
from bapsang_operator.resource import quantity

#: Digest of the live value of each field that a webhook has changed or added, by the field's path.
Baseline = Mapping[str, str]

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
#: What the apiserver itself puts into the spec of a Service; None: whatever it is.
_SERVICE_DEFAULTS: Final[Mapping[str, str | None]] = {
    "clusterIP": None,
    "clusterIPs": None,
    "ipFamilies": None,
    "ipFamilyPolicy": None,
    "internalTrafficPolicy": "Cluster",
    "sessionAffinity": "None",
}
#: Kinds to which others may add: image pull secrets (ServiceAccount), the bound volume (claim), the suspension by a
#: queue (Job; nothing else of one can be changed).
_OPEN: Final = frozenset({"ServiceAccount", "PersistentVolumeClaim", "Job"})


def stamped(manifest: Manifest) -> Manifest:
    """Return a copy of the manifest that carries its own hash and, where a later change may wait, itself; ready to be
    applied."""
    stamped_copy = copy.deepcopy(manifest)
    annotations = stamped_copy["metadata"].setdefault("annotations", {})
    annotations[names.ANNOTATION_APPLIED] = digest(manifest)
    packed = record.encode(manifest)
    if packed is not None:
        annotations[names.ANNOTATION_RECORD] = packed
    return stamped_copy


def last_applied(live: Manifest, wanted: Manifest) -> Manifest | None:
    """Return the manifest that was last applied to the live object of `wanted`, as it is recorded there; None when nothing
    tells it."""
    found = record.decode(live, wanted)
    return found if found is not None and digest(found) == applied_digest(live) else None


def applied_digest(live: Manifest) -> str | None:
    """Return the hash of the manifest that was last applied to a live object."""
    found = live["metadata"].get("annotations", {}).get(names.ANNOTATION_APPLIED)
    return found if isinstance(found, str) else None


def differing_fields(manifest: Manifest, live: Manifest, baseline: Baseline | None = None) -> list[str]:
    """Return the paths, such as `spec.replicas`, at which `live` is neither as the manifest nor as the baseline says."""
    known = baseline or {}
    return [text for text, value in as_baseline(deviations(manifest, live)).items() if known.get(text) != value]


def as_baseline(found: Iterable[Deviation]) -> Baseline:
    """Return the baseline that takes deviations as they are."""
    return {one.text: digest(one.live) for one in found}


def deviations(manifest: Manifest, live: Manifest) -> list[Deviation]:
    """Return what differs from the manifest: its fields whose live value is another, and what others have added."""
    kind = str(manifest["kind"])
    changed = list(_compare(manifest, live, (), kind))
    return [*changed, *{one.text: one for one in _added(manifest, live, kind)}.values()]


def _added(manifest: Manifest, live: Manifest, kind: str) -> Iterator[Deviation]:
    """Yield what others have added to `spec`. Of NetworkPolicies and Services everything counts, whoever wrote it; of
    other kinds what another manager owns, because their defaults, which nobody owns, are many."""
    wanted, found = manifest.get("spec"), live.get("spec")
    if kind in _OPEN or not isinstance(wanted, dict) or not isinstance(found, dict):
        return
    if kind in {"NetworkPolicy", "Service"}:
        defaults = _SERVICE_DEFAULTS if kind == "Service" else {}
        for name in found.keys() - wanted.keys():
            if name not in defaults or defaults[name] not in (None, found[name]):
                yield Deviation(("spec", name), found[name], added=True)
    if kind == "Service":
        for port in found.get("ports", ()):
            step = tuple((key, port.get(key)) for key in _SERVICE_PORT_KEYS)
            if child(wanted.get("ports"), step) is None:
                yield Deviation(("spec", "ports", step), port, added=True)
    for entry in foreign(live):
        yield from owned_below(entry["fieldsV1"]["f:spec"], wanted, found, ("spec",))


def _compare(wanted: Any, live: Any, path: Path, kind: str, *, whole: bool = False) -> Iterator[Deviation]:
    """Yield the fields of `wanted` that differ. `whole`: below a list that is taken whole, where nothing may be added."""
    if wanted in ({}, [], "") and live is None:
        # The apiserver drops empty maps, lists and texts of many fields: absent means the same.
        return
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            yield Deviation(path, live)
            return
        if whole or (path and path[-1] in _WHOLE_MAPS):
            yield from (Deviation((*path, name), live[name]) for name in live if name not in wanted)
        for name, value in wanted.items():
            yield from _compare(value, live.get(name), (*path, name), kind, whole=whole)
    elif isinstance(wanted, list):
        if not isinstance(live, list):
            yield Deviation(path, live)
            return
        yield from _compare_list(wanted, live, path, kind)
    elif wanted != live and not (_is_quantity(path) and quantity.equal(wanted, live)):
        yield Deviation(path, live)


def _compare_list(wanted: list[Any], live: list[Any], path: Path, kind: str) -> Iterator[Deviation]:
    keys = _merge_keys(path, kind)
    if keys is None:
        if len(wanted) != len(live):
            yield Deviation(path, live)
            return
        for index, value in enumerate(wanted):
            yield from _compare(value, live[index], (*path, index), kind, whole=True)
        return
    for item in wanted:
        step = tuple((key, item.get(key)) for key in keys)
        yield from _compare(item, child(live, step), (*path, step), kind)


def _merge_keys(path: Path, kind: str) -> tuple[str, ...] | None:
    field = path[-1]
    if field == "ports":
        if kind == "Service":
            return _SERVICE_PORT_KEYS
        # The ports of a NetworkPolicy are one list: an added port would open a way in.
        return _CONTAINER_PORT_KEYS if "containers" in path else None
    return _MERGE_KEYS.get(field) if isinstance(field, str) else None


def _is_quantity(path: Path) -> bool:
    return any(step in _QUANTITIES for step in path[-2:] if isinstance(step, str))


def learned(manifest: Manifest, live: Manifest, applied: Manifest, cleaned: Manifest | None) -> Baseline:
    """Return the baseline of an object of which nobody remembers what webhooks made of it.

    `applied` is what an apply would make of it, `cleaned` what the removal of all additions would (None: refused, or
    nothing to remove). What differs then comes back by itself. Besides, a field that we own by our apply was written by
    nobody since: a webhook that acts on creation only has changed it.
    """
    forced = [one for one in deviations(manifest, applied) if not one.added]
    forced += [one for one in deviations(manifest, cleaned) if one.added] if cleaned is not None else []
    forced += [one for one in deviations(manifest, live) if _is_ours(one, live, str(manifest["kind"]))]
    return as_baseline(forced)


def _is_ours(one: Deviation, live: Manifest, kind: str) -> bool:
    if not one.added:
        return is_applied(live, one.path)
    # Nobody owns it, so it came with a write of ours. What is added to a NetworkPolicy is never taken on trust.
    return kind != "NetworkPolicy" and not is_foreign(live, one.path)


def removal(live: Manifest, added: Iterable[Deviation], manifest: Manifest | None = None) -> Manifest:
    """Return the JSON merge patch that takes additions off `live`, if it still is this version. Server-side apply, even
    by force, leaves what another manager has added. With `manifest` it puts its fields back as well."""
    clean = copy.deepcopy(live["spec"])
    for one in added:
        *above, last = one.path[1:]
        node = clean
        for step in above:
            node = child(node, step)
        if isinstance(node, dict):
            node.pop(last, None)
        elif isinstance(node, list):
            node.remove(child(node, last))
    if manifest is not None:
        clean = _overlaid(clean, manifest["spec"], ("spec",), str(manifest["kind"]))
    return {
        "metadata": {"resourceVersion": live["metadata"]["resourceVersion"]},
        "spec": _merge_patch(live["spec"], clean),
    }


def _overlaid(live: Any, wanted: Any, path: Path, kind: str) -> Any:
    """Return `live` with every field of `wanted` as it is there."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return live | {name: _overlaid(live.get(name), one, (*path, name), kind) for name, one in wanted.items()}
    keys = _merge_keys(path, kind) if isinstance(wanted, list) and isinstance(live, list) else None
    if keys is None:
        return wanted
    steps = [tuple((key, item.get(key)) for key in keys) for item in wanted]
    others = [item for item in live if not any(child([item], step) for step in steps)]
    ours = [_overlaid(child(live, step), item, (*path, step), kind) for step, item in zip(steps, wanted, strict=True)]
    return ours + others


def _merge_patch(before: Manifest, after: Manifest) -> Manifest:
    patch: Manifest = {name: None for name in before if name not in after}
    for name, value in after.items():
        if name not in before or value != before[name]:
            # A list is replaced whole, by what is live without the additions: nobody's items are lost.
            is_map = isinstance(value, dict) and isinstance(before.get(name), dict)
            patch[name] = _merge_patch(before[name], value) if is_map else value
    return patch
