"""Generated Communities that the CRD accepts, nasty in every string.

Half of the values come from one list that is used for every string, half from the formats that the apiserver knows; of
both only what the field's own node of the schema accepts. Where a rule accepts too few of them, texts made from its
pattern come on top. Seeded: the same number gives the same resource.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bapsang_operator import names
from bapsang_operator.build import ingress
from bapsang_operator.manifest import Manifest
from bapsang_operator.resource import SPEC, core, validate
from bapsang_operator.resource.core import Schema

from .world import UID

#: Used for every string.
NASTY: Final = (
    *("", " ", "\t", "\n", "\r\n", "\0", "\x1b[31m", "\x7f", "\ufeff", "\u202e", "\u2028", "\ud7ff", "\U0010ffff"),
    *("밥상", "ß", "ı", "İ", "é", "e\u0301", "🍚", "👩‍👩‍👧", "١٢", "²", "½", "Ⅷ", "a\0b", "ａ"),
    *("0", "00", "-0", "+1", "-1", "01", "1e9", "1e-9", "1E400", "0x10", "1_000", "0.1", ".5", "5.", "NaN", "Infinity"),
    *("null", "Null", "~", "true", "True", "False", "yes", "no", "None", "undefined", "[]", "{}", "[object Object]"),
    *("a", "A", "-", "--", "-a", "a-", "a.", ".a", "a..b", ".", "..", "../../x", "/", "//", "a/b", "C:\\", "~root"),
    *("x" * 63, "x" * 64, "x" * 253, "x" * 254, "9" * 19, "9" * 20, "a." * 126 + "a", "가" * 100, "x" * 4096),
    *("%", "%s", "%n", "%(x)s", "{", "}", "{0}", "{x!r}", "${HOME}", "$(HOME)", "$$", "`id`", "$(id)", "; rm -rf /"),
    *(
        "'",
        '"',
        "''",
        '"""',
        "\\",
        "\\n",
        "\\u0000",
        "' OR 1=1 --",
        "<script>",
        "&amp;",
        "<!--",
        "]]>",
        "#",
        "a=b,c=d",
        ",",
    ),
    *(":", "::", "a:b", "key: value", "- a", "? a", "*a", "&a", "!a", "|", ">", "@a", "---", "...", "<<"),
    *(
        "http://",
        "http://[",
        "http://[::1]",
        "http://a:99999",
        "http://a:0",
        "http://a@b",
        "http://a/?b#c",
        "//a",
        "a://b",
    ),
    *("redis://", "redis://:p@ss@h", "rediss://h:65535/99", "mysql+pymysql://u:p%40@h/d?x=1", "javascript:alert(1)"),
    *("1Gi", "1gi", "1m", "1M", "0Ki", "1000000Ei", "0.0000001", "1e3Mi", "9223372036854775807", "9223372036854775808"),
    *(
        "@never",
        "@hourly",
        "* * * * *",
        "*/99 * * * *",
        "59 23 31 12 sat",
        "0 0 30 feb *",
        "0 0 31 2 *",
        "*/5 */7 */31 * *",
    ),
    *(
        "9999h",
        "24h",
        "9999m",
        "0m",
        "Factory",
        "Asia/Seoul",
        "Etc/GMT+12",
        "America/Argentina/Buenos_Aires",
        "US/Eastern",
    ),
    *(
        "bapsang.dev/x",
        "kubernetes.io/x",
    ),
    *(
        "PATH",
        "LD_PRELOAD",
        "BAPSANG_X",
    ),
)
#: A few texts of each format of OpenAPI that the apiserver knows.
FORMATS: Final = (
    *("192.0.2.1", "255.255.255.255", "0.0.0.0", "2001:db8::1", "::", "::ffff:192.0.2.1", "fe80::1%eth0"),  # noqa: S104
    *("10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "01:23:45:67:89:ab", "01-23-45-67-89-AB"),
    *("a@b.example", '"a b"@example.com', "a+b@[192.0.2.1]", "example.com", "xn--bcher-kva.example", "localhost"),
    *(
        "https://example.com/a?b=c#d",
        "https://example.com",
        "urn:isbn:0451450523",
        "mailto:a@b.example",
        "http://a:65535",
    ),
    *("2026-11-27", "0001-01-01", "9999-12-31", "2024-02-29", "2026-11-27T17:30:00Z", "2026-11-27T17:30:00+09:00"),
    *("2099-12-31T23:59:59-13:45", "2000-01-01T00:00:00Z", "1985-04-12T23:20:50.52Z", "2026-06-30T23:59:60Z"),
    *(
        "1h30m",
        "2 ns",
        "3 weeks",
        "90m",
        "2h",
        "P1D",
        "00000000-0000-4000-8000-000000000000",
        "507f1f77bcf86cd799439011",
    ),
    *("00000000000010008000000000000000", "978-3-16-148410-0", "0451450523", "4111-1111-1111-1111", "123-45-6789"),
    *(
        "#fff",
        "#ffffff",
        "rgb(1,2,3)",
        "aGk=",
        "aGk",
        "====",
        "hunter2",
        "registry.example:5000/a/b@sha256:" + "0" * 64,
    ),
    *("2147483647", "-2147483648", "9223372036854775807", "3.4028235e38", "ap-northeast-2", "a-b-c", "api.example.com"),
)
#: Values of the one annotation that the operator reads in a map of the user's.
_DELAYS: Final = tuple(
    f"{ingress.DEREGISTRATION_DELAY}={value}" for value in ("²", "٣", "", "9" * 5000, "-1", "1,=,==")
)
_MATCHES: Final = re.compile(r"self\.matches\('(.*?)'\)")
#: Values of a field beside those lists, where its pattern accepts fewer than that many of them.
FEWEST: Final = 12


def _accepts(node: Schema, text: str) -> bool:
    return core.validate(node, text, "") == []


@functools.cache
def _of_pattern(pattern: str) -> tuple[str, ...]:
    found: dict[str, None] = {}

    @given(text=st.from_regex(pattern.replace("$", r"\Z"), fullmatch=True))
    @settings(max_examples=15, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    def collect(text: str) -> None:
        # As they come, and with the largest digits: that is what a pattern lets through and a parser does not.
        found.update(dict.fromkeys((text, re.sub("[0-9]", "9", text))))

    collect()
    return tuple(found)


def texts(node: Schema) -> list[list[str]]:
    """Return the texts that a field accepts: of the nasty list, of the formats, and of its pattern."""
    if "enum" in node:
        return [list(node["enum"])]
    lists = [[text for text in source if _accepts(node, text)] for source in (NASTY, FORMATS)]
    patterns = [node["pattern"]] if "pattern" in node else []
    for entry in node.get("x-kubernetes-validations", ()):
        patterns += [found.replace("\\\\", "\\") for found in _MATCHES.findall(entry["rule"])]
    if patterns and sum(map(len, lists)) < FEWEST:
        lists.append([text for pattern in patterns for text in _of_pattern(pattern) if _accepts(node, text)])
    return [found for found in lists if found]


def _places(value: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield every object or list with each of its keys and the path of what is there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        where = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}"
        yield value, key, where
        yield from _places(item, where)


#: What `texts` returned, by the node's id.
_POOLS: Final[dict[int, list[list[str]]]] = {}


class Generator:
    """Draws resources; those that rules between fields refuse are drawn again."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def resource(self) -> Manifest:
        """Return a Community that the CRD accepts."""
        while True:
            found = self._spec()
            if not validate(found):
                return {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KIND,
                    "metadata": self._metadata(),
                    "spec": found,
                }

    def spoil(self, resource: Manifest, number: int) -> str:
        """Put something else in one place of the spec, and return its path; which place and what follow from `number`."""
        places = list(_places(resource["spec"], "spec"))
        holder, key, where = places[number % len(places)]
        holder[key] = (self.text(), [], {}, {"": self.text()}, -1, 0.5, True, 10**30, [[]])[number % 9]
        return where

    def text(self) -> str:
        """Return any nasty text."""
        return self._random.choice(self._random.choice((NASTY, FORMATS)))

    def _metadata(self) -> Manifest:
        name = self._random.choice(("c", "a" * names.MAX_NAME, "a--0"))
        annotations = {} if self._random.random() < 0.7 else {names.ANNOTATION_PAUSED: self.text(), "a": self.text()}
        return {"name": name, "namespace": "ns", "uid": UID, "generation": 1, "annotations": annotations}

    def _spec(self) -> Manifest:
        found: Manifest = self._object(SPEC, chance=0.6)
        # Both modes of the stores in half of the cases each: rules between fields refuse nearly all else.
        if self._random.random() < 0.5:
            found["redis"] = {
                **self._some(found, "redis", "resources", "tls"),
                "mode": "external",
                **self._one_address(),
            }
        else:
            found["redis"] = self._some(found, "redis", "resources", "persistence")
        if self._random.random() < 0.5:
            refs = {"writerSecretRef": self._of("database.writerSecretRef"), "mode": "external"}
            found["database"] = {**self._some(found, "database", "resources", "readerSecretRef", "tls"), **refs}
        else:
            found["database"] = self._some(found, "database", "resources", "storage")
        return found

    def _some(self, found: Manifest, part: str, *fields: str) -> Manifest:
        return {name: value for name, value in found.get(part, {}).items() if name in fields}

    def _one_address(self) -> Manifest:
        field = self._random.choice(("url", "secretRef"))
        return {field: self._of(f"redis.{field}")}

    def _of(self, path: str) -> Any:
        node = SPEC
        for step in path.split("."):
            node = node["properties"][step]
        return self._value(node)

    def _value(self, node: Schema) -> Any:
        """Return a value that the node accepts by itself."""
        for _ in range(40):
            found = self._any(node)
            if not core.validate(node, core.with_defaults(node, found), ""):
                return found
        raise AssertionError(f"no value found for {node.get('description')}")

    def _any(self, node: Schema) -> Any:
        chance = self._random
        if node.get("x-kubernetes-int-or-string") and chance.random() < 0.3:
            return chance.choice((0, 1, 2**31, 2**63 - 1))
        match node.get("type", "string"):
            case "string":
                pools = _POOLS.get(id(node)) or _POOLS.setdefault(id(node), texts(node))
                return chance.choice(chance.choice(pools))
            case "integer":
                low, high = node["minimum"], node["maximum"]
                return chance.choice((low, high, chance.randint(low, high), chance.randint(low, min(high, low + 9))))
            case "boolean":
                return chance.random() < 0.5
            case "array":
                count = chance.choice((0, 1, 1, 2, 3))
                found = [self._value(node["items"]) for _ in range(count)]
                keys = node.get("x-kubernetes-list-map-keys", ())
                default = {key: node["items"]["properties"][key].get("default") for key in keys}
                unique = {tuple(item.get(key, default[key]) for key in keys): item for item in found}
                return list(unique.values()) if keys else found
        return self._map(node) if "properties" not in node else self._object(node, chance=0.5)

    def _object(self, node: Schema, chance: float) -> Manifest:
        wanted, unwanted = set(node.get("required", ())), set()
        for entry in node.get("x-kubernetes-validations", ()):
            if entry["rule"].endswith(".filter(one, one).size() == 1"):
                fields = re.findall(r"self\.(\w+)", entry["rule"])
                wanted.add(self._random.choice(fields))
                unwanted |= {*fields} - wanted
        return {
            name: self._value(child)
            for name, child in node["properties"].items()
            if name in wanted or (name not in unwanted and self._random.random() < chance)
        }

    def _map(self, node: Schema) -> Manifest:
        # Names of rules and of annotations: those that their map accepts, whatever they are.
        extra = node["additionalProperties"]
        rate = self._random.choice(("off", "1/1", "999999999/999999"))
        candidates = [(self.text(), self._value(extra)) for _ in range(self._random.randint(0, 3))] + [("ip", rate)]
        if self._random.random() < 0.5:
            candidates.append((ingress.ATTRIBUTES, self._random.choice(_DELAYS)))
        return {
            name: value
            for name, value in candidates
            if not core.validate(node, {name: value}, "") and len(name) <= 4096
        }
