"""Whatever spec the schema accepts: builders, planner and status raise nothing, and settle. One Community whose spec
made them raise would be a Community that nobody looks after."""

from __future__ import annotations

import copy
import functools
import os
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bapsang_operator.manifest import Manifest
from bapsang_operator.planning import prewarm
from bapsang_operator.resource import SPEC, parse, validate
from bapsang_operator.resource.core import Schema

from .field_rows import ROWS
from .test_fields import merged, with_field
from .world import NOW, Cluster, children, condition_of, resource, status_of

_MATCHES = re.compile(r"self\.matches\('(.*?)'\)")
#: Beside what the patterns allow: texts that parsers stumble over, where a field takes any text.
_ODD = ("", "0", "-1", "1e9", "a/b", "..", "http://[", "http://a:99999", "x" * 32, "밥상", "\x00", "@never")


def _texts(node: Schema) -> st.SearchStrategy[Any]:
    patterns = [rule["rule"] for rule in node.get("x-kubernetes-validations", ())]
    found = [pattern.replace("\\\\", "\\") for rule in patterns for pattern in _MATCHES.findall(rule)]
    found += [node["pattern"]] if "pattern" in node else []
    if "enum" in node:
        return st.sampled_from(node["enum"])
    shapes = [st.from_regex(one.replace("$", r"\Z"), fullmatch=True) for one in found]
    # Numbers within a text at their largest as well: that is what a pattern lets through and a parser does not.
    shapes += [shape.map(lambda text: re.sub("[0-9]", "9", text)) for shape in shapes]
    return st.one_of(*shapes) if shapes else st.text(max_size=9) | st.sampled_from(_ODD)


def _values(node: Schema) -> st.SearchStrategy[Any]:
    """Return values of one field, most of them such as its own node of the schema accepts."""
    if node.get("x-kubernetes-int-or-string"):
        return st.integers(0, 2**63 - 1) | _texts(node)
    match node["type"]:
        case "string":
            return _texts(node)
        case "integer":
            return st.integers(node["minimum"], node["maximum"])
        case "boolean":
            return st.booleans()
        case "array":
            return st.lists(_values(node["items"]), max_size=3)
    if "properties" not in node:
        return st.dictionaries(
            st.sampled_from(["a", "ip", "login_ip"]), _values(node["additionalProperties"]), max_size=2
        )
    required = {name: _values(child) for name, child in node["properties"].items() if name in node.get("required", ())}
    others = {name: _values(child) for name, child in node["properties"].items() if name not in required}
    return st.fixed_dictionaries(required, optional=others)


@functools.cache
def _values_of(path: str) -> st.SearchStrategy[Any]:
    node: Schema = SPEC
    for step in path.replace("[]", ".[]").split("."):
        node = node["items"] if step == "[]" else node["properties"][step]
    return _values(node)


def _list_of(path: str) -> str:
    """Return the first list that a path leads through: the surroundings of two fields in one list exclude each other."""
    return path.partition("[]")[0]


@st.composite
def _specs(draw: st.DrawFn) -> Manifest:
    """Draw values for some fields, each in a surrounding in which it counts (its row's)."""
    chosen = draw(st.lists(st.sampled_from(sorted(ROWS)), min_size=1, max_size=3, unique_by=_list_of))
    found: Manifest = {}
    for path in chosen:
        found = merged(found, merged(ROWS[path].given, ROWS[path].then))
    for path in chosen:
        found = with_field(found, path, draw(_values_of(path)))
    return found


def _live(changes: Manifest, now: datetime) -> None:
    found = resource(**changes)
    wanted = prewarm.with_windows(parse(found), now)
    prewarm.next_change(wanted, now)
    cluster = Cluster(wanted)
    told = status_of(cluster, now=now)
    assert condition_of(told, "Degraded")["status"] == "False"
    for child in children(wanted):
        cluster.put(child.manifest)
    cluster.settle()
    settled = cluster.plan()
    assert settled.applies == []
    status_of(cluster, told, planned=settled, now=now)


#: hypothesis wants its bounds without a zone.
_NOWS = st.datetimes(datetime(2026, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(changes=_specs(), now=_NOWS)
@settings(
    max_examples=int(os.environ.get("BAPSANG_TEST_SPECS", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
def test_no_spec_that_is_accepted_makes_the_operator_raise(changes: Manifest, now: datetime) -> None:
    if not validate(resource(**copy.deepcopy(changes))["spec"]):
        _live(changes, now)


#: Where a spec names a port. Each is refused beyond 65535 and at 0, as the field's own error.
PORTS: dict[str, Manifest] = {
    "publicUrl": {"publicUrl": "http://c.example.com:PORT"},
    "auth.issuer": {"auth": {"issuer": "https://c.example.com:PORT"}},
    "api.corsOrigins[0]": {"api": {"corsOrigins": ["http://localhost:PORT"]}},
    "api.autoscaling.keda.prometheusUrl": {
        "api": {"autoscaling": {"keda": {"prometheusUrl": "http://p:PORT/path", "requestsPerPod": 1}}}
    },
    "redis.url": {"redis": {"mode": "external", "url": "rediss://cache:PORT/0"}},
    **{
        f"storage.{name}": {"storage": {"bucket": "media", name: "http://s3.svc:PORT"}}
        for name in ("endpoint", "uploadUrl", "publicUrl")
    },
}


def _with_port(value: Any, port: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_port(one, port) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_port(one, port) for one in value]
    return value.replace("PORT", port) if isinstance(value, str) else value


@pytest.mark.parametrize("field", PORTS)
def test_port_that_does_not_exist_is_refused_by_field(field: str) -> None:
    for port in ("0", "65536", "70700", "99999"):
        violations = validate(resource(**_with_port(PORTS[field], port))["spec"])
        assert [violation.field for violation in violations] == [f"spec.{field}"], port
        assert "65535" in violations[0].message
    for port in ("1", "80", "09000", "6379", "10000", "59999", "64999", "65499", "65529", "65535"):
        changes = _with_port(PORTS[field], port)
        assert validate(resource(**changes)["spec"]) == [], port
        _live(changes, NOW)
