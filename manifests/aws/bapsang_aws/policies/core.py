"""What a policy is: a rule over a rendered estate that names each resource that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bapsang_aws.render import Estate, Resource

#: Yields the resources that break the rule, each with what is wrong about it.
Check = Callable[[Estate], Iterable[tuple[Resource | str, str]]]

#: Every policy by its name, in the order of declaration.
POLICIES: Final[dict[str, Check]] = {}


@dataclass(frozen=True)
class Finding:
    """One resource that breaks one policy."""

    policy: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.policy}: {self.where}: {self.message}"


def policy(name: str) -> Callable[[Check], Check]:
    """Register a check under the name that findings carry."""

    def register(check: Check) -> Check:
        POLICIES[name] = check
        return check

    return register


def each(name: str, kind: str, message: str, holds: Callable[[Mapping[str, Any]], object]) -> None:
    """Register the policy that `holds` is true of the properties of every resource of a type."""

    def check(estate: Estate) -> Iterator[tuple[Resource | str, str]]:
        for resource in estate.of(kind):
            if not holds(resource.properties):
                yield resource, message

    POLICIES[name] = check


def judge(estate: Estate) -> list[Finding]:
    """Return every breach of every policy."""
    return [Finding(name, str(where), message) for name, check in POLICIES.items() for where, message in check(estate)]


def queues(estate: Estate) -> list[str]:
    """Return the queues of events that the estate has: that of uploads only where a function checks them."""
    return ["RemovalEvents", *(["UploadEvents"] if estate.parameters["CheckUploads"] == "true" else [])]


def listed(value: Any) -> list[Any]:
    """Return a list of one for what IAM documents allow to stand alone."""
    return list(value) if isinstance(value, list) else [value]


def dig(value: Any, *path: str | int) -> Any:
    """Return what lies at a path of keys and indexes; None where it ends early."""
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def true(value: Any) -> bool:
    """Tell whether CloudFormation reads a value as true."""
    return str(value).lower() == "true"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted path and the text of every value below `value`."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from leaves(below, f"{path}.{index}" if path else str(index))
    else:
        yield path, str(value)
