"""Breaks the operator's pure core in one place at a time and counts how many breaks the unit tests notice.

`make mutants` tries a sample; with `--all`, every break. Each runs in a forked process on a mutated copy.
"""

from __future__ import annotations

import argparse
import ast
import collections
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import nightly_parts

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "bapsang_operator"
TARGETS = [
    "planning/plan.py",
    "planning/prewarm.py",
    *(f"{room}/{path.name}" for room in ("conditions", "build") for path in sorted((PACKAGE / room).glob("*.py"))),
]
#: In rounds, the quick ones first: most breaks are noticed by these.
ROUNDS = (("build", "autoscale", "stores", "fields", "conditions"), ("status", "storage", "costing", "plan", "prewarm"))
#: Loaded once, before the first fork: what the tests import and no mutant changes.
LOADED = ("cronsim", "cryptography.hazmat.primitives.asymmetric.rsa", "hypothesis.strategies", "yaml", "zoneinfo")
#: Longest that the tests may take on a mutant; one that never ends is noticed, too.
SECONDS = 180
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


class _Mutator(ast.NodeTransformer):
    """Counts the places that can be broken, and breaks the one of the given number."""

    def __init__(self, number: int = -1) -> None:
        self.number = number
        self.seen = 0
        self.told = ""

    def _hit(self, node: ast.AST, what: str) -> bool:
        self.seen += 1
        if self.seen - 1 != self.number:
            return False
        self.told = f"line {getattr(node, 'lineno', '?')}: {what}"
        return True

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if type(node.ops[0]) in _COMPARISONS and self._hit(node, ast.unparse(node)):
            node.ops[0] = _COMPARISONS[type(node.ops[0])]()
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        if self._hit(node, f"and/or in {ast.unparse(node)}"):
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and self._hit(node, ast.unparse(node)):
            return node.operand
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        if self._hit(node, ast.unparse(node)):
            node.body, node.orelse = node.orelse, node.body
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        # Decorators and bases declare what a class is; nothing is decided there.
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        # A docstring does nothing that a test could notice.
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if isinstance(value, bool):
            changed: bool | int | str = not value
        elif isinstance(value, int):
            changed = value + 1
        elif isinstance(value, str) and value:
            changed = f"{value}x"
        else:
            return node
        return ast.copy_location(ast.Constant(changed), node) if self._hit(node, repr(value)) else node


def _parsed(target: str) -> ast.Module:
    tree = ast.parse((PACKAGE / target).read_text())
    for node in ast.walk(tree):
        # Annotations are no behaviour.
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    return tree


def _mutants() -> Iterator[tuple[str, int]]:
    for target in TARGETS:
        counter = _Mutator()
        counter.visit(_parsed(target))
        yield from ((target, number) for number in range(counter.seen))


def _survivor(folder: Path, target: str, number: int) -> str | None:
    """Run the tests on one mutant; returns where it is when no test notices."""
    mutator = _Mutator(number)
    tree = ast.fix_missing_locations(mutator.visit(_parsed(target)))
    file = folder / PACKAGE.relative_to(ROOT) / target
    original = file.read_text()
    file.write_text(ast.unparse(tree))
    try:
        passed = _passes(folder)
    finally:
        file.write_text(original)
    return f"{target} {mutator.told}" if passed else None


def _passes(folder: Path) -> bool:
    """Run the tests on the checkout in a folder, in a forked process. A failure, a mutant that cannot be imported and one
    that never ends are noticed; anything else that goes wrong is no result."""
    child = os.fork()
    if child == 0:
        _test(folder)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    code = os.waitstatus_to_exitcode(status)
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}:
        sys.exit(f"the tests could not be run: pytest ended with {code}")
    return code == pytest.ExitCode.OK


def _test(folder: Path) -> None:
    """In the child: run the tests and end the process with their result."""
    # Whatever happens, the parent's clearing up must not run here as well.
    code = int(pytest.ExitCode.INTERNAL_ERROR)
    try:
        signal.alarm(SECONDS)
        os.chdir(folder)
        sys.path[:0] = [str(folder), str(folder / PACKAGE.parent.relative_to(ROOT))]
        sys.dont_write_bytecode = True
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        # Nobody reads why an assertion failed; rewriting them all takes longer than most of the tests.
        options = ("-x", "-q", "-p", "no:cacheprovider", "--assert=plain")
        for names in ROUNDS:
            code = int(pytest.main([*options, *(f"tests/unit/operator/test_{name}.py" for name in names)]))
            if code:
                break
    finally:
        os._exit(code)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every break instead of a sample")
    parser.add_argument("--only", default="", help="only files whose path begins so, such as build/")
    parser.add_argument("--sample", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/benchmarks/mutants.json")
    parser.add_argument("--at-least", type=float, default=0, help="percent that must be noticed, or the exit code is 1")
    chosen = parser.parse_args()
    every = [one for one in _mutants() if one[0].startswith(chosen.only)]
    tried = every if chosen.all else random.Random(chosen.seed).sample(every, min(chosen.sample, len(every)))
    for module in LOADED:
        importlib.import_module(module)
    survivors: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The tests as well: somebody may go on writing them meanwhile.
        for path in nightly_parts.names_of_files():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path, follow_symlinks=False)
        if not _passes(folder):
            sys.exit("the tests fail on the unbroken package: mend that first")
        for number, (target, place) in enumerate(tried, 1):
            found = _survivor(folder, target, place)
            if found is not None:
                survivors.append(found)
                sys.stdout.write(f"survived: {found}\n")
            if number % 20 == 0:
                sys.stdout.write(f"{number - len(survivors)} of {number} noticed\n")
            sys.stdout.flush()
    noticed = len(tried) - len(survivors)
    result: dict[str, Any] = {"places": len(every), "tried": len(tried), "noticed": noticed}
    result["percent"] = round(100 * noticed / len(tried), 1)
    missed = collections.Counter(found.split()[0] for found in survivors)
    files = collections.Counter(target for target, _ in tried)
    by_file = {target: f"{count - missed[target]} of {count}" for target, count in files.items()}
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    saved = result | {"files": by_file, "survivors": survivors}
    chosen.output.write_text(json.dumps(saved, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{json.dumps(result)}\n")
    return int(result["percent"] < chosen.at_least)


if __name__ == "__main__":
    sys.exit(main())
