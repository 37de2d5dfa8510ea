"""From a typed class to its node of the CRD, and from a resource to its typed view.

A part of the spec is one frozen dataclass, whose docstring begins with its description. A field is declared once:

    batch_size: Annotated[int, integer("Posts that are written in one transaction.", 1, 10_000, default=500)]

Its type is what builders read, the node beside it what the CRD says. From the type follows what is absent: `X | None` is
None, a mapping is empty, another part has its defaults, and all else without a default is required.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from bapsang_operator.resource.core import Schema

_Part = TypeVar("_Part")
_RULES: Final[dict[type, list[Schema]]] = {}
_NAMED: Final = re.compile(r"self\.(\w+)")


@dataclass(frozen=True)
class Wire:
    """The name of a field in the resource, where it is not the attribute's in camel case."""

    name: str


@dataclass(frozen=True)
class Path:
    """Marks a field that is not in the resource: it holds the path at which its part was found, for messages."""


@dataclass(frozen=True)
class Field:
    """One field of a part. `read` makes the view of a value that was found at a path."""

    attribute: str
    name: str
    node: Schema
    is_required: bool
    absent: Callable[[], Any]
    read: Callable[[Any, str], Any]


def validations(*entries: Schema) -> Callable[[type[_Part]], type[_Part]]:
    """Return the decorator that attaches CEL rules (`core.rule`) to a part."""

    def attach(part: type[_Part]) -> type[_Part]:
        _RULES[part] = list(entries)
        return part

    return attach


@functools.cache
def node_of(part: type) -> Schema:
    """Return the node of the CRD that a part stands for, without a default of its own."""
    properties = {field.name: field.node for field in fields_of(part)}
    required = [field.name for field in fields_of(part) if field.is_required]
    node: Schema = {"type": "object", "description": _description(part)}
    node |= {"required": required} if required else {}
    node |= {"x-kubernetes-validations": _RULES[part]} if part in _RULES else {}
    return node | {"properties": properties}


def of(part: type, description: str, **defaults: Any) -> Schema:
    """Return the node of a part with another description and, by name, other defaults of its fields."""
    return _with_defaults(node_of(part), defaults) | {"description": description}


def _with_defaults(node: Schema, defaults: Mapping[str, Any]) -> Schema:
    properties = dict(node["properties"])
    for name, default in defaults.items():
        child = properties[name]
        changed = _with_defaults(child, default) if "properties" in child else {**child, "default": default}
        properties[name] = changed
    required = [name for name in node.get("required", ()) if "default" not in properties[name]]
    changed = {key: value for key, value in node.items() if key != "required" or required}
    return changed | {"properties": properties} | ({"required": required} if required else {})


def _description(part: type) -> str:
    """Return the first paragraph of the docstring: what follows is for those who read the code."""
    words = inspect.cleandoc(part.__doc__ or "")
    # What a dataclass without a docstring is given. `python -OO` takes all of them away, which only `crd` would miss.
    if words.startswith(f"{part.__name__}(") and sys.flags.optimize < 2:
        raise TypeError(f"{part.__name__} needs a docstring: its first paragraph is the description in the CRD")
    return " ".join(words.partition("\n\n")[0].split())


@functools.cache
def fields_of(part: type) -> tuple[Field, ...]:
    """Return the fields of a part that are in the resource, in the order of the class."""
    # The names of the module and nothing else: attributes are called like functions that make nodes.
    hints = get_type_hints(part, vars(sys.modules[part.__module__]), {}, include_extras=True)
    found = (_field(field.name, hints[field.name]) for field in fields(part))
    return tuple(field for field in found if field is not None)


def _field(attribute: str, hint: Any) -> Field | None:
    kind, *beside = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if any(isinstance(one, Path) for one in beside):
        return None
    optional, kind = _without_none(kind)
    is_part = is_dataclass(kind)
    node = next((one for one in beside if isinstance(one, dict)), None)
    if node is None and not is_part:
        raise TypeError(f"{attribute} needs a node beside its type: Annotated[…, text(…)], integer(…) or another one")
    node = node or node_of(kind)
    if is_part and not optional:
        node = {"type": "object", "description": node["description"], "default": _of_rules(node), **node}
    is_map = get_origin(kind) is Mapping or kind is Mapping
    return Field(
        attribute=attribute,
        name=next((one.name for one in beside if isinstance(one, Wire)), _camel(attribute)),
        node=node,
        is_required="default" not in node and not optional and not is_map,
        absent=dict if is_map else lambda: None,
        read=_reader(kind),
    )


def _without_none(kind: Any) -> tuple[bool, Any]:
    if get_origin(kind) not in (Union, types.UnionType):
        return False, kind
    others = [one for one in get_args(kind) if one is not types.NoneType]
    optional = len(others) < len(get_args(kind))
    return optional, others[0] if len(others) == 1 else Union[tuple(others)]  # noqa: UP007 - of a variable


def _of_rules(node: Schema) -> Schema:
    """Return the default of a part: the apiserver judges it by the part's rules before it fills in the defaults within, so
    it holds those that the rules look at."""
    named = {name for entry in node.get("x-kubernetes-validations", ()) for name in _NAMED.findall(entry["rule"])}
    found = {
        name: child["default"] for name, child in node["properties"].items() if name in named and "default" in child
    }
    return {name: default for name, default in found.items() if not isinstance(default, dict | list)}


def _camel(attribute: str) -> str:
    first, *rest = attribute.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _reader(kind: Any) -> Callable[[Any, str], Any]:
    if is_dataclass(kind):
        return lambda value, path: view(kind, value, path)  # type: ignore[arg-type]
    if get_origin(kind) is tuple:
        item = _reader(get_args(kind)[0])
        return lambda value, path: tuple(item(one, f"{path}[{index}]") for index, one in enumerate(value))
    return lambda value, _path: value


def view(part: type[_Part], value: Mapping[str, Any], path: str) -> _Part:
    """Return the typed view of a value that passes validation and has its defaults."""
    return part(**arguments(part, value, path))


def arguments(part: type, value: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the arguments of a part's constructor."""
    found = {
        field.attribute: field.read(value[field.name], f"{path}.{field.name}")
        if field.name in value
        else field.absent()
        for field in fields_of(part)
    }
    return found | dict.fromkeys(_paths(part), path)


@functools.cache
def _paths(part: type) -> tuple[str, ...]:
    read = {field.attribute for field in fields_of(part)}
    return tuple(field.name for field in fields(part) if field.name not in read)
