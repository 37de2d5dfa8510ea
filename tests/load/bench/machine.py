"""What was measured on, for the saved figures."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from .proc import two_cores

PACKAGES = (
    "fastapi",
    "granian",
    "hiredis",
    "pydantic",
    "pymysql",
    "redis",
    "sqlalchemy",
    "sqlmodel",
    "starlette",
    "uvicorn",
    "uvloop",
)


def describe() -> dict[str, Any]:
    """Return cores, kernel and load."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    kibibytes = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "cores_used": len(two_cores()),
        "memory_gib": round(kibibytes / 1024**2, 1),
        "kernel": platform.release(),
        "load_before": [round(value, 2) for value in os.getloadavg()],
    }


def revision(root: Path) -> str:
    """Return the commit that is measured, with a mark when files differ from it."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=10"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.strip() or "unknown"
