"""Reads files of manifests as kubectl does: YAML or JSON, several documents in one file. Pure, and bounded.

YAML is composed here from the parser's events, for three reasons. Plain scalars mean what they mean to kubectl (a date
stays text, `1e3` is a number). Neither nesting nor aliases within aliases can exhaust the stack or the memory. Whatever
JSON could not carry to the apiserver is refused: keys that are no text, `.nan`, tags of programming languages.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

#: What an apiserver takes in one request.
MAX_BYTES: Final = 3 * 1024 * 1024
#: Values of one file, those behind aliases counted as often as they are named.
MAX_VALUES: Final = 100_000
#: Objects and lists within each other.
MAX_DEPTH: Final = 100

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG: Final = "tag:yaml.org,2002:"
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    spelled: value
    for words, value in (("y yes on true", True), ("n no off false", False))
    for word in words.split()
    for spelled in (word, word.capitalize(), word.upper())
}
_INTEGER: Final = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
#: Integers that JSON carries unchanged; larger ones are floats to the apiserver.
_INT64: Final = range(-(2**63), 2**63)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class UnreadableError(ValueError):
    """A file is neither YAML nor JSON, or exceeds a bound; the message says what is wrong."""


def read(content: bytes) -> list[Any]:
    """Return the documents of a file, empty ones left out. Raises UnreadableError."""
    if len(content) > MAX_BYTES:
        raise UnreadableError(f"has more than {MAX_BYTES} bytes")
    if content.lstrip()[:1] == b"{":
        try:
            return [_bounded(json.loads(content, parse_constant=_refused, parse_int=_integer, parse_float=_float))]
        except RecursionError as error:
            raise UnreadableError(f"is nested more than {MAX_DEPTH} deep") from error
        except UnreadableError:
            raise
        except ValueError:
            pass  # a mapping of YAML in its flow style begins in the same way
    composer = _Composer()
    try:
        for event in yaml.parse(content, Loader=_LOADER):
            composer.take(event)
    except UnreadableError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise UnreadableError(f"is no YAML: {' '.join(str(error).split())[:300]}") from error
    return [document for document in composer.documents if document is not None]


def _refused(constant: str) -> Any:
    raise UnreadableError(f"has the number {constant}, which JSON does not know")


def _integer(text: str) -> Any:
    # Longer texts are beyond an int64, and Python refuses to parse the longest.
    return int(text) if len(text) < 25 and int(text) in _INT64 else _float(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise UnreadableError(f"has a number that is too large: {text[:20]}")
    return number


def _bounded(value: Any) -> Any:
    """Return a value of JSON with its texts made fit for UTF-8. Raises UnreadableError beyond the bounds."""
    count = 0

    def copied(value: Any, depth: int) -> Any:
        nonlocal count
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise _exceeded(count)
        if isinstance(value, dict):
            return {_text(key): copied(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [copied(item, depth + 1) for item in value]
        return _text(value) if isinstance(value, str) else value

    return copied(value, 0)


def _exceeded(count: int) -> UnreadableError:
    what = f"has more than {MAX_VALUES} values" if count > MAX_VALUES else f"is nested more than {MAX_DEPTH} deep"
    return UnreadableError(what)


def _text(text: str) -> str:
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


@dataclass
class _Open:
    """An object or a list that has begun. `weight`: its values, those behind aliases counted each time."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    weight: int = 1
    key: str | None = None
    merged: list[dict[str, Any]] = field(default_factory=list)


#: Stands for the key `<<`, whose value is merged into the object that it stands in.
_MERGE: Final = "\0merge"


class _Composer:
    """Builds documents from the events of a parser, without recursion."""

    def __init__(self) -> None:
        self.documents: list[Any] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._weight = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event. Raises UnreadableError."""
        match event:
            case yaml.DocumentStartEvent():
                self._anchors = {}
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end()
            case yaml.AliasEvent():
                if event.anchor not in self._anchors:
                    raise UnreadableError(f"names the anchor {event.anchor} within itself or before it is there")
                self._add(*self._anchors[event.anchor], plain=False)
            case yaml.ScalarEvent():
                value = _scalar(event)
                if event.anchor is not None:
                    self._anchors[event.anchor] = (value, 1)
                self._add(value, 1, plain=event.implicit[0], text=event.value)

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        if event.tag not in {None, "!", _TAG + kind}:
            raise UnreadableError(f"has the tag {event.tag[:80]}, which JSON does not know")
        if len(self._open) >= MAX_DEPTH:
            raise _exceeded(0)
        if self._open and self._expects_key():
            raise UnreadableError("has an object or a list as a key")
        self._open.append(_Open({} if kind == "map" else [], event.anchor))

    def _end(self) -> None:
        done = self._open.pop()
        for merged in done.merged:
            done.value = merged | done.value  # type: ignore[operator]
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.value, done.weight)
        self._add(done.value, done.weight, plain=False)

    def _expects_key(self) -> bool:
        return isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _add(self, value: Any, weight: int, *, plain: bool, text: str = "") -> None:
        """Put a whole value where it belongs."""
        if not self._open:
            self._weight += weight
            if self._weight > MAX_VALUES:
                raise _exceeded(self._weight)
            self.documents.append(value)
            return
        into = self._open[-1]
        into.weight += weight
        if into.weight > MAX_VALUES:
            raise _exceeded(into.weight)
        if isinstance(into.value, list):
            into.value.append(value)
        elif into.key is None:
            into.key = _MERGE if plain and text == "<<" else _key(value)
            if into.key in into.value:
                raise UnreadableError(f'has the key "{into.key[:80]}" twice in one object')
        else:
            key, into.key = into.key, None
            if key is _MERGE:
                into.merged += _to_merge(value)
            else:
                into.value[key] = value


def _to_merge(value: Any) -> list[dict[str, Any]]:
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in found):
        raise UnreadableError("merges (<<) what is no object")
    return found


def _key(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
    raise UnreadableError("has an object, a list or null as a key")


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = _text(event.value)
    if event.tag is None and event.implicit[0]:
        return _plain(text)
    if event.tag in {None, "!", f"{_TAG}str"}:
        return text
    value = _plain(text)
    name = event.tag.removeprefix(_TAG)
    if name in _NAMES and isinstance(value, _NAMES[name]):
        return value
    raise UnreadableError(f"has the tag {event.tag[:80]}, which JSON does not know or its value is not")


_NAMES: Final[dict[str, type | tuple[type, ...]]] = {
    "null": type(None),
    "bool": bool,
    "int": int,
    "float": (int, float),
}


def _plain(text: str) -> Any:
    """Return what a scalar without quotes means to kubectl."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _NO_NUMBER.fullmatch(text):
        return _refused(text)
    digits = text.replace("_", "") if text[:1].isdigit() or text[:1] in {"-", "+", "."} else ""
    if len(digits) < 70 and _INTEGER.fullmatch(digits):
        number = int(re.sub("^([-+]?)0([0-7]+)$", r"\g<1>0o\2", digits), 0)
        return number if number in _INT64 else float(number)
    if _FLOAT.fullmatch(digits) and math.isfinite(float(digits)):
        return float(digits)
    return text
