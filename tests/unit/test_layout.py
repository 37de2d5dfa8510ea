"""What the repository holds at its top."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = {".ci", "api", "charts", "docs", "manifests", "operator", "tests"}
FILES = {
    *(".dockerignore", ".editorconfig", ".gitattributes", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
    *("Makefile", "README.md", "SECURITY.md", "Tiltfile", "pyproject.toml"),
}


def test_nothing_else_is_tracked_at_the_top() -> None:
    """A program that is run by hand leaves a cache in the working folder, which is then committed with the rest."""
    command = ["git", "ls-files"]
    tracked = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    assert {line.partition("/")[0] for line in tracked.splitlines()} <= FOLDERS | FILES
