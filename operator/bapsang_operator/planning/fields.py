"""Paths of fields, and who owns the field at a path, as `metadata.managedFields` tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bapsang_operator import names
from bapsang_operator.manifest import Manifest

#: One step down: a field by its name, an item of a list by its place or by its keys with their values.
Step = str | int | tuple[tuple[str, Any], ...]
Path = tuple[Step, ...]


@dataclass(frozen=True)
class Deviation:
    """One field that is not as the manifest says. `live`: its value, None where it is absent. `added`: the manifest has
    nothing there."""

    path: Path
    live: Any
    added: bool = False

    @property
    def text(self) -> str:
        """The path as people read it, `spec.template.spec.containers[api].image`; no two paths have the same."""
        text = ""
        for step in self.path:
            if isinstance(step, str):
                text += f".{step}" if text else step
            else:
                # All keys of an item: of two ports 53, one is TCP and one is UDP.
                text += f"[{step if isinstance(step, int) else '/'.join(str(value) for _, value in step)}]"
        return text


def child(value: Any, step: Step) -> Any:
    """Return what is one step below; None when nothing is."""
    if isinstance(step, str):
        return value.get(step) if isinstance(value, dict) else None
    if not isinstance(value, list):
        return None
    if isinstance(step, int):
        return value[step] if step < len(value) else None
    return next((item for item in value if all(item.get(key) == found for key, found in step)), None)


def foreign(live: Manifest) -> list[Manifest]:
    """Return the entries of `managedFields` by which others own a part of the spec. Scaling has a subresource of its
    own, and an autoscaler's count is not looked at."""
    return [
        {"manager": entry.get("manager"), "fieldsV1": {"f:spec": entry["fieldsV1"]["f:spec"]}}
        for entry in live["metadata"].get("managedFields", ())
        if entry.get("manager") != names.MANAGER
        and not entry.get("subresource")
        and "f:spec" in entry.get("fieldsV1", {})
    ]


def is_foreign(live: Manifest, path: Path) -> bool:
    """Tell whether another manager owns a field."""
    return any(_owns(entry["fieldsV1"], path) for entry in foreign(live))


def is_applied(live: Manifest, path: Path) -> bool:
    """Tell whether we own a field by our apply: nobody has written it since. Needs the whole `managedFields`."""
    return any(
        _owns(entry.get("fieldsV1", {}), path)
        for entry in live["metadata"].get("managedFields", ())
        if (entry.get("manager"), entry.get("operation")) == (names.MANAGER, "Apply")
    )


def _owns(fields: Manifest, path: Path) -> bool:
    for step in path:
        below = next((below for name, below in fields.items() if _step(name) == _ordered(step)), None)
        if below is None:
            return False
        if not below:  # a field that is owned whole, with all that is in it
            return True
        fields = below
    return True


def owned_below(fields: Manifest, wanted: Any, live: Any, path: Path) -> Iterator[Deviation]:
    """Yield what of the owned `fields` is live and not in `wanted`, each at the highest point."""
    for name, below in fields.items():
        step = _step(name)
        if step is None or (found := child(live, step)) is None or _is_left_alone(here := (*path, step)):
            continue
        ours = child(wanted, step)
        if ours is None:
            yield Deviation(here, found, added=True)
        elif below:
            yield from owned_below(below, ours, found, here)


def _is_left_alone(path: Path) -> bool:
    """A count that we do not own is its autoscaler's; annotations of a pod template are how pods are restarted."""
    return path == ("spec", "replicas") or path[-2:] == ("metadata", "annotations")


def _ordered(step: Step) -> Step:
    return tuple(sorted(step)) if isinstance(step, tuple) else step


def _step(name: str) -> Step | None:
    """Return the step that a key of FieldsV1 stands for; None for the field itself and for items without keys."""
    mark, _, rest = name.partition(":")
    if mark == "f":
        return rest
    if mark == "k":
        return tuple(sorted(json.loads(rest).items()))
    return None
