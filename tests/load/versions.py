"""Two versions of the product, measured in turn: code of a commit, the order of measurements, and their ratios.

Machines drift; the ratio of what was measured side by side does not. The order changes from pair to pair (A B, B A, …),
so whatever drifts meets both alike.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bapsang_local.failure import Failure

ROOT = Path(__file__).parents[2]
#: The operator of this checkout, whatever an interpreter has: `path` of an Operator.
OPERATOR = (str(ROOT / "operator"),)


def unpacked(commit: str, part: str, folder: Path) -> tuple[str, Path]:
    """Unpack a folder of the repository as it was at a commit. Returns the commit's short name and the unpacked folder.

    Raises Failure when there is no such commit.
    """
    git = ["git", "-C", str(ROOT)]
    asked = [*git, "rev-parse", "--short=10", "--verify", "--quiet", f"{commit}^{{commit}}"]
    name = subprocess.run(asked, capture_output=True, text=True, timeout=60).stdout.strip()
    if not name:
        raise Failure(f"There is no commit {commit}.", "Name a commit, a branch or a tag of this repository.")
    packed = subprocess.run([*git, "archive", name, part], check=True, capture_output=True, timeout=60).stdout
    (folder / name).mkdir(parents=True, exist_ok=True)
    # Python 3.11 has `filter`, without which `tarfile` warns, only from 3.11.4 on; Debian's is older.
    subprocess.run(["tar", "-x", "-C", str(folder / name)], check=True, input=packed, timeout=60)
    return name, folder / name / part


def order(number: int) -> tuple[int, int]:
    """Return which version is first in a pair, 0 the old one: A B, B A, A B, …"""
    return (0, 1) if number % 2 == 0 else (1, 0)


class Pairs:
    """What was measured of two versions, pair by pair."""

    def __init__(self) -> None:
        self.both: tuple[list[Mapping[str, float]], list[Mapping[str, float]]] = ([], [])

    def add(self, number: int, run: Callable[[int], Mapping[str, float]]) -> None:
        """Measure a pair: `run` gets 0 for the old version and 1 for the new one."""
        for at in order(number):
            self.both[at].append(run(at))

    def ratio(self, key: str) -> dict[str, float] | None:
        """Return the new version's over the old one's, pair by pair: median, lowest, highest. None where nothing was used."""
        found = [new[key] / old[key] for old, new in zip(*self.both, strict=True) if old[key]]
        if not found:
            return None
        return {"median": round(median(found), 3), "low": round(min(found), 3), "high": round(max(found), 3)}

    def record(self, *counts: str) -> dict[str, Any]:
        """Return medians of both versions and the ratios; `counts` are added up and have no ratio."""
        keys = [key for key in self.both[0][0] if key not in counts]
        values = {
            name: {
                **{key: round(median(one[key] for one in found), 2) for key in keys},
                **{key: sum(one[key] for one in found) for key in counts},
            }
            for name, found in zip(("old", "new"), self.both, strict=True)
        }
        return {**values, "new_over_old": {key: self.ratio(key) for key in keys}}


def cells(ratio: Mapping[str, float] | None) -> list[str]:
    """Return median and range for a table."""
    return [f"{ratio['median']:.3f}", f"{ratio['low']:.3f}–{ratio['high']:.3f}"] if ratio else ["–", "–"]
