"""Whatever resource the CRD accepts: plan and status raise nothing, and every refusal names its field.

`preview` and `status.compute` are called directly, beneath everything that catches exceptions of a pass.
"""

from __future__ import annotations

import copy
import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bapsang_operator.conditions import events
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Reason
from bapsang_operator.offline import documents, preview
from bapsang_operator.offline.preview import RefusedError
from bapsang_operator.planning import prewarm
from bapsang_operator.problem import Problem
from bapsang_operator.problems import prerequisites
from bapsang_operator.resource import SPEC, STATUS, core, parse
from bapsang_operator.resource.core import Schema, Violation

from .nasty import FORMATS, NASTY, Generator, texts
from .world import Cluster, children, status_of

#: Generated resources; the nightly part `long-operator` has more.
COUNT = int(os.environ.get("BAPSANG_TEST_NASTY", "80"))
#: Resources a test, so that none runs for long.
CHUNK = 500
SEEDS = range(max(1, COUNT // CHUNK))


def _reconcile(resource: Manifest, now: datetime) -> None:
    """Do what passes over a new Community do, without a cluster, until nothing is left to do."""
    wanted = prewarm.with_windows(parse(resource), now)
    prewarm.next_change(wanted, now)
    cluster = Cluster(wanted)
    found = [Problem(Reason.SECRET_MISSING, f"{resource['spec']}"), *prerequisites.of_drain(wanted)]
    found += prerequisites.of_windows(prewarm.unusable(wanted, now))
    told = status_of(cluster, found=found, windows=prewarm.openings(wanted, now), now=now)
    assert core.validate(STATUS, told, "status") == []
    for child in children(wanted):
        cluster.put(child.manifest)
    cluster.settle()
    settled = cluster.plan()
    assert settled.applies == []
    new = status_of(cluster, told, planned=settled, windows=prewarm.openings(wanted, now), now=now)
    assert core.validate(STATUS, new, "status") == []
    events.transitions(told, new)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_raises_on_a_resource_that_the_crd_accepts(seed: int) -> None:
    generator = Generator(seed)
    for number in range(min(COUNT, CHUNK)):
        resource = generator.resource()
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=7 * number)
        try:
            found = preview.preview(copy.deepcopy(resource))
            json.dumps(found.children)
            _reconcile(resource, now)
        except Exception as error:
            raise AssertionError(f"seed {seed}, resource {number}: {json.dumps(resource)}") from error
        assert found.dropped == []


def _refusals(resource: Manifest) -> list[Violation]:
    try:
        preview.preview(resource)
    except RefusedError as error:
        assert error.violations, "refused without a reason"  # noqa: PT017 - most are not refused
        return error.violations
    return []


@pytest.mark.parametrize("seed", SEEDS)
def test_every_refusal_of_a_spoiled_resource_names_a_field(seed: int) -> None:
    generator = Generator(seed)
    refused: Counter[bool] = Counter()
    for number in range(min(COUNT, CHUNK)):
        resource = generator.resource()
        where = generator.spoil(resource, number)
        violations = _refusals(copy.deepcopy(resource))
        refused[bool(violations)] += 1
        assert all(one.field.startswith("spec") and one.message for one in violations), violations
        # The field itself, or the one that a rule compares with it.
        near = [one for one in violations if one.field.startswith(where) or where.startswith(one.field)]
        assert near or len(violations) < 2, (where, violations)
    assert refused[True] > refused[False] > 0


def _strings(node: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    for name, child in node.get("properties", {}).items():
        yield from _strings(child, f"{path}.{name}")
    if "items" in node:
        yield from _strings(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from _strings(node["additionalProperties"], f"{path}.*")
    if node.get("type") == "string" and "enum" not in node:
        yield path, node


def test_every_string_of_the_spec_gets_enough_texts() -> None:
    pools = {path: texts(node) for path, node in _strings(SPEC, "spec")}
    assert all(sum(map(len, found)) >= 3 for found in pools.values()), pools
    free = [found for found in pools.values() if len(found[0]) > len(NASTY) * 0.9]
    assert len(free) >= 5
    assert len(set(NASTY)) == len(NASTY)
    assert len(set(FORMATS)) == len(FORMATS)


_TEXT = st.text(max_size=9) | st.sampled_from(NASTY + FORMATS)
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)


def _spoiled(seed: int, metadata: Manifest, part: Manifest, whole: Manifest) -> Manifest:
    found = Generator(seed).resource()
    return found | {"metadata": found["metadata"] | metadata, "spec": found["spec"] | part} | whole


def _at_most_one(keys: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Manifest]:
    """A map with one of the keys, or, twice as often, none."""
    one = st.dictionaries(st.sampled_from(keys), values, min_size=1, max_size=1)
    return st.sampled_from([one, st.just({}), st.just({})]).flatmap(lambda chosen: chosen)


_DOCUMENT = st.builds(
    _spoiled,
    st.integers(0, 99),
    _at_most_one(
        ["name", "namespace", "labels", "annotations", "ownerReferences"],
        _ANY | st.dictionaries(_TEXT, _TEXT, max_size=2),
    ),
    _at_most_one([*SPEC["properties"], "x"], _ANY),
    _at_most_one(["apiVersion", "metadata", "spec", "status", "items"], _ANY),
)


@given(document=_DOCUMENT)
@settings(max_examples=max(100, COUNT // 10), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_document_is_planned_or_refused_by_its_fields(document: Manifest) -> None:
    for read in documents.read(json.dumps(document).encode()):
        for resource in preview.communities(read):
            violations = _refusals(resource)
            assert all(one.field and one.message for one in violations)


def test_generated_resources_are_written_and_read_back() -> None:
    generator = Generator(0)
    for _ in range(30):
        resource = generator.resource()
        assert documents.read(json.dumps(resource).encode()) == [resource]
