"""A hang costs minutes and names its test, instead of all the time that CI has."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
#: What waits for a child process without an end of its own, unless it gets `timeout`.
RUNS = {"run", "call", "check_call", "check_output"}
WAITS = {*RUNS, "communicate", "wait"}
HANGING = """
import subprocess, threading

def test_that_waits_for_a_child(): subprocess.run(["sleep", "60"])
def test_that_waits_for_a_lock(): threading.Event().wait()
def test_after_them(record_property): record_property("seconds", "1.2 s")
"""


def unbounded(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of calls that wait for a child process for ever."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, named = node.func.attr, {word.arg for word in node.keywords}
        if name not in WAITS or "timeout" in named:
            continue
        owner = ast.unparse(node.func.value)
        is_process = owner.rpartition(".")[2] in {"process", "child", "job", "proc", "popen"}
        waits = (owner == "subprocess" and name in RUNS) or name == "communicate" or (name == "wait" and is_process)
        if waits and not (name == "wait" and node.args):
            yield node.lineno


def test_every_wait_for_a_child_process_ends() -> None:
    sources = sorted((ROOT / "tests").rglob("*.py"))
    found = [f"{path.relative_to(ROOT)}:{line}" for path in sources for line in unbounded(ast.parse(path.read_text()))]
    assert found == []
    assert list(unbounded(ast.parse("subprocess.run(['x'])\nchild.wait()\nchild.communicate()\nchild.wait(5)"))) == [
        1,
        2,
        3,
    ]


def test_a_hang_fails_by_name_and_the_others_go_on(tmp_path: Path) -> None:
    """With the project's own configuration, but for the seconds."""
    (tmp_path / "test_hanging.py").write_text(HANGING)
    report = tmp_path / "junit.xml"
    options = ["-c", ROOT / "pyproject.toml", "-o", "timeout=1", "-p", "no:cacheprovider", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", tmp_path, tmp_path]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert "2 failed, 1 passed" in ended.stdout.splitlines()[-1], ended.stdout + ended.stderr
    assert "slowest 40 durations" in ended.stdout
    cases = ElementTree.parse(report).getroot().iter("testcase")  # noqa: S314 - our own
    failed = {str(case.get("name")) for case in cases if case.find("failure") is not None}
    assert failed == {"test_that_waits_for_a_child", "test_that_waits_for_a_lock"}
    assert 'value="1.2 s"' in report.read_text(), "what tests measure is in the report"


def test_no_test_is_without_a_limit() -> None:
    """The limits by which CI's time is kept: those of faults and e2e are set in their conftest.py."""
    assert "\ntimeout = 300\n" in (ROOT / "pyproject.toml").read_text()
    for part in ("faults", "e2e"):
        assert "pytest.mark.timeout(600)" in (ROOT / f"tests/{part}/conftest.py").read_text()
