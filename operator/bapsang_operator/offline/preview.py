"""What becomes of a Community resource, computed without a cluster: its children, or why it is refused. Pure.

Validated as an apiserver does it: unknown fields and nulls dropped, defaults filled in, structure, bounds and CEL rules of
the CRD, and what every object's metadata must be. Nothing depends on the clock or on chance: windows of `spec.prewarm`
are taken as shut, and what only a cluster knows (uids, values of Secrets) is the same everywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bapsang_operator import build, names
from bapsang_operator.build import secret
from bapsang_operator.manifest import Manifest
from bapsang_operator.resource import SPEC, Community, Violation, core, parse, validate, with_defaults
from bapsang_operator.resource.crd import NAME

#: Stands for the uid that the apiserver will give the Community.
UID: Final = "00000000-0000-0000-0000-000000000000"
#: Stands for the value of every Secret; what is computed from one differs in a cluster.
_DIGEST: Final = "unknown"

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME_PART: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
#: Longest sum of all names and values of annotations.
_MAX_ANNOTATIONS: Final = 256 * 1024


class RefusedError(ValueError):
    """The apiserver would refuse a Community; the violations name the fields."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(map(str, violations)))
        self.violations = violations


@dataclass(frozen=True)
class Preview:
    """A Community that is accepted, the manifests of its children by kind and name, and the paths that were dropped."""

    community: Community
    children: list[Manifest]
    dropped: list[str]


def communities(document: Any) -> Iterator[Any]:
    """Yield what a document holds of Communities, the items of a List included. Other kinds are none of ours."""
    if isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from communities(item)
    elif isinstance(document, dict) and document.get("kind") == names.KIND:
        version = document.get("apiVersion")
        # A Community of somebody else's group is none; one of another version of ours is refused by its field.
        if not isinstance(version, str) or "/" not in version or version.startswith(f"{names.GROUP}/"):
            yield document


def preview(resource: dict[str, Any]) -> Preview:
    """Return what would be applied for a new Community once no step of its rollout is waited for. Raises RefusedError."""
    dropped: list[str] = []
    found = admitted(resource, dropped)
    community = parse(found)
    children = [child.manifest for child in build.children(community, _AllSecrets(), has_keda=True, has_routes=True)]
    children += [
        secret.manifest(community, name, dict.fromkeys(keys, "")) for name, keys in secret.keys(community).items()
    ]
    children.sort(key=lambda manifest: (manifest["kind"], manifest["metadata"]["name"]))
    return Preview(community, children, dropped)


def admitted(resource: dict[str, Any], dropped: list[str]) -> Manifest:
    """Return a new Community as the apiserver would hand it out. Raises RefusedError; adds to `dropped`."""
    violations = []
    if resource.get("apiVersion") != names.API_VERSION:
        violations.append(Violation("apiVersion", f"must be {names.API_VERSION}"))
    metadata = resource.get("metadata")
    metadata = {} if metadata is None else metadata
    violations += _of_metadata(metadata)
    if resource.get("spec") is None:
        violations.append(Violation("spec", "is required"))
        raise RefusedError(violations)
    wanted = core.pruned(SPEC, resource["spec"], "spec", dropped)
    violations += validate(wanted)
    if violations:
        raise RefusedError(violations)
    identity = {
        "name": metadata["name"],
        "namespace": metadata.get("namespace") or "default",
        "annotations": metadata.get("annotations") or {},
        "uid": UID,
        "generation": 1,
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": identity,
        "spec": with_defaults(wanted),
    }


class _AllSecrets(dict[tuple[str, str], str]):
    """Every Secret is there."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: tuple[str, str]) -> str:
        return _DIGEST

    def get(self, key: Any, default: Any = None) -> Any:
        del default
        return self[key]


def _of_metadata(metadata: Any) -> Iterator[Violation]:
    """Yield what the apiserver refuses in the metadata of any object, or the CRD in a Community's name."""
    if not isinstance(metadata, dict):
        yield Violation("metadata", "must be of type object")
        return
    if metadata.get("name") in (None, ""):
        yield Violation("metadata.name", "is required")
    else:
        yield from core.validate(NAME, metadata["name"], "metadata.name")
    namespace = metadata.get("namespace")
    if namespace is not None and not isinstance(namespace, str):
        yield Violation("metadata.namespace", "must be of type string")
    elif namespace and not (len(namespace) <= 63 and _LABEL.fullmatch(namespace)):
        yield Violation("metadata.namespace", "must be at most 63 lower case letters, digits and -")
    for part in ("labels", "annotations"):
        yield from _of_map(part, metadata.get(part))


def _of_map(part: str, found: Any) -> Iterator[Violation]:
    where = f"metadata.{part}"
    if found is None:
        return
    if not isinstance(found, dict) or not all(isinstance(value, str | None) for value in found.values()):
        yield Violation(where, "must be a map from strings to strings")
        return
    for name, value in found.items():
        if not _is_qualified(name.lower() if part == "annotations" else name):
            yield Violation(where, f"{json.dumps(name[:80])} must be a name such as example.com/name")
        if part == "labels" and value and not (len(value) <= 63 and _NAME_PART.fullmatch(value)):
            yield Violation(where, f"the value of {name[:80]} must be at most 63 letters, digits, -, _ and .")
    size = sum(len(name.encode()) + len((value or "").encode()) for name, value in found.items())
    if part == "annotations" and size > _MAX_ANNOTATIONS:
        yield Violation(where, f"must have at most {_MAX_ANNOTATIONS} bytes")


def _is_qualified(name: str) -> bool:
    prefix, slash, last = name.rpartition("/")
    if slash and not (len(prefix) <= 253 and all(_LABEL.fullmatch(part) for part in prefix.split("."))):
        return False
    return len(last) <= 63 and _NAME_PART.fullmatch(last) is not None
