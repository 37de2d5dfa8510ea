"""What processes use, out of /proc: CPU time, memory, and what the rest of the machine does meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
CORES = 2  # everything runs on so many: what a small node has


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far, user and system, with that of children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def memory(pid: int) -> dict[str, float]:
    """Return resident memory in MiB, now and at its highest."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = {
        name: int(value.split()[0]) / 1024
        for name, _, value in (line.partition(":") for line in lines)
        if "kB" in value
    }
    return {"rss_mib": round(sizes["VmRSS"], 1), "peak_mib": round(sizes["VmHWM"], 1)}


def busy_seconds() -> float:
    """Return the CPU time of everything on the machine so far."""
    numbers = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    return (sum(numbers) - numbers[3] - numbers[4]) / TICK  # without idle and waiting for disks


def two_cores() -> set[int]:
    """Return the cores that everything is kept on."""
    return set(sorted(os.sched_getaffinity(0))[:CORES])


@dataclass
class Usage:
    """CPU seconds of named groups of processes between two moments."""

    seconds: dict[str, float]
    others: float  # of everything else on the machine

    def micros(self, requests: int) -> dict[str, float]:
        return {name: 1e6 * used / max(1, requests) for name, used in self.seconds.items()}

    def shares(self, wall: float) -> dict[str, float]:
        """Return the cores that each group kept busy."""
        return {name: round(used / wall, 3) for name, used in {**self.seconds, "others": self.others}.items()}


class Meter:
    """Measures groups of processes from now on."""

    def __init__(self, groups: Mapping[str, list[int]]) -> None:
        self._groups = groups
        self._before = self._read()
        self._busy = busy_seconds()

    def _read(self) -> dict[str, float]:
        return {name: sum(map(cpu_seconds, pids)) for name, pids in self._groups.items()}

    def read(self, generator_us: float = 0.0) -> Usage:
        """Return what was used since the start; the generator has ended by then and says itself what it used."""
        after = self._read()
        used = {name: after[name] - self._before[name] for name in after}
        used["generator"] = generator_us / 1e6
        return Usage(used, max(0.0, busy_seconds() - self._busy - sum(used.values())))


@dataclass
class Watch:
    """Notes every half second how much memory each process has."""

    pids: Mapping[str, int]
    highest: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> Watch:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            for name, pid in self.pids.items():
                rss = memory(pid)["rss_mib"]
                self.highest[name] = max(rss, self.highest.get(name, 0.0))
            if self._stop.wait(0.5):
                return
