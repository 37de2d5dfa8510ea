"""What was applied last, recorded on the object itself, so that the next leader can put back what is edited by hand while
a change waits. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Final

from bapsang_operator import names
from bapsang_operator.manifest import Manifest

#: Kinds that wait for a gate or a secret and may be changed; whatever else is applied is as wanted now.
_KINDS: Final = frozenset({"CronJob", "Deployment", "StatefulSet"})
#: All annotations of an object may have 256 KiB. A manifest that takes more than a quarter of it is not recorded.
_LONGEST: Final = 65_536
#: Bytes that a record may have unpacked: whoever may edit the object may write the annotation.
_LARGEST: Final = 1_048_576


def encode(manifest: Manifest) -> str | None:
    """Return the annotation that records a manifest; None where none is kept."""
    if manifest["kind"] not in _KINDS:
        return None
    packed = zlib.compress(json.dumps(manifest, separators=(",", ":")).encode(), 9)
    text = base64.b64encode(packed).decode()
    return text if len(text) <= _LONGEST else None


def decode(live: Manifest, wanted: Manifest) -> Manifest | None:
    """Return the manifest that is recorded on a live object; None where none is, or one of another object or of another
    owner than `wanted` has. Whether it is the one that was applied last, only its hash can tell."""
    text = live["metadata"].get("annotations", {}).get(names.ANNOTATION_RECORD)
    if not isinstance(text, str):
        return None
    try:
        unpacked = zlib.decompressobj().decompress(base64.b64decode(text), _LARGEST)
        found = json.loads(unpacked)
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        return None
    return found if _identity(found) == _identity(wanted) else None


def _identity(manifest: object) -> list[object] | None:
    if not isinstance(manifest, dict) or not isinstance(manifest.get("metadata"), dict):
        return None
    metadata = manifest["metadata"]
    parts = (metadata.get(name) for name in ("name", "namespace", "ownerReferences"))
    return [manifest.get("apiVersion"), manifest.get("kind"), *parts, isinstance(manifest.get("spec"), dict)]
