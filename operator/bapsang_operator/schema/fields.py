"""Pieces of the Community schema that occur in several places, each with its limits and its messages."""

from __future__ import annotations

import re
from typing import Any, Final

from bapsang_operator import quantity
from bapsang_operator.schema.core import Schema, rule

_DNS_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
HOST_PATTERN: Final = rf"^{_DNS_LABEL}(\.{_DNS_LABEL})*$"
#: 1 to 65535. Parsers raise on a larger one, and the pods that are given it could never connect.
PORT: Final = "0{0,4}([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
URL_PATTERN: Final = rf"^https?://{_DNS_LABEL}(\.{_DNS_LABEL})*(:{PORT})?$"
_PATH: Final = r"(/[A-Za-z0-9._~-]+)*"


def _list_of(value: str) -> str:
    item = rf"(\*|{value}(-{value})?)(/[1-9][0-9]?)?"
    return rf"{item}(,{item})*"


_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DAYS = "sun|mon|tue|wed|thu|fri|sat"
CRON_PATTERN: Final = (
    r"^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|"
    + " ".join(
        _list_of(value)
        for value in (
            "[0-5]?[0-9]",
            "([01]?[0-9]|2[0-3])",
            "(0?[1-9]|[12][0-9]|3[01])",
            f"(0?[1-9]|1[0-2]|{_MONTHS})",
            f"([0-6]|{_DAYS})",
        )
    )
    + ")$"
)


def obj(description: str, properties: dict[str, Schema], **more: Any) -> Schema:
    """Return the schema of an object with the given properties."""
    return {"type": "object", "description": description, **more, "properties": properties}


def text(description: str, max_length: int, **more: Any) -> Schema:
    """Return the schema of a string of at most `max_length` characters."""
    return {"type": "string", "description": description, "maxLength": max_length, **more}


def integer(description: str, minimum: int, maximum: int, **more: Any) -> Schema:
    """Return the schema of a bounded integer."""
    return {
        "type": "integer",
        "format": "int32",
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        **more,
    }


def boolean(description: str, default: bool) -> Schema:
    """Return the schema of a switch."""
    return {"type": "boolean", "description": description, "default": default}


def matches(pattern: str, message: str) -> Schema:
    """Return a rule that a string matches `pattern`; unlike `pattern:` it answers with a sentence, not with a regex."""
    literal = pattern.replace("\\", "\\\\")
    whole = re.compile(pattern.removeprefix("^").removesuffix("$"))
    return rule(f"self.matches('{literal}')", lambda value, _old: whole.fullmatch(value) is not None, message)


def rules(*entries: Schema) -> dict[str, Any]:
    """Return the keyword that attaches CEL rules to a node."""
    return {"x-kubernetes-validations": list(entries)}


def immutable(message: str) -> Schema:
    """Return a rule that a field keeps the value it was created with."""
    return rule("self == oldSelf", lambda value, old: value == old, message)


URL_RULE: Final = matches(
    URL_PATTERN, "must be http:// or https://, a DNS name and at most a port (1 to 65535), without a path"
)
BASE_URL_RULE: Final = matches(
    URL_PATTERN.removesuffix("$") + _PATH + "$",
    "must be http:// or https://, a DNS name, at most a port (1 to 65535) and a path without / at its end",
)
_OBJECT_NAME_RULE: Final = matches(
    rf"^{_DNS_LABEL}(\.{_DNS_LABEL})*$", "must be the name of an object: lower case letters, digits, - and ."
)


def object_name(description: str) -> Schema:
    """Return the schema of the name of an object, such as a Secret in the Community's namespace."""
    return text(description, 253, **rules(_OBJECT_NAME_RULE))


def schedule(default: str) -> Schema:
    """Return the schema of when a CronJob runs."""
    return text(
        "When it runs, as a cron schedule in UTC.",
        100,
        default=default,
        **rules(
            matches(
                CRON_PATTERN,
                "schedule must be five cron fields within their ranges, such as */5 * * * *, or @hourly, @daily …",
            )
        ),
    )


def secret_ref(description: str, default_key: str) -> Schema:
    """Return the schema of a reference to one key of a Secret in the Community's namespace."""
    return obj(
        description,
        {
            "name": object_name("Name of the Secret, in the namespace of the Community."),
            "key": text("Key within the Secret.", 253, minLength=1, default=default_key),
        },
        required=["name"],
    )


def _quantity(description: str, default: str | None) -> Schema:
    schema: Schema = {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": quantity.PATTERN,
        "maxLength": 20,
        # A pattern judges texts only; whole numbers come without quotes.
        "minimum": 0,
        "description": description,
    }
    return schema if default is None else schema | {"default": default}


def _covers(name: str) -> Schema:
    def twin(value: Any, _old: Any) -> bool:
        limits, requests = value.get("limits", {}), value.get("requests", {})
        return (
            name not in limits or name not in requests or quantity.parse(limits[name]) >= quantity.parse(requests[name])
        )

    return rule(
        f"!has(self.limits) || !has(self.limits.{name}) || !has(self.requests) || !has(self.requests.{name}) || "
        f"quantity(string(self.limits.{name})).compareTo(quantity(string(self.requests.{name}))) >= 0",
        twin,
        f"limits.{name} must be at least requests.{name}",
        ".limits",
    )


def resources(what: str, *, cpu: str, memory: str, memory_limit: str) -> Schema:
    """Return the schema of the resources of one container; there is no default CPU limit, because it only throttles."""
    return obj(
        f"Compute resources of {what}.",
        {
            "requests": obj(
                "What the scheduler reserves.",
                {
                    "cpu": _quantity("CPU cores, such as 100m or 2.", cpu),
                    "memory": _quantity("Memory, such as 256Mi.", memory),
                },
                default={},
            ),
            "limits": obj(
                "What the container may use at most. No CPU limit is set unless you set one.",
                {
                    "cpu": _quantity("CPU cores, such as 500m or 2.", None),
                    "memory": _quantity("Memory, such as 512Mi.", memory_limit),
                },
                default={},
            ),
        },
        default={},
        **{"x-kubernetes-validations": [_covers("cpu"), _covers("memory")]},
    )


def volume(what: str, size: str) -> Schema:
    """Return the schema of a volume. It never shrinks or moves, which the operator compares with the live claim: the
    spec before may have asked for what never came about."""
    return obj(
        f"Volume of {what}.",
        {
            "size": text(
                "Size, such as 5Gi. A volume only grows, and only where its StorageClass allows it.",
                20,
                default=size,
                pattern=quantity.PATTERN,
            ),
            "storageClassName": text(
                "StorageClass; the cluster's default class when absent. A volume that exists keeps its own.", 253
            ),
        },
        default={},
    )


def string_map(description: str, max_entries: int) -> Schema:
    """Return the schema of a map from strings to strings."""
    return {
        "type": "object",
        "description": description,
        "maxProperties": max_entries,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    }
