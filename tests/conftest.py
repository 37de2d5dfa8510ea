"""Says how long each part of the suite took, before pytest's own summary; and no test fails for being slow."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no failure; hypothesis would otherwise give each example 0.2 s.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

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
