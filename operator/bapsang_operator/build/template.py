"""A user's `podTemplate` laid over a built pod template: Kubernetes' strategic merge, pure.

Three things differ from a plain strategic merge, for what the operator builds has to work: its items of lists stay in
front, its tolerations and node affinity stay, and additional containers get no privilege.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bapsang_operator.build import pod
from bapsang_operator.manifest import Manifest

#: Lists whose items are merged by a key, `x-kubernetes-patch-merge-key` of Kubernetes' OpenAPI; all others are replaced.
MERGE_KEYS: Final[Mapping[str, str]] = {
    "containers": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "topologySpreadConstraints": "topologyKey",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_CONTAINERS: Final = ("initContainers", "containers")
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
#: What placeholders have in common with the pods that they keep place for.
_PLACEMENT: Final = (
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
    "affinity",
    "runtimeClassName",
    "securityContext",
)


def merged(built: Any, patch: Any, field: str = "") -> Any:
    """Return `built` with `patch` over it: maps by name, lists by their merge key, all else as the patch has it."""
    if isinstance(built, dict) and isinstance(patch, dict):
        return {
            **built,
            **{name: merged(built.get(name), value, name) for name, value in patch.items()},
        }
    key = MERGE_KEYS.get(field)
    if key is not None and isinstance(patch, list):
        return _by_key(built or [], patch, key)
    return copy.deepcopy(patch)


def _by_key(built: list[Manifest], patch: list[Manifest], key: str) -> list[Manifest]:
    over = {item[key]: item for item in patch}
    known = {item[key] for item in built}
    return [
        *(merged(item, over[item[key]]) if item[key] in over else item for item in built),
        *(merged({}, item) for item in patch if item[key] not in known),
    ]


def overlaid(template: Manifest, patch: Mapping[str, Any], *, others: Iterable[str] = ()) -> Manifest:
    """Return a pod template with a `podTemplate` over it; the same when there is none. `others`: names of containers that
    the patch may name and that are in other pods."""
    if not patch:
        return template
    wanted = _written(patch)
    spec = wanted.get("spec", {})
    if "tolerations" in spec:
        spec["tolerations"] = [*template["spec"].get("tolerations", ()), *spec["tolerations"]]
    if "nodeAffinity" in spec.get("affinity", {}):
        built = template["spec"].get("affinity", {}).get("nodeAffinity", {})
        spec["affinity"]["nodeAffinity"] = _beside(built, spec["affinity"]["nodeAffinity"])
    for constraint in spec.get("topologySpreadConstraints", ()):
        constraint["labelSelector"] = {"matchLabels": _selected(template)}
    for field in _CONTAINERS:
        if field in spec:
            own = {container["name"] for container in template["spec"].get(field, ())}
            found = [one for one in spec[field] if one["name"] in own or one["name"] not in set(others)]
            spec[field] = [one if one["name"] in own else _confined(one) for one in found]
    result: Manifest = merged(template, wanted)
    return result


def placed(template: Manifest, patch: Mapping[str, Any]) -> Manifest:
    """Return the pod template of placeholders with the part of a `podTemplate` that says where pods may run."""
    spec = {name: value for name, value in patch.get("spec", {}).items() if name in _PLACEMENT}
    return overlaid(template, {**patch, "spec": spec} if patch else {})


def _beside(built: Manifest, given: Manifest) -> Manifest:
    """Return the node affinity that asks for both: each term of the one with each of the other, and all preferences."""
    found: Manifest = {}
    preferred = [*built.get(_PREFERRED, ()), *given.get(_PREFERRED, ())]
    if preferred:
        found[_PREFERRED] = preferred
    required = [one[_REQUIRED]["nodeSelectorTerms"] for one in (built, given) if _REQUIRED in one]
    if required:
        terms = [[one["matchExpressions"] for one in terms] for terms in required]
        both = [{"matchExpressions": [e for part in parts for e in part]} for parts in itertools.product(*terms)]
        found[_REQUIRED] = {"nodeSelectorTerms": both}
    return found


def _confined(container: Manifest) -> Manifest:
    """Return an additional container as the `restricted` level wants it."""
    confined = {name: value for name, value in pod.container_security().items() if name != "readOnlyRootFilesystem"}
    return {**container, "securityContext": {**container.get("securityContext", {}), **confined}}


def _selected(template: Manifest) -> Manifest:
    labels = template["metadata"]["labels"]
    found = template["spec"].get("topologySpreadConstraints")
    # The built ones count the pods of both tiers together.
    return dict(found[0]["labelSelector"]["matchLabels"] if found else labels)


def _written(value: Any) -> Any:
    """Return a copy without `readOnly: false`, which the apiserver does not store: the operator would write it again and
    again."""
    if isinstance(value, dict):
        return {name: _written(one) for name, one in value.items() if (name, one) != ("readOnly", False)}
    if isinstance(value, list):
        return [_written(one) for one in value]
    return value
