"""Reads CloudFormation templates and sets of parameters. The short forms (`!Ref`) become the long ones (`Fn::…`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

Value = Any
ROOT: Final = Path(__file__).resolve().parents[1]
MAIN: Final = "00-root.yaml"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Value:
    value: Value
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise yaml.constructor.ConstructorError(problem=f"!{suffix} stands on nothing", problem_mark=node.start_mark)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tag)
# Dates such as 2012-10-17 are versions of policies, not days.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(path: Path) -> dict[str, Value]:
    """Return a template with long-form functions."""
    loaded: dict[str, Value] = yaml.load(path.read_text(), _Loader)  # noqa: S506 - a SafeLoader with tags
    return loaded


def load_all(folder: Path = ROOT) -> dict[str, dict[str, Value]]:
    """Return every template by its file name, the root first."""
    return {path.name: load(path) for path in sorted(folder.glob("[0-9]*.yaml"))}


def parameters(path: Path) -> dict[str, str]:
    """Return a set of parameters, written as the AWS command line takes it."""
    return {entry["ParameterKey"]: entry["ParameterValue"] for entry in json.loads(path.read_text())}
