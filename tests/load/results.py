"""What measurements share: quantiles, a process's memory and CPU, and the file that a result is saved in."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def quantiles(values: list[float]) -> dict[str, float]:
    """Return number, median, 99th percentile and largest of some seconds."""
    ordered = sorted(values)
    found = {"p50": statistics.median(ordered), "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]}
    return {"n": len(ordered), **{name: round(value, 3) for name, value in found.items()}, "max": round(ordered[-1], 3)}


class Usage:
    """CPU of a process since this was made, and its memory."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._begun, self._spent = time.monotonic(), self._cpu()

    def seconds(self) -> float:
        """Return the CPU seconds since this was made."""
        return self._cpu() - self._spent

    def mcore(self) -> float:
        """Return thousandths of a core, over the time since this was made."""
        return round(1000 * (self._cpu() - self._spent) / (time.monotonic() - self._begun), 2)

    def memory(self) -> float:
        """Return the resident MiB."""
        return self._status("VmRSS")

    def peak(self) -> float:
        """Return the most resident MiB that there ever were."""
        return self._status("VmHWM")

    def _cpu(self) -> float:
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, name: str) -> float:
        lines = (self._folder / "status").read_text().splitlines()
        return round(int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024, 1)


def save(path: Path, found: dict[str, Any]) -> None:
    """Write a result with its time and machine, and print it."""
    machine = {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "python": platform.python_version()}
    result = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, **found}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    for name, value in result.items():
        sys.stdout.write(f"{name:12} {json.dumps(value, ensure_ascii=False)}\n")
