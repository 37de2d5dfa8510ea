"""docs/contract.md has every line that tests/contract.toml proves, and promises nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROVED = tomllib.loads((ROOT / "tests/contract.toml").read_text())
PAGE = (ROOT / "docs/contract.md").read_text()


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").split())


def _section(name: str) -> str:
    return PAGE.partition(f"\n## {name.capitalize()}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(("section", "line"), [(name, line) for name, lines in PROVED.items() for line in lines])
def test_every_proved_line_stands_in_its_section(section: str, line: str) -> None:
    assert f"- {_plain(line)}" in _plain(_section(section))


@pytest.mark.parametrize("section", PROVED)
def test_every_promise_begins_with_a_proved_line(section: str) -> None:
    promises = re.split(r"^- ", _section(section), flags=re.MULTILINE)[1:]
    assert [one for one in promises if not _plain(one).startswith(tuple(map(_plain, PROVED[section])))] == []
