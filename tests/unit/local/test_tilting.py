"""What `make tilt` gives to Tilt, which is the developer's own program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bapsang_local import programs, tilting
from bapsang_local.engine import Engine
from bapsang_local.failure import Failure
from bapsang_local.settings import ROOT, Settings


def test_tilt_finds_our_programs_by_their_usual_names_and_our_engine(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, context=None, ingress_port=8880, images="auto")
    settings.bin.mkdir()
    for name, path in [
        *((name, programs.path(name, settings)) for name in ("helm", "kind")),
        ("kubectl", settings.bin / "kubectl"),
    ]:
        path.write_text(f"#!/bin/sh\necho {name} of ours\n")
        path.chmod(0o755)
    for _ in range(2):  # a second time the names are there
        found = tilting.environment(Engine("unix:///run/x.sock", ours=True), settings, {"PATH": "/usr/bin:/bin"})
    for name in ("helm", "kind", "kubectl"):
        said = subprocess.run(["/usr/bin/env", name], env=found, capture_output=True, text=True, timeout=60)
        assert said.stdout == f"{name} of ours\n"
    assert (found["DOCKER_HOST"], found["KUBECONFIG"]) == ("unix:///run/x.sock", str(settings.kubeconfig))


def test_tilt_that_is_missing_is_told_before_any_cluster_is_made(
    program: Callable[[str, str], Path], tmp_path: Path
) -> None:
    with pytest.raises(Failure, match="tilt is not on the PATH"):
        tilting.program()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "manifests/local"), "BAPSANG_HOME": str(tmp_path / "home")}
    ended = subprocess.run(
        [sys.executable, "-m", "bapsang_local", "tilt"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert "docs.tilt.dev/install" in ended.stderr
    assert not (tmp_path / "home").exists()
    assert program("tilt", "exit 0") == tilting.program()
