"""Every line of the HTTP contract names the tests that prove it, on MySQL and Redis as in production."""

import ast
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LINES = {
    f"{section}: {line}": names
    for section, lines in tomllib.loads((TESTS / "contract.toml").read_text()).items()
    for line, names in lines.items()
}
# `world`, `photos` and `backend` run on MySQL and Redis, on SQLite besides where SQL differs; `file_world` serves what asks no
# database.
AS_IN_PRODUCTION = {"world", "photos", "backend", "servers", "file_world"}


def defined() -> dict[str, set[str]]:
    """Return the fixtures of every test function, by its name."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[node.name] |= {argument.arg for argument in node.args.args}
    return found


FIXTURES = defined()


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_proved_by_tests_that_exist_and_run_as_in_production(line: str) -> None:
    assert [name for name in LINES[line] if name not in FIXTURES] == []
    assert any(FIXTURES[name] & AS_IN_PRODUCTION for name in LINES[line])


def test_every_contract_test_names_the_line_that_it_proves() -> None:
    proving = {name for names in LINES.values() for name in names}
    written = {
        node.name
        for path in TESTS.glob("integration/api/test_contract_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
    assert written <= proving
