"""The fields of the CRD's schema as one line each, and what a newer schema takes away from an older one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

#: Bounds by the direction in which they get narrower.
LOWER, UPPER = ("minimum", "minLength", "minItems"), ("maximum", "maxLength", "maxItems", "maxProperties")
FACTS = ("type", "format", "enum", "pattern", "default", *LOWER, *UPPER)
Fields = dict[str, dict[str, Any]]


def of_crd(path: Path) -> Fields:
    """Return the fields of the first version of a CRD."""
    return of_schema(yaml.safe_load(path.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def of_schema(schema: dict[str, Any]) -> Fields:
    """Return the fields of `spec` and `status`. Defaults of the latter are what the operator overwrites first."""
    found = {path: facts for path, facts in _walk(schema, "") if path.startswith(("spec", "status"))}
    for path, facts in found.items():
        if path.startswith("status"):
            facts.pop("default", None)
    return found


def _walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    facts = {name: schema[name] for name in FACTS if name in schema}
    if "required" in schema:
        facts["required"] = sorted(schema["required"])
    yield path, facts
    for name, inner in schema.get("properties", {}).items():
        yield from _walk(inner, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from _walk(schema["items"], f"{path}[]")
    if isinstance(more := schema.get("additionalProperties"), dict):
        yield from _walk(more, f"{path}.*")


def lost(old: Fields, new: Fields) -> list[str]:
    """Return what was taken away: fields, values that were allowed, defaults that meant something else."""
    found = [f"{path} is gone" for path in old if path not in new]
    for path, before in old.items():
        after = new.get(path)
        if after is None:
            continue
        found += [
            f"{path}: {name} was {before.get(name)!r}, is {after.get(name)!r}"
            for name in FACTS
            if _narrower(name, before.get(name), after.get(name))
        ]
        found += [
            f"{path}.{name} is required" for name in set(after.get("required", ())) - set(before.get("required", ()))
        ]
    return sorted(found)


def _narrower(name: str, before: Any, after: Any) -> bool:
    if name in LOWER:
        return after is not None and after > (before or 0)
    if name in UPPER:
        return after is not None and (before is None or after < before)
    if name == "enum":
        return after is not None and (before is None or not set(before) <= set(after))
    if name in ("pattern", "format"):
        return after is not None and after != before
    if name == "default" and isinstance(before, dict):
        return False  # an empty part: its fields have defaults of their own
    return bool(before != after)
