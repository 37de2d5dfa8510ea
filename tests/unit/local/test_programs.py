"""Programs are built once each, also when two threads ask for the same one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bapsang_local import programs
from bapsang_local.settings import Settings


def test_two_who_ask_at_once_get_one_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)
    builds: list[str] = []

    def install(program: programs.Program, scratch: Path, *_: object) -> Path:
        builds.append(program.name)
        made = scratch / "made"
        made.touch()
        return made

    def ask(name: str) -> Path:
        both.wait(10)
        return programs.build(name, settings)

    monkeypatch.setattr(programs, "_install", install)
    monkeypatch.setattr(programs, "go_program", lambda _: Path("/go"))
    settings = Settings(home=tmp_path, context=None, ingress_port=8880, images="auto")
    name = next(name for name, program in programs.table().items() if not program.source)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(ask, [name, name]))
    assert builds == [name]
    assert found == [programs.path(name, settings)] * 2
