"""Where the browser of the end-to-end tests comes from, on machines that have none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bapsang_local import browser, shell
from bapsang_local.failure import Failure
from bapsang_local.from_packages import debian
from bapsang_local.settings import Settings


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, empty, on a Debian where root asks."""
    folder = tmp_path / "bin"
    folder.mkdir()
    release = tmp_path / "os-release"
    release.write_text("ID=debian\n")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian, "_RELEASE", release)
    return folder


def program(path: Path, text: str = "") -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def ensure(programs: Path) -> Path:
    return browser.ensure(Settings(home=programs.parent, context=None, ingress_port=8880, images="auto"))


@pytest.mark.parametrize("name", browser.NAMES)
def test_a_chromium_of_the_machines_own_is_used(programs: Path, name: str) -> None:
    own = program(programs / name)
    assert ensure(programs) == own


def test_without_one_root_gets_the_distributions(programs: Path) -> None:
    asked, made = programs.parent / "asked", programs / "chromium"
    program(
        programs / "apt-get", f'echo "$@" >> {asked}; [ "$1" = update ] || {{ echo > {made}; /bin/chmod +x {made}; }}'
    )
    assert ensure(programs) == made
    assert asked.read_text() == "update\ninstall -y --no-install-recommends chromium\n"


def test_a_package_without_the_program_is_no_success(programs: Path) -> None:
    program(programs / "apt-get")
    with pytest.raises(Failure, match="no program") as refused:
        ensure(programs)
    assert "google-chrome" in refused.value.advice


def test_only_root_on_debian_or_ubuntu_can_install_one(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("nothing may be run")

    monkeypatch.setattr(shell, "logged", never)
    (programs.parent / "os-release").write_text("ID=arch\n")
    with pytest.raises(Failure, match="neither Debian nor Ubuntu") as refused:
        ensure(programs)
    assert "chromium" in refused.value.advice
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Failure, match="only root") as refused:
        ensure(programs)
    assert "sudo make browser" in refused.value.advice
