"""Every field of the spec changes what its row in `field_rows` says, and no other child; a field without a row fails."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from bapsang_operator import build
from bapsang_operator.build import secret
from bapsang_operator.conditions import status
from bapsang_operator.conditions.observation import Observation
from bapsang_operator.manifest import Manifest
from bapsang_operator.planning import prewarm, progress
from bapsang_operator.resource import SPEC, parse, validate
from bapsang_operator.resource.core import Schema

from .field_rows import MIGRATE, ROWS, STATUS
from .world import NOW, Cluster, children, resource


def _leaves(node: Schema, path: str = "") -> Iterator[str]:
    """Yield the path of every field that holds a value of its own; `[]` stands for any item of a list."""
    if node.get("properties"):
        for name, child in node["properties"].items():
            yield from _leaves(child, f"{path}.{name}" if path else name)
    elif node.get("type") == "array":
        yield from _leaves(node["items"], f"{path}[]")
    else:
        yield path


def test_every_field_of_the_spec_has_a_row_and_every_row_a_field() -> None:
    assert set(_leaves(SPEC)) == set(ROWS)


def merged(left: Manifest, right: Manifest) -> Manifest:
    found = dict(left)
    for name, value in right.items():
        before = found.get(name)
        found[name] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return found


def with_field(given: Manifest, path: str, value: Any) -> Manifest:
    found = copy.deepcopy(given)
    node: Any = found
    *steps, last = path.replace("[]", ".[]").split(".")
    for step in steps:
        node = node[0] if step == "[]" else node.setdefault(step, {})
    node[0 if last == "[]" else last] = value
    return found


def _world(changes: Manifest) -> dict[str, Manifest]:
    """Return by name everything that a spec leads to: children, Secrets that are generated or read, and the status."""
    found = resource(**changes)
    assert validate(found["spec"]) == []
    wanted = prewarm.with_windows(parse(found), NOW)
    cluster = Cluster(wanted)
    made = {f"{child.key.kind} {child.key.name}": child.manifest for child in children(wanted)}
    made = {MIGRATE if name.startswith("Job c-migrate-") else name: one for name, one in made.items()}
    made |= {f"Secret {name}": secret.manifest(wanted, name, {}) for name in secret.generators(wanted)}
    made |= {f"Secret {ref.name}": {"read": True} for ref in build.secrets_read(wanted)}
    openings = prewarm.openings(wanted, NOW)
    so_far = progress.observe(wanted, children(wanted), cluster.live)
    seen = Observation(wanted, so_far, cluster.plan(), [], None, openings)
    told = status.compute(seen, {}, NOW)
    conditions = {one["type"]: one["message"] for one in told["conditions"]}
    return made | {STATUS: {"url": told["url"], "cost": told.get("cost"), **conditions}}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of every leaf; items of lists go by their name where they have one."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            label = item["name"] if isinstance(item, dict) and "name" in item else index
            yield from _flat(item, f"{path}[{label}]")
    else:
        yield path, value


@pytest.mark.parametrize("name", ["../../kube-system/secrets/root", "..", "a/b", "a\nb", "a%2fb", "Capital", ""])
@pytest.mark.parametrize("path", [path for path in ROWS if path.endswith(("Ref.name", "ecretName", "className"))])
def test_name_of_an_object_is_refused_unless_it_is_one(path: str, name: str) -> None:
    row = ROWS[path]
    found = resource(**with_field(merged(row.given, row.then), path, name))
    assert [one.field for one in validate(found["spec"])] == [f"spec.{path.replace('[]', '[0]')}"]


@pytest.mark.parametrize("path", ROWS)
def test_field_changes_the_children_that_its_row_names_and_no_other(path: str) -> None:
    row = ROWS[path]
    before, after = _world(row.given), _world(with_field(merged(row.given, row.then), path, row.to))
    changed: dict[str, set[str]] = {}
    for name in before.keys() | after.keys():
        left, right = dict(_flat(before.get(name, {}))), dict(_flat(after.get(name, {})))
        moved = {one for one in left.keys() | right.keys() if left.get(one) != right.get(one)}
        if moved:
            changed[name] = moved
    if STATUS not in row.shows:
        changed.pop(STATUS, None)
    assert set(changed) == set(row.shows)
    for name, place in row.shows.items():
        found = [one for one in changed[name] if not place or f"{one}.".startswith((f"{place}.", f"{place}["))]
        assert found, f"{name}: {place} not among {sorted(changed[name])}"
