"""`affinity` of a `podTemplate`: nodes and pods that the pods shall be on or beside."""

from __future__ import annotations

from typing import Any, Final

from bapsang_operator.resource.core import Schema, rule
from bapsang_operator.resource.nodes import array, choice, integer, obj, rules, string_map, text


def _has_values(value: Any, _old: Any) -> bool:
    return bool(value.get("values")) == (value["operator"] not in {"Exists", "DoesNotExist"})


def _expression(operators: list[str]) -> Schema:
    return obj(
        "One condition on a label.",
        {
            "key": text("Label.", 316, minLength=1),
            "operator": choice("How it is compared.", operators),
            "values": array("What it is compared with.", 16, text("A value.", 63)),
        },
        required=["key", "operator"],
        **rules(
            rule(
                "(has(self.values) && self.values.size() > 0) == !(self.operator in ['Exists', 'DoesNotExist'])",
                _has_values,
                "Exists and DoesNotExist take no values, other operators need some",
                ".values",
            )
        ),
    )


_NODES: Final = obj(
    "Conditions that hold together.",
    {
        "matchExpressions": array(
            "Conditions.", 16, _expression(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]), minItems=1
        )
    },
    required=["matchExpressions"],
)
_PODS: Final = obj(
    "Pods, and the label of nodes that says what counts as the same place.",
    {
        "topologyKey": text("Label of nodes.", 316, minLength=1),
        "labelSelector": obj("Which pods.", {"matchLabels": string_map("Labels of the pods.", 16, 63)}),
    },
    required=["topologyKey", "labelSelector"],
)
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


def _weighted(field: str, node: Schema) -> Schema:
    weight = integer("How much it counts.", 1, 100)
    return obj("One preference.", {"weight": weight, field: node}, required=["weight", field])


def _pods(description: str) -> Schema:
    return obj(
        description,
        {
            _REQUIRED: array("What must hold.", 8, _PODS),
            _PREFERRED: array("What is preferred.", 8, _weighted("podAffinityTerm", _PODS)),
        },
    )


AFFINITY: Final = obj(
    "Nodes and pods that the pods shall be on or beside.",
    {
        "nodeAffinity": obj(
            "Which nodes; counts beside what the operator asks for.",
            {
                _REQUIRED: obj(
                    "What must hold: one of several terms.",
                    {"nodeSelectorTerms": array("Terms.", 8, _NODES, minItems=1)},
                    required=["nodeSelectorTerms"],
                ),
                _PREFERRED: array("What is preferred.", 8, _weighted("preference", _NODES)),
            },
        ),
        "podAffinity": _pods("Beside which pods."),
        "podAntiAffinity": _pods("Not beside which pods."),
    },
)
