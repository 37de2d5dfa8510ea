"""A docker client that answers as told and writes down what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bapsang_local.from_packages import own_engine

Answers = dict[str, tuple[int, str]]


class Client:
    """A program `docker`, first on the PATH. The first answer whose key is in the arguments counts; else it exits with 0."""

    def __init__(self, folder: Path) -> None:
        self._asked = folder / "asked"
        self._program = folder / "docker"
        self.answers({})

    def answers(self, answers: Answers) -> None:
        cases = "".join(
            f"  *'{words}'*) cat <<'.' >&{2 if code else 1}\n{said}\n.\n  exit {code} ;;\n"
            for words, (code, said) in answers.items()
        )
        self._program.write_text(f'#!/bin/sh\necho "$*" >> {self._asked}\ncase "$*" in\n{cases}  *) ;;\nesac\n')
        self._program.chmod(0o755)

    def asked(self, words: str = "") -> list[str]:
        lines = self._asked.read_text().splitlines() if self._asked.exists() else []
        return [line for line in lines if words in line]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The client's default engine, and none of ours."""
    monkeypatch.setattr(own_engine, "find", lambda: None)
    folder = tmp_path / "client"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return Client(folder)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Write a shell script of a name, first on the PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(name: str, text: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return write
