"""Mistakes that people make in templates, each as a change of one resource; the policies must see them.

Written from what goes wrong on AWS, not from the policies: a fault names the property and the bad value and knows no rule.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .fault_table import AWAITED, BAD, CONDITIONAL, GONE, KEPT, ORDERED, REMOVED

Templates = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Fault:
    """One change: `path` below the resource's body gets `value` (GONE: is deleted)."""

    where: str
    path: tuple[str | int, ...]
    value: Any

    def __str__(self) -> str:
        what = "deleted" if self.value is GONE else f"= {str(self.value)[:60]}"
        return f"{self.where} {'.'.join(map(str, self.path))} {what}"

    def inject(self, templates: Templates) -> Templates:
        """Return the templates with the fault in them."""
        file, logical = self.where.split(":")
        changed = {**templates, file: copy.deepcopy(templates[file])}
        if not self.path:
            del changed[file]["Resources"][logical]
            return changed
        parent: Any = changed[file]["Resources"][logical]
        for step in self.path[:-1]:
            parent = parent[step]
        if self.value is GONE:
            del parent[self.path[-1]]
        else:
            parent[self.path[-1]] = copy.deepcopy(self.value)
        return changed


def _p(path: str) -> tuple[str | int, ...]:
    return ("Properties", *(int(step) if step.isdigit() else step for step in path.split("/")))


def all_faults(templates: Templates) -> list[Fault]:
    """Return every fault that the templates have a place for."""
    return list(_generate(templates))


def _generate(templates: Templates) -> Iterator[Fault]:
    for target, path, values in BAD:
        for where, body in _places(templates, target):
            steps = tuple("POST /uploads/presign/temp" if step == "TEMP" else step for step in _p(path))
            found, old = _look(body, steps)
            # A property that is not there can be set, but neither deleted nor changed below.
            if not found and (len(steps) > 2 or values == [GONE]):
                continue
            for value in values:
                if value is GONE and not found:
                    continue
                bad = value(old) if callable(value) else value
                yield Fault(where, steps, _without_gone(bad))
    for target in REMOVED:
        for where, _ in _places(templates, target):
            yield Fault(where, (), GONE)
    for target in KEPT:
        for where, body in _places(templates, target):
            for key in ("DeletionPolicy", "UpdateReplacePolicy"):
                if (
                    "Replica" not in where
                    and "Url" not in where
                    and not (key[0] == "U" and "SecretsManager" in body["Type"])
                ):
                    yield Fault(where, (key,), GONE)
                    yield Fault(where, (key,), "Delete")
                    if key[0] == "D":
                        yield Fault(where, (key,), "Retain")
    for target in ORDERED:
        for where, body in _places(templates, target):
            yield from (Fault(where, (key,), GONE) for key in ("DependsOn", "Metadata") if key in body)
    for target in CONDITIONAL:
        for where, _ in _places(templates, target):
            yield Fault(where, ("Condition",), GONE)
    for target in AWAITED:
        for where, _ in _places(templates, target):
            yield Fault(where, ("CreationPolicy",), GONE)


def _without_gone(value: Any) -> Any:
    if isinstance(value, list):
        return [{k: v for k, v in one.items() if v is not GONE} if isinstance(one, dict) else one for one in value]
    return value


def _places(templates: Templates, target: str) -> Iterator[tuple[str, dict[str, Any]]]:
    kind, _, logical = target.partition("@")
    for file, template in templates.items():
        for name, body in template["Resources"].items():
            if body["Type"] == f"AWS::{kind}" and (
                not logical or name == logical or (logical.startswith("*") and name.endswith(logical[1:]))
            ):
                yield f"{file}:{name}", body


def _look(body: Any, steps: tuple[str | int, ...]) -> tuple[bool, Any]:
    for step in steps:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            return False, None
    return True, body
