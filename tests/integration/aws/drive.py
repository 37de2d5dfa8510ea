"""Teaches moto resource types: each is created, read and deleted through the service's own API.

Where moto has not even that (no `read`), the request is checked against the API's model, so that a wrong property or type
still fails, and kept in a ledger.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore import xform_name
from botocore.validate import ParamValidator
from moto.cloudformation import parsing
from moto.cloudformation.models import Stack
from moto.core.common_models import CloudFormationModel

REGION = "ap-northeast-2"
_GONE = ("terminated", "deleted", "deleting", "PendingDeletion", "DeletedDate")
Properties = dict[str, Any]


class InUseError(Exception):
    """What AWS answers to the deletion of something that others use, and moto does not; CloudFormation tries again."""


@functools.cache
def client(service: str) -> Any:
    """Return the client of a service; kept, because making one takes longer than most calls."""
    return boto3.client(service, region_name="us-east-1" if service in {"cloudfront", "budgets"} else REGION)


def camel(value: Any, *keep: str) -> Any:
    """Lower the first letter of every key, as EKS spells them; below `keep` keys are data."""
    if isinstance(value, list):
        return [camel(item, *keep) for item in value]
    if not isinstance(value, dict):
        return value
    return {k[0].lower() + k[1:]: v if k in keep else camel(v, *keep) for k, v in value.items()}


@dataclass(frozen=True)
class Type:
    """How one resource type is driven: API calls as `(operation, arguments)`, computed from properties or identity."""

    service: str
    create: str | Callable[[Properties], str]
    request: Callable[[Properties, str], Properties]
    identity: Callable[[Any, Properties], str]
    read: Callable[[str], tuple[str, Properties]] | None = None
    delete: Callable[[str], tuple[str, Properties]] | None = None
    attributes: Mapping[str, Callable[[Any, str], str]] | None = None


#: The classes, kept because Python forgets subclasses that nobody holds, and moto finds them as subclasses.
_TAUGHT: list[type[CloudFormationModel]] = []
#: What exists of the types that moto has no API for, by type and identity.
LEDGER: dict[tuple[str, str], Properties] = {}


def _fill(value: Any) -> Any:
    """Turn CloudFormation's numbers and booleans in strings into what the API takes."""
    if isinstance(value, dict):
        return {k: _fill(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(item) for item in value]
    if isinstance(value, str) and value in {"true", "false"}:
        return value == "true"
    return value


def _model_only(kind: str, one: Type, operation: str, request: Properties) -> Any:
    shape = client(one.service).meta.service_model.operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise AssertionError(f"{kind}: {report.generate_report()}")
    return {"Id": str(uuid.uuid4())}


def _snake(operation: str) -> str:
    return str(xform_name(operation))


def _call(one: Type, operation: str, request: Properties) -> Any:
    return getattr(client(one.service), _snake(operation))(**request)


def exists(kind: str, one: Type, identity: str) -> bool:
    """Tell by the service's API, or by the ledger, whether a resource of a taught type is there."""
    if one.read is None:
        return (kind, identity) in LEDGER
    operation, request = one.read(identity)
    try:
        found = _call(one, operation, request)
    except client(one.service).exceptions.ClientError:
        return False
    lists = [value for value in found.values() if isinstance(value, list)]
    # Some things linger in a state of deletion.
    return (not lists or any(lists)) and not any(f"'{word}'" in str(found) for word in _GONE)


def _teach(kind: str, one: Type) -> None:
    class Taught(CloudFormationModel):  # type: ignore[misc]
        def __init__(self, identity: str, answer: Any) -> None:
            self.physical_resource_id = identity
            self.answer = answer

        @staticmethod
        def cloudformation_type() -> str:
            return kind

        @staticmethod
        def cloudformation_name_type() -> str:
            return ""

        @classmethod
        def has_cfn_attr(cls, attr: str) -> bool:
            return attr in (one.attributes or {})

        def get_cfn_attribute(self, name: str) -> str:
            # Within Fn::Sub, moto cuts `Endpoint.Address` after its first part.
            found = next(value for key, value in (one.attributes or {}).items() if key.startswith(name))
            return found(self.answer, self.physical_resource_id)

        def is_created(self) -> bool:
            return True

        @classmethod
        def create_from_cloudformation_json(
            cls, resource_name: str, cloudformation_json: Any, _account: str, _region: str, **_more: Any
        ) -> Taught:
            properties = _fill(cloudformation_json["Properties"])
            request = one.request(properties, resource_name)
            operation = one.create if isinstance(one.create, str) else one.create(properties)
            answer = _model_only(kind, one, operation, request) if one.read is None else _call(one, operation, request)
            identity = one.identity(answer, properties | {"_name": resource_name})
            if one.read is None:
                LEDGER[kind, identity] = properties
            return cls(identity, answer)

        @classmethod
        def delete_from_cloudformation_json(cls, resource_name: str, _json: Any, _account: str, _region: str) -> None:
            if one.read is None:
                del LEDGER[kind, resource_name]
            elif one.delete is not None:
                _call(one, *one.delete(resource_name))

    _TAUGHT.append(Taught)


def _output(stack: Stack, name: str) -> str:
    """Return what `GetAtt Nested.Outputs.X` gives: the one attribute of a stack that moto does not know."""
    return str(stack.output_map[name.removeprefix("Outputs.")].value)


def teach(types: Mapping[str, Type]) -> None:
    """Register types; moto looks once and remembers, and of two models of a type it takes the later."""
    Stack.get_cfn_attribute = _output
    if not _TAUGHT:
        for kind, one in types.items():
            _teach(kind, one)
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
