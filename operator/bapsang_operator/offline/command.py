"""The command `plan`: reads files of manifests and prints what becomes of each Community in them, as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from bapsang_operator.offline import documents
from bapsang_operator.offline.preview import RefusedError, communities, preview
from bapsang_operator.problems import failures
from bapsang_operator.resource import Violation

#: A file name that stands for standard input.
STDIN: Final = "-"


def plan(files: Iterable[str]) -> int:
    """Print the plan of every Community in `files` to standard output.

    Returns 0 when all are planned, 1 when one is refused, 2 when a file cannot be read or none holds a Community; what
    is wrong with a file goes to standard error.
    """
    found: list[dict[str, Any]] = []
    unread = False
    for name in files:
        try:
            content = _read(name)
            found += [{"file": _shown(name), **one} for one in plans(content)]
        except (OSError, ValueError) as error:
            unread = True
            _tell(f"{_shown(name)}: {error.strerror if isinstance(error, OSError) and error.strerror else error}")
    if not found and not unread:
        unread = True
        _tell("no Community in any file")
    found.sort(key=lambda one: (one["community"], one["file"], one["document"]))
    _write(sys.stdout.buffer, json.dumps({"communities": found}, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    if unread:
        return 2
    return 1 if any("refused" in one for one in found) else 0


def plans(content: bytes) -> Iterator[dict[str, Any]]:
    """Yield what becomes of each Community in a file, in its order. Raises documents.UnreadableError."""
    for number, document in enumerate(documents.read(content), 1):
        if not isinstance(document, dict):
            raise documents.UnreadableError(f"document {number} is no object")
        for resource in communities(document):
            yield {"document": number, "community": _identity(resource), **_outcome(resource)}


def _outcome(resource: dict[str, Any]) -> dict[str, Any]:
    try:
        found = preview(resource)
    except RefusedError as error:
        return _refused(error.violations)
    except Exception as error:
        # A bug of ours. People who compare files of many Communities still get the others.
        return _refused([Violation("spec", failures.of_exception(error).message)])
    return {"children": found.children, "dropped": sorted(found.dropped), "paused": found.community.paused}


def _refused(violations: list[Violation]) -> dict[str, Any]:
    return {"refused": [{"field": one.field, "message": str(one)} for one in violations]}


def _identity(resource: dict[str, Any]) -> str:
    metadata = resource.get("metadata")
    found = metadata if isinstance(metadata, dict) else {}
    return f"{found.get('namespace') or 'default'}/{found.get('name') or ''}"


def _read(name: str) -> bytes:
    if name == STDIN:
        return sys.stdin.buffer.read(documents.MAX_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(documents.MAX_BYTES + 1)


def _shown(name: str) -> str:
    """Return the name of a file as UTF-8 has it, whatever the locale."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _tell(text: str) -> None:
    _write(sys.stderr.buffer, f"bapsang-operator: {text}\n")


def _write(stream: BinaryIO, text: str) -> None:
    # Bytes, so that they do not depend on the locale.
    stream.write(text.encode(errors="backslashreplace"))
    stream.flush()
