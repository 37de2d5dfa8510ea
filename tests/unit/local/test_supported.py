"""What is not supported is refused at once, by name and with the reason, before anything is installed or started."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bapsang_local
from bapsang_local import engine
from bapsang_local.failure import Failure
from bapsang_local.settings import ROOT, from_environment

FIRST = Path(str(bapsang_local.__file__))


def run(setting: str) -> subprocess.CompletedProcess[str]:
    """Run `bapsang_local up` on a machine that this setting makes another one."""
    program = f"import sys; {setting}; import bapsang_local"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "manifests/local")},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("sys.version_info = (3, 10, 13)", "✗ Python 3.10 is too old."),
        ("sys.version_info = (3, 6, 15)", "✗ Python 3.6 is too old."),
        ("sys.platform = 'darwin'", "✗ darwin is not supported"),
    ],
)
def test_a_machine_that_cannot_do_is_refused_before_anything_is_imported(setting: str, told: str) -> None:
    ended = run(setting)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "→" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_old_interpreters_can_read_what_refuses_them() -> None:
    ast.parse(FIRST.read_text(), feature_version=(3, 6))
    recipe = (ROOT / "Makefile").read_text().partition("$(VENV)/ready: ")[2].splitlines()[1]
    assert "import bapsang_local" in recipe, "before the environment is made"


@pytest.mark.parametrize(
    "words",
    [
        "Client:       Podman Engine\nVersion:      4.3.1\nAPI Version:  4.3.1",  # its client
        "Client:\n Version: 20.10.24\n\nServer: linux/amd64/debian-12\n Podman Engine:\n  Version: 4.3.1",  # its socket
    ],
)
def test_podman_is_refused_by_name(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tmp_path / "docker"
    client.write_text(f"#!/bin/sh\ncat <<'.'\n{words}\n.\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Failure, match="podman"):
        engine.ensure(from_environment({"BAPSANG_HOME": str(tmp_path)}))
