"""A program whose page cannot be built is built without it, and Node.js that is too old is not used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bapsang_local import web_page
from bapsang_local.settings import Settings, from_environment

Writer = Callable[[str, str], Path]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return from_environment({"BAPSANG_HOME": str(tmp_path / "home")})


def test_the_page_is_built_from_the_lock_file(settings: Settings, program: Writer, tmp_path: Path) -> None:
    program("node", "echo v20.1.0")
    program("npm", f'echo "$PWD $*" >> {tmp_path}/asked')
    web_page.build(tmp_path, "mailpit", settings)
    install, package = (tmp_path / "asked").read_text().splitlines()
    assert install.startswith(f"{tmp_path} ci --ignore-scripts")
    assert package == f"{tmp_path} run package"


def test_without_a_registry_the_user_reads_why_there_is_no_page(
    settings: Settings, program: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program("node", "echo v20.1.0")
    program("npm", "echo no network; exit 1")
    web_page.build(tmp_path, "mailpit", settings)
    said = capsys.readouterr().out
    assert "mailpit is built without its web page" in said
    assert "no network" in said


def test_an_old_node_is_not_used(settings: Settings, program: Writer, tmp_path: Path) -> None:
    program("node", "echo v16.20.0")
    program("npm", f"touch {tmp_path}/asked")
    installed = settings.home / "node" / "bin" / "npm"
    installed.parent.mkdir(parents=True)
    installed.write_text(f"#!/bin/sh\ntouch {tmp_path}/installed-asked\n")
    installed.chmod(0o755)
    web_page.build(tmp_path, "mailpit", settings)
    assert not (tmp_path / "asked").exists()
    assert (tmp_path / "installed-asked").exists()
