"""The parts of the nightly tier (nightly.toml), and which of their saved results (docs/nightly) are stale.

Standard library only: `.ci/nightly` runs before anything is installed.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests" / "nightly.toml"
RESULTS = ROOT / "docs" / "nightly"


@dataclass(frozen=True)
class Part:
    """One table of nightly.toml, where each field is explained."""

    name: str
    about: str
    needs: str
    run: str
    covers: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def files(self, names: list[str]) -> list[str]:
        """Return those of the names that the part covers."""
        return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.covers)]

    def result(self) -> dict[str, Any] | None:
        """Return what the last run saved."""
        path = RESULTS / f"{self.name}.json"
        return json.loads(path.read_text()) if path.exists() else None


def parts() -> dict[str, Part]:
    """Return the parts by name, in the table's order."""
    table = tomllib.loads(TABLE.read_text())
    return {name: Part(name=name, **{**row, "covers": tuple(row["covers"])}) for name, row in table.items()}


def names_of_files() -> list[str]:
    """Return the paths of all files that git tracks or would track. Raises CalledProcessError outside a checkout."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def digest(part: Part, names: list[str]) -> str:
    """Return the digest of how a part is run and of all files that it covers, as they are now."""
    found = hashlib.sha256(f"{part.run} {part.environment}".encode())
    for name in part.files(names):
        found.update(f"\0{name}\0".encode() + hashlib.sha256((ROOT / name).read_bytes()).digest())
    return found.hexdigest()[:16]


def states() -> dict[str, str]:
    """Return for each part `passed`, `failed`, `stale` (its paths have changed since) or `never run`."""
    names = names_of_files()
    found = {}
    for name, part in parts().items():
        result = part.result()
        if result is None:
            found[name] = "never run"
        elif result["digest"] != digest(part, names):
            found[name] = "stale"
        else:
            found[name] = "failed" if result["failed"] else "passed"
    return found


def warning() -> str:
    """Return one line that names the parts without a current pass; empty when all have one."""
    try:
        due = [name for name, state in states().items() if state != "passed"]
    except (OSError, subprocess.SubprocessError) as error:
        return f"nightly: no state without git: {error}"
    return f"nightly parts without a current pass (.ci/nightly PART): {', '.join(due)}" if due else ""
