"""Says how long each part of the suite took, before pytest's own summary."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

_seconds: defaultdict[str, float] = defaultdict(float)
_count: defaultdict[str, int] = defaultdict(int)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name = "/".join(Path(report.location[0]).parts[1:-1])
    _seconds[name] += report.duration
    _count[name] += report.when == "call"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _seconds:
        return
    terminalreporter.section("parts")
    for name in sorted(_seconds):
        terminalreporter.write_line(f"{name:<28}{_count[name]:>6} tests{_seconds[name]:>9.1f} s")
