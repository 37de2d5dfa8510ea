"""What the plugin prints: a tree of a Community, its differences, a report. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from bapsang_operator.build.child import Child
from bapsang_operator.manifest import Key, Manifest, digest
from bapsang_operator.planning import drift
from bapsang_operator.problems import endings

_HIDDEN: Final = "(hidden)"
#: Longest value that a line of differences shows.
_SHOWN: Final = 80
#: Fields that may hold something secret, wherever they stand.
_SECRET_FIELDS: Final = frozenset({"data", "stringData", "value", "env", "managedFields", "annotations"})


def tree(community: Manifest, live: dict[Key, Manifest]) -> str:
    """Return the Community, its conditions and its children with what they have come to."""
    metadata, status = community["metadata"], community.get("status", {})
    lines = [f"Community {metadata['namespace']}/{metadata['name']}  {status.get('url', '')}"]
    lines += [
        f"├─ {condition['type']}={condition['status']} ({condition['reason']}): {condition['message']}"
        for condition in status.get("conditions", ())
    ]
    shown = sorted((key, found) for key, found in live.items() if key.kind != "Pod")
    for number, (key, found) in enumerate(shown):
        last = number == len(shown) - 1
        lines.append(f"{'└' if last else '├'}─ {key}{_state(found)}")
        pods = [pod for name, pod in sorted(live.items()) if name.kind == "Pod" and _belongs(pod, key)]
        lines += [f"{' ' if last else '│'}  └─ {pod['metadata']['name']}{_pod(pod)}" for pod in pods]
    return "\n".join(lines) + "\n"


def differences(children: Iterable[Child], live: dict[Key, Manifest]) -> str:
    """Return a line for each child that is missing, waits or differs; empty when all is as the spec wants it."""
    lines: list[str] = []
    for child in children:
        found = live.get(child.key)
        if found is None:
            lines.append(f"+ {child.key}: does not exist")
            continue
        fields = drift.differing_fields(child.manifest, found)
        lines += [
            f"~ {child.key}: {field} is {_shown(found, field)}, wanted {_shown(child.manifest, field)}"
            for field in fields
        ]
        if not fields and drift.applied_digest(found) != digest(child.manifest):
            lines.append(f"~ {child.key}: a field that is not wanted any more")
    return "".join(f"{line}\n" for line in lines)


def _shown(manifest: Manifest, path: str) -> str:
    """Return the value at a path as `drift` writes it, `spec.template.spec.containers[api].image`; nothing secret."""
    value = _at(manifest, path)
    if value is None:
        return "absent"
    text = json.dumps(_redacted(value), ensure_ascii=False, sort_keys=True) if value != _HIDDEN else _HIDDEN
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _at(value: Any, path: str) -> Any:
    if not path or value is None:
        return value
    if path.startswith("["):
        name, _, rest = path[1:].partition("]")
        return _at(_item(value, name), rest.removeprefix("."))
    for key in sorted(value, key=len, reverse=True):  # keys of labels have points of their own
        rest = path.removeprefix(key)
        if rest != path and rest[:1] in ("", ".", "["):
            return _HIDDEN if key in _SECRET_FIELDS else _at(value[key], rest.removeprefix("."))
    return None


def _item(items: list[Any], wanted: str) -> Any:
    """Return the item of a list that has `wanted` as its name, port or other key, or stands at that place."""
    keyed = [one for one in items if isinstance(one, dict) and wanted in map(str, one.values())]
    if keyed:
        return keyed[0]
    return items[int(wanted)] if wanted.isdigit() and int(wanted) < len(items) else None


def report(community: Manifest, live: dict[Key, Manifest], events: list[Manifest]) -> str:
    """Return everything that helps to understand a problem, as JSON, without anything that may be secret."""
    objects = [found for _, found in sorted(live.items())]
    content = {"community": community, "children": objects, "events": events}
    return json.dumps(_redacted(content), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _HIDDEN if name in _SECRET_FIELDS else _redacted(_own_words(name, item))
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return value


def _own_words(name: str, state: Any) -> Any:
    """Return a container's state without the text of a program or runtime that was given secrets."""
    if name not in {"waiting", "terminated"} or "message" not in state:
        return state
    message = str(state["message"])
    is_known = endings.told(message) if name == "terminated" else endings.hindrance("", message)
    return state if is_known else {**state, "message": _HIDDEN}


def _state(found: Manifest) -> str:
    status, spec = found.get("status", {}), found.get("spec", {})
    match found["kind"]:
        case "Deployment" | "StatefulSet":
            return f"  {status.get('readyReplicas', 0)}/{spec.get('replicas', 1)} ready"
        case "HorizontalPodAutoscaler":
            bounds = f"{spec.get('minReplicas')}–{spec.get('maxReplicas')}"
            return f"  {status.get('currentReplicas', 0)} pods, {bounds}"
        case "CronJob":
            return f"  {spec.get('schedule')}{', suspended' if spec.get('suspend') else ''}"
        case "Job":
            ended = [one["type"] for one in status.get("conditions", ()) if one["status"] == "True"]
            return f"  {ended[-1] if ended else 'running'}"
        case _:
            return ""


def _pod(pod: Manifest) -> str:
    containers = list(_containers(pod))
    ready = sum(bool(one.get("ready")) for one in containers)
    waiting = [one["state"]["waiting"].get("reason") for one in containers if "waiting" in one.get("state", {})]
    restarts = sum(one.get("restartCount", 0) for one in containers)
    node = pod.get("spec", {}).get("nodeName")
    parts = [
        str(pod.get("status", {}).get("phase")),
        f"{ready}/{len(containers)}",
        *waiting[:1],
        *([f"{restarts} restarts"] if restarts else []),
        *([f"on {node}"] if node else []),
    ]
    return f"  {' '.join(parts)}"


def _containers(pod: Manifest) -> Iterator[Manifest]:
    yield from pod.get("status", {}).get("containerStatuses") or ()


def _belongs(pod: Manifest, owner: Key) -> bool:
    """Tell whether a pod is below a workload; the ReplicaSet between a Deployment and its pods adds a hash."""
    refs = pod["metadata"].get("ownerReferences") or ()
    for ref in refs:
        if (ref["kind"], ref["name"]) == (owner.kind, owner.name):
            return True
        if ref["kind"] == "ReplicaSet" and owner.kind == "Deployment":
            return str(ref["name"]).rpartition("-")[0] == owner.name
    return False
