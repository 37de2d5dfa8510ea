"""Which workloads an upgrade to this version restarts, as CHANGELOG.md tells users."""

from __future__ import annotations

import re
from pathlib import Path

CHANGELOG = Path(__file__).parents[3] / "CHANGELOG.md"
_LINE = re.compile(r"^Restarts on upgrade: (.+)\.$", re.MULTILINE)


def restarts() -> set[str]:
    """Return workloads such as `StatefulSet redis`, from the line of the newest version."""
    newest = CHANGELOG.read_text().split("\n## ")[1]
    (named,) = _LINE.findall(newest)
    return set() if named == "none" else set(named.split(", "))
