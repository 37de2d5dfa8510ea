"""What is not supported is refused at once, by name and with the reason, before anything is installed or started."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bapsang_local
from bapsang_local import engine, preflight
from bapsang_local.docker import Engine
from bapsang_local.failure import Failure
from bapsang_local.from_packages import own_engine
from bapsang_local.settings import ROOT, from_environment

from .conftest import Client

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


SUPPORTED = {
    "DockerRootDir": "/var/lib/docker",
    "OperatingSystem": "Ubuntu 24.04",
    "SecurityOptions": ["name=seccomp,profile=builtin"],
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "ServerVersion": "27.5.1",
}
CONTAINERD = [["driver-type", "io.containerd.snapshotter.v1"]]


def engine_with(docker: Client, facts: dict[str, Any]) -> None:
    docker.answers({"info": (0, json.dumps({**SUPPORTED, **facts}))})


@pytest.mark.parametrize("facts", [{}, {"DriverStatus": CONTAINERD, "ServerVersion": "28.0.0"}])
def test_a_docker_engine_of_this_machine_is_used(docker: Client, tmp_path: Path, facts: dict[str, Any]) -> None:
    engine_with(docker, facts)
    assert not engine.ensure(from_environment({"BAPSANG_HOME": str(tmp_path)})).ours


@pytest.mark.parametrize(
    ("facts", "address", "told"),
    [
        ({"DockerRootDir": "/var/snap/docker/common/var-lib-docker"}, "", "from snap"),
        ({"OperatingSystem": "Docker Desktop"}, "", "Docker Desktop"),
        ({"SecurityOptions": ["name=seccomp", "name=rootless"]}, "", "rootless"),
        ({"DriverStatus": CONTAINERD}, "", "containerd image store"),
        ({}, "ssh://build@example.com", "another machine"),
        ({}, "tcp://192.0.2.1:2376", "another machine"),
    ],
)
def test_any_other_engine_is_refused_by_name_with_the_reason(
    docker: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], address: str, told: str
) -> None:
    engine_with(docker, facts)
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(Failure, match="Not supported") as refused:
        engine.ensure(from_environment({"BAPSANG_HOME": str(tmp_path)}))
    assert told in refused.value.problem
    assert "because" in refused.value.problem
    assert "Docker Engine" in refused.value.advice
    assert len(docker.asked()) <= 3, "before anything else is asked"


def test_the_engine_that_docker_host_names_is_used_and_no_other(
    docker: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_with(docker, {})
    monkeypatch.setattr(own_engine, "find", lambda: pytest.fail("asked for ours"))
    monkeypatch.setattr(own_engine, "clear", lambda _: pytest.fail("ours was cleared away"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/other.sock")
    assert engine.find() == Engine(None, ours=False)
    engine.clear(from_environment({"BAPSANG_HOME": str(tmp_path)}))


def test_too_few_watchers_for_three_nodes_are_told_with_the_sysctl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "max_user_instances"
    monkeypatch.setattr(preflight, "INOTIFY", limit)
    settings = from_environment({"BAPSANG_HOME": str(tmp_path)})
    limit.write_text("64\n")
    with pytest.raises(Failure, match="too many open files") as refused:
        preflight.check_machine(settings)
    assert "sysctl fs.inotify.max_user_instances=512" in refused.value.advice
    limit.write_text("128\n")
    preflight.check_machine(settings)
    assert "from 128" in preflight.inotify_hint()
    limit.write_text("512\n")
    assert not preflight.inotify_hint()
