"""The nightly tier: which tests run when, and when a saved result no longer counts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.nightly_parts import ROOT

MARKED = """
import pytest

def test_of_every_run(): pass

@pytest.mark.nightly("api")
def test_of_one_part(): pass

@pytest.mark.nightly("operator")
def test_of_another_part(): pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of three tests under this project's own configuration."""
    for name in ("pyproject.toml", "tests/conftest.py", "tests/nightly_parts.py", "tests/nightly.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests/test_marked.py").write_text(MARKED)
    return tmp_path


def pytest_in(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_a_marked_test_runs_in_its_part_and_nowhere_else(suite: Path) -> None:
    for options, ran in (((), "test_of_every_run"), (("--nightly", "api"), "test_of_one_part")):
        ended = pytest_in(suite, *options)
        assert "1 passed, 2 deselected" in ended.stdout.splitlines()[-1], ended.stdout + ended.stderr
        assert f"{ran} PASSED" in ended.stdout


def test_a_part_that_does_not_exist_is_refused(suite: Path) -> None:
    marked = suite / "tests/test_marked.py"
    marked.write_text(marked.read_text().replace('"api"', '"weekly"'))
    ended = pytest_in(suite)
    assert ended.returncode != 0
    assert "test_of_one_part: nightly('weekly',) names no part" in ended.stdout + ended.stderr
