"""Nodes of the CRD: kinds of values that occur in several places, each with its limits and its messages."""

from __future__ import annotations

import re
from typing import Any, Final

from bapsang_operator.resource import quantity
from bapsang_operator.resource.core import Schema, rule

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


def choice(description: str, values: list[str], **more: Any) -> Schema:
    """Return the schema of one of several words."""
    return {"type": "string", "description": description, "enum": values, **more}


def array(description: str, max_items: int, items: Schema, *, key: str = "", **more: Any) -> Schema:
    """Return the schema of a list of at most `max_items`; with `key`, the items are told apart by these fields."""
    by_key = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": key.split()} if key else {}
    return {"type": "array", "description": description, "maxItems": max_items, **by_key, "items": items, **more}


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


def namespace_name(description: str) -> Schema:
    """Return the schema of the name of a namespace."""
    rule = matches(f"^{_DNS_LABEL}$", "must be the name of a namespace: lower case letters, digits and -")
    return text(description, 63, **rules(rule))


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


def amount(description: str) -> Schema:
    """Return the schema of a quantity of Kubernetes: a text such as 256Mi, or a whole number."""
    return {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": quantity.PATTERN,
        "maxLength": 20,
        # A pattern judges texts only; whole numbers come without quotes.
        "minimum": 0,
        "description": description,
    }


def string_map(description: str, max_entries: int, longest: int = 4096, **more: Any) -> Schema:
    """Return the schema of a map from strings to strings of at most `longest` characters."""
    return {
        "type": "object",
        "description": description,
        "maxProperties": max_entries,
        "additionalProperties": {"type": "string", "maxLength": longest},
        **more,
    }
