"""What the Makefile gives to pytest, and what it refuses."""

from __future__ import annotations

import re
import subprocess

import pytest

from bapsang_local.settings import ROOT

TEXT = (ROOT / "Makefile").read_text()
TESTING = re.findall(r"^([a-z0-9-]+):.*## .*\n(?:\t.*\n)*?\t.*\$\(PYTEST\)", TEXT, re.MULTILINE)


def _make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("target", TESTING)
def test_arguments_reach_pytest(target: str) -> None:
    said = _make("-n", target, "ARGS=-k drift").stdout
    assert [line for line in said.splitlines() if "pytest" in line and line.endswith(" -k drift")]


def test_the_targets_above_are_those_that_test() -> None:
    assert {*TESTING, "test"} >= set(re.findall(r"^(test-(?!tools)[a-z0-9-]+):", TEXT, re.MULTILINE))


def test_the_version_before_is_asked_for_before_anything_is_installed() -> None:
    refused = _make("-n", "bench-upgrade")
    assert refused.returncode == 2
    assert "PREVIOUS is not set: give the tag or commit" in refused.stderr
    assert refused.stdout.count("venv") == 0
    assert "--previous v0.0.1" in _make("-n", "bench-upgrade", "PREVIOUS=v0.0.1").stdout
