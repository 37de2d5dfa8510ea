"""A structural schema with CEL rules, evaluated in Python with the apiserver's verdict.

The operator validates again what the apiserver accepted, because a resource may predate a rule. Every CEL rule is
written next to its twin in Python (`rule`); tests compare both verdicts on generated resources.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Schema = dict[str, Any]
#: Judges a value and, for transition rules, the value it replaces (None where there was none).
Twin = Callable[[Any, Any], bool]

_TWINS: Final[dict[str, Twin]] = {}
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
}


@dataclass(frozen=True)
class Violation:
    """One refused field: its path (`spec.api.burst.minReplicas`) and a sentence that says what is allowed."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def rule(cel: str, twin: Twin, message: str, field: str = "") -> Schema:
    """Return an entry of `x-kubernetes-validations` and remember its Python twin.

    `field` is a path below the node that the rule stands at (`.minReplicas`). A rule that names `oldSelf` is a
    transition rule: like the apiserver, `validate` evaluates it only when there is an old value.
    """
    _TWINS[cel] = twin
    entry: Schema = {"rule": cel, "message": message}
    if field:
        entry["fieldPath"] = field
    return entry


def validate(schema: Schema, value: Any, path: str, old: Any = None) -> list[Violation]:
    """Return what the apiserver would refuse in `value`, which has its defaults, when it replaces `old`.

    Unknown fields are not violations: the apiserver prunes them.
    """
    found = _structural(schema, value, path)
    # CEL never sees a structurally wrong value; evaluating the twins on one would raise.
    return found or _rules(schema, value, path, old)


def _structural(schema: Schema, value: Any, path: str) -> list[Violation]:
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            return [Violation(path, "must be an integer or a string")]
    else:
        expected = _TYPES[schema["type"]]
        if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
            return [Violation(path, f"must be of type {schema['type']}")]
    if isinstance(value, dict):
        return _object(schema, value, path)
    if isinstance(value, list):
        return _array(schema, value, path)
    return _scalar(schema, value, path)


def _object(schema: Schema, value: dict[str, Any], path: str) -> list[Violation]:
    found = [Violation(f"{path}.{name}", "is required") for name in schema.get("required", ()) if name not in value]
    if len(value) > schema.get("maxProperties", len(value)):
        found.append(Violation(path, f"must have at most {schema['maxProperties']} entries"))
    properties = schema.get("properties", {})
    extra = schema.get("additionalProperties")
    for name, item in value.items():
        child = properties.get(name, extra)
        if child is not None:
            found += _structural(child, item, f"{path}.{name}")
    return found


def _array(schema: Schema, value: list[Any], path: str) -> list[Violation]:
    found: list[Violation] = []
    if len(value) > schema.get("maxItems", len(value)):
        found.append(Violation(path, f"must have at most {schema['maxItems']} items"))
    if len(value) < schema.get("minItems", 0):
        found.append(Violation(path, f"must have at least {schema['minItems']} items"))
    for index, item in enumerate(value):
        found += _structural(schema["items"], item, f"{path}[{index}]")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    if keys and not found:
        defaults = {key: schema["items"]["properties"][key].get("default") for key in keys}
        seen = [tuple(item.get(key, default) for key, default in defaults.items()) for item in value]
        found += [
            Violation(f"{path}[{index}]", "duplicates an earlier item")
            for index, identity in enumerate(seen)
            if identity in seen[:index]
        ]
    return found


def _scalar(schema: Schema, value: Any, path: str) -> list[Violation]:
    found: list[Violation] = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(Violation(path, f"must be one of {', '.join(schema['enum'])}"))
    if isinstance(value, str):
        if len(value) > schema.get("maxLength", len(value)):
            found.append(Violation(path, f"must have at most {schema['maxLength']} characters"))
        if len(value) < schema.get("minLength", 0):
            found.append(Violation(path, f"must have at least {schema['minLength']} characters"))
        # \Z, because Python's $ would also accept a trailing newline.
        if "pattern" in schema and not re.search(schema["pattern"].replace("$", r"\Z"), value):
            found.append(Violation(path, f"must match {schema['pattern']}"))
    elif isinstance(value, int):
        if value < schema.get("minimum", value):
            found.append(Violation(path, f"must be at least {schema['minimum']}"))
        if value > schema.get("maximum", value):
            found.append(Violation(path, f"must be at most {schema['maximum']}"))
    return found


def _rules(schema: Schema, value: Any, path: str, old: Any) -> list[Violation]:
    found = [
        Violation(path + entry.get("fieldPath", ""), entry["message"])
        for entry in schema.get("x-kubernetes-validations", ())
        if not _is_skipped(entry, old) and not _TWINS[entry["rule"]](value, old)
    ]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name, item in value.items():
            child = properties.get(name, schema.get("additionalProperties"))
            if child is not None:
                found += _rules(child, item, f"{path}.{name}", old.get(name) if isinstance(old, dict) else None)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += _rules(schema["items"], item, f"{path}[{index}]", None)
    return found


def _is_skipped(entry: Schema, old: Any) -> bool:
    return "oldSelf" in entry["rule"] and old is None


def pruned(schema: Schema, value: Any, path: str, dropped: list[str]) -> Any:
    """Return a copy of what a user wrote, as the apiserver takes it: without nulls, without the fields that the schema
    does not know, whose paths are added to `dropped`; and with whole numbers that were written as `2.0` as integers."""
    if isinstance(value, dict):
        properties, extra = schema.get("properties"), schema.get("additionalProperties")
        found = {}
        for name, item in value.items():
            child = (properties or {}).get(name, extra)
            if child is None and schema.get("type") == "object":
                dropped.append(f"{path}.{name}")
            elif item is not None or child is None:
                found[name] = pruned(child or {}, item, f"{path}.{name}", dropped)
        return found
    if isinstance(value, list):
        return [pruned(schema.get("items", {}), item, f"{path}[{index}]", dropped) for index, item in enumerate(value)]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**63
    return int(value) if is_whole and schema.get("type") == "integer" else value


def with_defaults(schema: Schema, value: Any) -> Any:
    """Return a copy of `value` with every default of the schema filled in, as the apiserver does."""
    if isinstance(value, dict) and "properties" in schema:
        filled = dict(value)
        for name, child in schema["properties"].items():
            if name not in filled and "default" in child:
                filled[name] = copy.deepcopy(child["default"])
            if name in filled:
                filled[name] = with_defaults(child, filled[name])
        return filled
    if isinstance(value, list) and "items" in schema:
        return [with_defaults(schema["items"], item) for item in value]
    return value
