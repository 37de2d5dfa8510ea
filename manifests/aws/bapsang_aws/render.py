"""Evaluates templates as CloudFormation does, as far as that is possible before anything exists.

A reference to something that only a deployment knows becomes a token: `${Network.Vpc}`, `${Media.Queue.Arn}`. Nested
stacks are followed, so a token always names the resource itself, whichever stack refers to it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bapsang_aws.template import MAIN, Value

REGION: Final = "ap-northeast-2"
ACCOUNT: Final = "111122223333"
_NESTED: Final = "AWS::CloudFormation::Stack"
_PSEUDO: Final = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
_ABSENT: Final = object()
_TOKEN: Final = re.compile(r"\$\{(\w+\.\w+)(\.[\w.]+)?\}")


class RefusedError(Exception):
    """A set of parameters that the template refuses; the message names the parameter or the rule."""


@dataclass(frozen=True)
class Resource:
    """One resource that a deployment creates. `address` is `Stack.LogicalId`."""

    address: str
    type: str
    properties: Mapping[str, Any]
    body: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.address} ({self.type})"

    @property
    def ref(self) -> str:
        """The token that other resources hold when they refer to this one."""
        return f"${{{self.address}}}"


@dataclass
class Estate:
    """Everything that one deployment creates."""

    parameters: Mapping[str, Any]
    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    _by_address: dict[str, Resource] = field(default_factory=dict)
    _by_type: dict[str, list[Resource]] = field(default_factory=dict)

    @property
    def production(self) -> bool:
        """Whether the estate promises that nothing is single."""
        return bool(self.parameters["Stage"] == "production")

    def at(self, token: object) -> Resource | None:
        """Return the resource that a token refers to, whole or by an attribute."""
        address = _TOKEN.fullmatch(str(token))
        return self._by_address.get(address[1]) if address else None

    def of(self, kind: str) -> list[Resource]:
        """Return the resources of a type, such as `RDS::DBInstance`."""
        return self._by_type.get(f"AWS::{kind}", [])

    def add(self, resource: Resource) -> None:
        """Take in one more resource."""
        self.resources.append(resource)
        self._by_address[resource.address] = resource
        self._by_type.setdefault(resource.type, []).append(resource)


def render(templates: Mapping[str, Mapping[str, Value]], given: Mapping[str, str]) -> Estate:
    """Return what a deployment of the root template creates. Raises RefusedError as CloudFormation would refuse."""
    root = templates[MAIN]
    values = _parameters(root, given)
    _assert_rules(root, values)
    estate = Estate(values)
    estate.outputs = _Stack("", root, values, templates, estate).create()
    return estate


def _parameters(template: Mapping[str, Value], given: Mapping[str, str]) -> dict[str, Any]:
    declared = template.get("Parameters", {})
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise RefusedError(f"{', '.join(unknown)}: no such parameter")
    values: dict[str, Any] = {}
    for name, rule in declared.items():
        value = given.get(name, rule.get("Default"))
        if value is None:
            raise RefusedError(f"{name}: is required")
        _check(name, str(value), rule)
        values[name] = _typed(value, rule["Type"])
    return values


def _check(name: str, value: str, rule: Mapping[str, Any]) -> None:
    if "AllowedValues" in rule and value not in [str(one) for one in rule["AllowedValues"]]:
        raise RefusedError(f"{name}: must be one of {', '.join(map(str, rule['AllowedValues']))}, not {value!r}")
    if "AllowedPattern" in rule and not re.fullmatch(rule["AllowedPattern"], value):
        raise RefusedError(f"{name}: {rule.get('ConstraintDescription', 'must match ' + rule['AllowedPattern'])}")
    if rule["Type"] == "Number":
        if not re.fullmatch(r"\d+", value):
            raise RefusedError(f"{name}: must be a whole number, not {value!r}")
        if not rule.get("MinValue", 0) <= int(value) <= rule.get("MaxValue", int(value)):
            raise RefusedError(f"{name}: must be from {rule['MinValue']} to {rule['MaxValue']}, not {value}")


def _typed(value: Any, kind: str) -> Any:
    if kind == "Number":
        return int(value)
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        return str(value).split(",")
    return value


def _assert_rules(template: Mapping[str, Value], values: Mapping[str, Any]) -> None:
    stack = _Stack("", template, values, {}, Estate(values))
    for rule in template.get("Rules", {}).values():
        if "RuleCondition" in rule and not stack.condition(rule["RuleCondition"]):
            continue
        for assertion in rule["Assertions"]:
            if not stack.condition(assertion["Assert"]):
                raise RefusedError(assertion["AssertDescription"])


class _Stack:
    """One template with its parameters."""

    def __init__(
        self,
        name: str,
        template: Mapping[str, Value],
        values: Mapping[str, Any],
        templates: Mapping[str, Mapping[str, Value]],
        estate: Estate,
    ) -> None:
        self._name = name or "Root"
        self._template = template
        self._values = values
        self._templates = templates
        self._estate = estate
        self._outputs: dict[str, dict[str, Any]] = {}

    def create(self) -> dict[str, Any]:
        """Add the stack's resources to the estate, nested stacks in the order they depend on; return the outputs."""
        resources = {logical: body for logical, body in self._template["Resources"].items() if self._wanted(body)}
        for logical, body in resources.items():
            properties = self._value(body.get("Properties", {})) if body["Type"] != _NESTED else {}
            self._estate.add(Resource(f"{self._name}.{logical}", body["Type"], properties, body))
        for logical, body in resources.items():
            if body["Type"] == _NESTED:
                self._nested(logical)
        return {name: self._value(one["Value"]) for name, one in self._outputs_wanted().items()}

    def _outputs_wanted(self) -> dict[str, Any]:
        return {name: one for name, one in self._template.get("Outputs", {}).items() if self._wanted(one)}

    def _wanted(self, body: Mapping[str, Any]) -> bool:
        return "Condition" not in body or self.condition({"Condition": body["Condition"]})

    def _nested(self, logical: str) -> dict[str, Any]:
        if logical not in self._outputs:
            properties = self._template["Resources"][logical]["Properties"]
            template = self._templates[properties["TemplateURL"]]
            values = _parameters(template, {k: str(self._value(v)) for k, v in properties["Parameters"].items()})
            self._outputs[logical] = _Stack(logical, template, values, self._templates, self._estate).create()
        return self._outputs[logical]

    def condition(self, expression: Value) -> bool:
        """Evaluate a condition or the assertion of a rule."""
        ((function, operands),) = expression.items()
        match function:
            case "Condition":
                return self.condition(self._template["Conditions"][operands])
            case "Fn::Equals":
                left, right = (str(self._value(operand)) for operand in operands)
                return left == right
            case "Fn::Not":
                return not self.condition(operands[0])
            case "Fn::And":
                return all(self.condition(operand) for operand in operands)
            case "Fn::Or":
                return any(self.condition(operand) for operand in operands)
        raise ValueError(f"unknown condition {function}")

    def _value(self, value: Value) -> Any:
        if isinstance(value, list):
            return [item for one in value if (item := self._value(one)) is not _ABSENT]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, operand),) = value.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._call(function, operand)
        return {key: item for key, one in value.items() if (item := self._value(one)) is not _ABSENT}

    def _call(self, function: str, operand: Value) -> Any:
        match function:
            case "Ref":
                return self._ref(operand)
            case "Fn::GetAtt":
                return self._attribute(operand[0], operand[1])
            case "Fn::If":
                return self._value(operand[1] if self.condition({"Condition": operand[0]}) else operand[2])
            case "Fn::Sub":
                return re.sub(r"\$\{([^!}][^}]*)\}", lambda found: str(self._named(found[1])), operand)
            case "Fn::Join":
                return operand[0].join(str(item) for item in self._value(operand[1]))
            case "Fn::Select":
                return self._value(operand[1])[int(operand[0])]
            case "Fn::FindInMap":
                table, first, second = (self._value(one) for one in operand)
                return self._template["Mappings"][table][first][second]
            case "Fn::Base64":
                return self._value(operand)
            case "Fn::Cidr":
                network, count, bits = (self._value(one) for one in operand)
                subnets = ipaddress.ip_network(network).subnets(new_prefix=32 - int(bits))
                return [str(next(subnets)) for _ in range(int(count))]
        raise ValueError(f"unknown function {function}")

    def _named(self, name: str) -> Any:
        logical, _, attribute = name.partition(".")
        return self._attribute(logical, attribute) if attribute else self._ref(name)

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _ABSENT
        if name == "AWS::StackName":
            return f"${{{self._name}.StackName}}"
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name in self._values:
            return self._values[name]
        return f"${{{self._name}.{self._existing(name)}}}"

    def _attribute(self, logical: str, attribute: str) -> Any:
        if attribute.startswith("Outputs."):
            return self._nested(logical)[attribute.removeprefix("Outputs.")]
        return f"${{{self._name}.{self._existing(logical)}.{attribute}}}"

    def _existing(self, logical: str) -> str:
        """Return the id of a resource that is created; one behind a false condition would be an error at deployment."""
        body = self._template["Resources"].get(logical)
        if body is None or not self._wanted(body):
            raise RefusedError(f"{self._name}: refers to {logical}, which is not created")
        return logical
