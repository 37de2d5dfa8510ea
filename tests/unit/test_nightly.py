"""The nightly tier: which tests run when, and when a saved result no longer counts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests import nightly_parts, nightly_run
from tests.nightly_parts import ROOT, Part

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
    """A suite of three tests with the hooks of this one and nothing else: plugins take longer to load than it does."""
    (tmp_path / "tests").mkdir()
    for name in ("nightly_marker.py", "nightly_parts.py", "nightly.toml"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests" / name)
    (tmp_path / "tests/conftest.py").write_text("from tests.nightly_marker import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = nightly(part): a\naddopts = --strict-markers\n")
    (tmp_path / "tests/test_marked.py").write_text(MARKED)
    return tmp_path


def pytest_in(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options]
    bare = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, timeout=240)


def test_a_marked_test_runs_in_its_part_and_nowhere_else(suite: Path) -> None:
    for options, ran in (((), "test_of_every_run"), (("--nightly", "api"), "test_of_one_part")):
        ended = pytest_in(suite, *options)
        assert "1 passed, 2 deselected" in ended.stdout.splitlines()[-1], ended.stdout + ended.stderr
        assert f"{ran} PASSED" in ended.stdout


def test_this_suite_has_the_option_and_the_marker(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("--nightly") in {None, *nightly_parts.parts()}
    assert any(line.startswith("nightly(part):") for line in pytestconfig.getini("markers"))
    hooks = pytestconfig.hook.pytest_collection_modifyitems.get_hookimpls()
    assert "nightly_marker" in {hook.function.__module__.rpartition(".")[2] for hook in hooks}


def test_a_part_that_does_not_exist_is_refused(suite: Path) -> None:
    marked = suite / "tests/test_marked.py"
    marked.write_text(marked.read_text().replace('"api"', '"weekly"'))
    ended = pytest_in(suite)
    assert ended.returncode != 0
    assert "test_of_one_part: nightly('weekly',) names no part" in ended.stdout + ended.stderr


TWO_PARTS = """
[first]
about = "a"
needs = "nothing"
run = "pytest --nightly first"
covers = ["product/*", "notes.txt"]

[second]
about = "b"
needs = "nothing"
run = "pytest --nightly second"
covers = ["other/*"]
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own with two parts and nothing to prepare."""
    root = tmp_path / "checkout"
    for name in ("product/deep/code.py", "other/code.py", "elsewhere.py", "notes.txt", "table.toml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(TWO_PARTS if name == "table.toml" else "1\n")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "first")):
        subprocess.run(["git", "-C", root, *words], check=True, timeout=60)
    for module in (nightly_parts, nightly_run):
        monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(nightly_parts, "TABLE", root / "table.toml")
    monkeypatch.setattr(nightly_parts, "RESULTS", root / "docs/nightly")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading them takes longer than these tests
    monkeypatch.setitem(nightly_run._PREPARE, "nothing", ("true",))
    return root


def run(part: Part, seconds: float = 60) -> dict[str, object]:
    passed = nightly_run.run(part, place="1 of 1", seconds=seconds)
    result: dict[str, object] = json.loads((nightly_parts.RESULTS / f"{part.name}.json").read_text())
    assert passed is not bool(result["failed"])
    return result


def part(name: str, command: str) -> Part:
    return Part(name, "about", "nothing", command, nightly_parts.parts()[name].covers)


def save(name: str, failed: int = 0) -> None:
    """Save a result of the part for the paths as they are."""
    nightly_parts.RESULTS.mkdir(parents=True, exist_ok=True)
    found = nightly_parts.digest(nightly_parts.parts()[name], nightly_parts.names_of_files())
    (nightly_parts.RESULTS / f"{name}.json").write_text(
        json.dumps({"digest": found, "failed": failed, "date": "2026-01-01", "seconds": 1})
    )


@pytest.mark.parametrize("changed", ["product/deep/code.py", "notes.txt", "product/new.py"])
def test_a_change_on_the_paths_of_a_part_makes_its_result_stale(checkout: Path, changed: str) -> None:
    assert nightly_parts.states() == {"first": "never run", "second": "never run"}
    save("first")
    save("second")
    assert nightly_parts.states() == {"first": "passed", "second": "passed"}
    assert (nightly_parts.warning(), nightly_run.main(["--stale"])) == ("", 0)
    (checkout / "elsewhere.py").write_text("2\n")
    assert nightly_parts.states()["first"] == "passed", "covered by no part"
    (checkout / changed).write_text("2\n")
    assert nightly_parts.states() == {"first": "stale", "second": "passed"}
    assert nightly_parts.warning().endswith(": first")
    assert nightly_run.main(["--stale"]) == 1


def test_a_file_that_is_gone_or_another_command_makes_a_result_stale(checkout: Path) -> None:
    for change in (
        (checkout / "notes.txt").unlink,
        lambda: _replace(checkout / "table.toml", "y first", "y 1"),
    ):
        save("first")
        change()
        assert nightly_parts.states()["first"] == "stale"


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def test_all_runs_what_has_no_current_pass(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(part: Part, *, place: str) -> bool:
        ran.append(part.name)
        return part.name == "first"

    monkeypatch.setattr(nightly_run, "run", run)
    save("first")
    save("second", failed=1)
    assert nightly_run.main(["all"]) == 1
    assert ran == ["second"]
    assert nightly_run.main(["all", "--again"]) == 1
    assert ran == ["second", "first", "second"]
    assert nightly_run.main(["first"]) == 0


def test_a_result_counts_the_tests_and_names_commit_and_digest(checkout: Path) -> None:
    (checkout / "test_three.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert False\ndef test_c(): pytest.skip('no')\n"
    )
    found = run(part("first", "pytest -c /dev/null -p no:cacheprovider test_three.py"))
    assert [found[key] for key in ("passed", "failed", "skipped")] == [1, 1, 1]
    assert str(found["commit"]).endswith("-dirty")
    assert nightly_parts.states()["first"] == "stale", "another command than the table's"


def test_a_part_that_hangs_dies_or_has_no_tests_fails(checkout: Path) -> None:
    hung = run(part("first", "python -c 'import threading; threading.Event().wait()'"), seconds=1)
    assert hung["problem"] == "took longer than 1 s"
    assert "ended with 3" in str(run(part("first", "python -c 'raise SystemExit(3)'"))["problem"])
    assert "ended with 5" in str(run(part("first", "pytest -c /dev/null -p no:cacheprovider product"))["problem"])
    assert run(part("first", "python -c 'pass'"))["failed"] == 0


def test_every_path_that_a_part_covers_exists() -> None:
    names = nightly_parts.names_of_files()
    for part in nightly_parts.parts().values():
        for pattern in part.covers:
            assert Part(part.name, "", "", "", (pattern,)).files(names), f"{part.name}: {pattern}"
        assert part.needs in nightly_run._PREPARE


def test_every_marked_test_is_in_a_folder_that_its_part_runs() -> None:
    marked = 0
    for name in nightly_parts.names_of_files():
        if not name.startswith("tests/") or not name.endswith(".py") or name == "tests/unit/test_nightly.py":
            continue
        for part in re.findall(r"mark\.nightly\(\"([\w-]+)\"\)", (ROOT / name).read_text()):
            folders = [word for word in nightly_parts.parts()[part].run.split() if word.startswith("tests/")]
            assert not folders or any(name.startswith(f"{folder}/") for folder in folders), (
                f"{name} is not run by {part}"
            )
            marked += 1
    assert marked
