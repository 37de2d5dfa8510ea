"""Every line of the HTTP contract names the tests that prove it, one of them at least on MySQL and Redis as in production."""

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LINES = {
    f"{section}: {line}": names
    for section, lines in tomllib.loads((TESTS / "contract.toml").read_text()).items()
    for line, names in lines.items()
}
# Fixtures that serve from MySQL and Redis. `file_world` and `files` are SQLite.
AS_IN_PRODUCTION = {"world", "photos", "backend", "servers"}
# Lines in which no database has a part: what is signed, static, or refused before any is asked.
WITHOUT_DATABASE = {
    "tokens: Access token: JWT RS256 with kid, 30 minutes, claims iss aud sub role sid iat nbf exp jti",
    "tokens: openid-configuration and jwks.json serve the public keys; keys rotate with overlap",
    "others: GET /terms-of-service and /privacy-policy: HTML, their style sheet public",
    "others: GET /openapi.json and /docs",
    "text: A required text has at least one visible letter",
}


@dataclass(frozen=True)
class Written:
    """A test function: where it stands, and its fixtures."""

    node: str  # integration/api/test_posts.py::test_…
    fixtures: frozenset[str]

    @property
    def as_in_production(self) -> bool:
        return self.node.startswith("e2e/") or bool(self.fixtures & AS_IN_PRODUCTION)


def written() -> list[Written]:
    return [
        Written(f"{path.relative_to(TESTS)}::{node.name}", frozenset(argument.arg for argument in node.args.args))
        for path in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


WRITTEN = written()


def named(name: str) -> Written:
    """Return the one test that a name, or the end of a node's path, stands for."""
    found = [test for test in WRITTEN if f"/{test.node}".endswith(f"/{name}" if "::" in name else f"::{name}")]
    assert len(found) == 1, f"{name} stands for {[test.node for test in found]}"
    return found[0]


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_proved_by_tests_that_exist_and_run_as_in_production(line: str) -> None:
    tests = [named(name) for name in LINES[line]]
    assert any(test.as_in_production for test in tests) != (line in WITHOUT_DATABASE)


def test_lines_without_a_database_are_lines_of_the_contract() -> None:
    assert LINES.keys() >= WITHOUT_DATABASE


def test_every_contract_test_names_the_line_that_it_proves() -> None:
    proving = {named(name).node for names in LINES.values() for name in names}
    meant = {test.node for test in WRITTEN if test.node.startswith("integration/api/test_contract_")}
    assert meant <= proving
