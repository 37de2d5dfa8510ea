"""Manifests of Kubernetes objects: their type, their identity, their hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

Manifest = dict[str, Any]


class Key(NamedTuple):
    """Identity of one live object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def key_of(manifest: Manifest) -> Key:
    """Return the identity of a manifest or a live object."""
    metadata = manifest["metadata"]
    return Key(manifest["kind"], metadata["namespace"], metadata["name"])


def digest(manifest: Any) -> str:
    """Return the hash that identifies a manifest or a value; independent of the order of keys."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
