"""One typed class a part of the spec: its node of the CRD and the view that builders read say the same."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

from bapsang_operator.resource import SPEC, core, parse
from bapsang_operator.resource.community import Spec
from bapsang_operator.resource.core import rule
from bapsang_operator.resource.declare import Path, Wire, fields_of, node_of, of, validations, view
from bapsang_operator.resource.nodes import array, boolean, choice, integer, string_map, text

from .field_rows import ROWS
from .test_fields import merged, with_field
from .world import resource

_LESS = rule("self.low <= self.high", lambda value, _old: value["low"] <= value["high"], "low must not exceed high")


@dataclass(frozen=True)
class Leaf:
    """A leaf.

    This is for those who read the code.
    """

    needed: Annotated[str, text("Needed.", 9)]
    place: Annotated[str, Path()]
    word: Annotated[str, choice("A word.", ["a", "b"], default="a")]


@validations(_LESS)
@dataclass(frozen=True)
class Range:
    """A range."""

    low: Annotated[int, integer("Low.", 0, 9, default=1)]
    high: Annotated[int, integer("High.", 0, 9, default=2), Wire("HIGH")]
    step: Annotated[int, integer("Step.", 0, 9, default=3)]


@dataclass(frozen=True)
class Whole:
    """The
    whole."""

    range_of: Range
    leaf: Leaf | None
    other: Annotated[Leaf | None, of(Leaf, "Another leaf.", needed="x", word="b")]
    leaves: Annotated[tuple[Leaf, ...], array("Leaves.", 3, node_of(Leaf), default=[])]
    words: Annotated[Mapping[str, str], string_map("Words.", 4)]
    flag: Annotated[bool | None, boolean("A flag.", False)]


def test_node_follows_from_the_types() -> None:
    node = node_of(Whole)
    assert node["description"] == "The whole."
    assert "required" not in node
    assert list(node["properties"]) == ["rangeOf", "leaf", "other", "leaves", "words", "flag"]
    leaf = node["properties"]["leaf"]
    assert (leaf["description"], leaf["required"]) == ("A leaf.", ["needed"])
    assert list(leaf["properties"]) == ["needed", "word"]
    assert "default" not in leaf


def test_default_of_a_part_holds_what_its_rules_look_at() -> None:
    assert node_of(Whole)["properties"]["rangeOf"]["default"] == {"low": 1}
    assert node_of(Whole)["properties"]["rangeOf"]["x-kubernetes-validations"] == [_LESS]


def test_part_takes_other_defaults_in_another_place() -> None:
    other = node_of(Whole)["properties"]["other"]
    assert other["description"] == "Another leaf."
    assert "required" not in other
    assert [child["default"] for child in other["properties"].values()] == ["x", "b"]
    assert node_of(Leaf)["properties"]["word"]["default"] == "a"
    assert node_of(Leaf)["required"] == ["needed"]


def test_view_has_defaults_and_knows_where_it_was_found() -> None:
    value = core.with_defaults(node_of(Whole), {"leaf": {"needed": "n"}, "leaves": [{"needed": "m", "word": "b"}]})
    found = view(Whole, value, "spec.whole")
    assert found.range_of == Range(1, 2, 3)
    assert found.leaf == Leaf("n", "spec.whole.leaf", "a")
    assert found.leaves == (Leaf("m", "spec.whole.leaves[0]", "b"),)
    assert (found.other, found.words, found.flag) == (None, {}, False)
    with pytest.raises(FrozenInstanceError):
        found.flag = True  # type: ignore[misc]


@dataclass(frozen=True)
class Undescribed:
    word: Annotated[str, text("A word.", 9)]


@dataclass(frozen=True)
class Bare:
    """A part with a field that the CRD could not bound."""

    word: str


@pytest.mark.parametrize(
    ("part", "words"), [(Undescribed, "Undescribed needs a docstring"), (Bare, "word needs a node")]
)
def test_incomplete_declaration_is_refused_with_what_it_needs(part: type, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        node_of(part)


def _parts(part: type) -> Iterator[type]:
    """Yield a part and all within it."""
    yield part
    for hint in get_type_hints(part, vars(sys.modules[part.__module__]), {}).values():
        for kind in (hint, *get_args(hint)):
            if isinstance(kind, type) and is_dataclass(kind):
                yield from _parts(kind)


PARTS = list(dict.fromkeys(_parts(Spec)))
_OF_NODES: Mapping[str, Any] = {"string": str, "integer": int, "boolean": bool, "array": tuple, "object": Mapping}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_type_of_each_field_is_that_of_its_node(part: type) -> None:
    hints = get_type_hints(part, vars(sys.modules[part.__module__]), {})
    for field in fields_of(part):
        hint = hints[field.attribute]
        kinds = [
            kind
            for kind in (get_args(hint) if isinstance(hint, types.UnionType) else (hint,))
            if kind is not type(None)
        ]
        is_optional = type(None) in get_args(hint)
        wanted = _OF_NODES[field.node["type"]]
        for kind in kinds:
            assert is_dataclass(kind) or issubclass(get_origin(kind) or kind, wanted), field.name
        assert not (is_optional and "default" in field.node), f"{field.name} is never absent"


@pytest.mark.parametrize("path", ROWS)
def test_every_field_of_the_spec_is_in_the_view(path: str) -> None:
    """Whatever is written at the path of a row stands in the view at the attributes that the path names."""
    row = ROWS[path]
    found = resource(**with_field(merged(row.given, row.then), path, row.to))
    node: Any = parse(found)
    part: Any = Spec
    for step in path.replace("[]", "").split("."):
        if is_dataclass(node):
            field = next(field for field in fields_of(part) if field.name == step)
            node = getattr(node, field.attribute)
        else:
            node = node[step]
        node = node[0] if isinstance(node, tuple | list) else node
        part = type(node)
    assert node == row.to


def test_spec_is_the_node_of_its_class() -> None:
    assert node_of(Spec) is SPEC
    assert len(PARTS) > 20
