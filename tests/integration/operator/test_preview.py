"""`bapsang-operator plan` says what the operator applies, and refuses and fills in what the apiserver does."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import pytest
from tests.unit.operator.nasty import Generator

from bapsang_operator import names
from bapsang_operator.kinds import BY_NAME, COMMUNITY
from bapsang_operator.offline import documents, preview
from bapsang_operator.planning import drift

from .client import Client
from .namespace import Namespace, resource

Object = dict[str, Any]
#: Generated resources that are compared; the nightly part `long-operator` has more.
COUNT = int(os.environ.get("BAPSANG_TEST_NASTY", "400")) // 8


def _name(manifest: Object) -> tuple[str, str]:
    """Return kind and name; that of the migration without its hash, which is over values of Secrets."""
    return manifest["kind"], manifest["metadata"]["name"].partition("-migrate-")[0]


def test_plan_is_what_the_operator_applied(up: Namespace) -> None:
    live = {_name(one): one for one in up.children().values() if one["metadata"].get("ownerReferences")}
    planned = {_name(one): one for one in preview.preview(resource(up.name)).children}
    assert planned.keys() == live.keys()
    owner = (up.get("Community", "c") or {})["metadata"]["uid"]
    for name, manifest in planned.items():
        found, wanted = live[name], copy.deepcopy(manifest)
        assert wanted.pop("apiVersion") == BY_NAME[name[0]].api_version  # lists leave it out
        wanted["metadata"] |= {"name": found["metadata"]["name"]}
        wanted["metadata"]["ownerReferences"][0]["uid"] = owner
        if name[0] == "Secret":
            assert wanted.pop("data").keys() == found["data"].keys()
        template = wanted.get("spec", {}).get("template", {}).get("metadata", {})
        if template.get("annotations", {}).pop(names.ANNOTATION_SECRETS, None) is not None:
            assert found["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_SECRETS]
        assert drift.differing_fields(wanted, found) == [], name


CASES: dict[str, Object] = {
    "nulls": {"host": None, "api": {"base": None, "arch": None}, "storage": None, "redis": {"url": None}},
    "null in a map": {"ingress": {"annotations": {"a": None, "b": "c"}}},
    "null in a list": {"api": {"corsOrigins": [None]}},
    "null for what is required": {"image": None},
    "unknown fields": {"replica": 1, "api": {"base": {"replica": 1, "replicas": 3}}, "redis": {"x": {"mode": 1}}},
    "unknown fields of a list's item": {"prewarm": [{"name": "a", "at": "2026-11-27T11:45:00Z", "x": 1}]},
    "whole number with a point": {"api": {"base": {"replicas": 3.0}}},
    "number with a fraction": {"api": {"base": {"replicas": 2.5}}},
    "large number": {"api": {"base": {"replicas": 10**25}}},
    "quantity with a point": {"redis": {"resources": {"limits": {"memory": 268435456.0}}}},
    "quantity with a fraction": {"redis": {"resources": {"requests": {"cpu": 0.5}}}},
    "list for an object": {"api": []},
    "object for a list": {"prewarm": {}},
    "text for an object": {"ingress": ""},
    "object for a text": {"host": {}},
    "text for a switch": {"hibernate": "true"},
}


def _admitted(manifest: Object) -> tuple[Object | None, list[str]]:
    """Return the spec that plan takes from a file, or the fields that it refuses."""
    (read,) = documents.read(json.dumps(manifest).encode())
    try:
        return preview.admitted(read, [])["spec"], []
    except preview.RefusedError as error:
        return None, [one.field for one in error.violations]


@pytest.mark.parametrize("case", CASES)
def test_plan_takes_a_resource_as_the_apiserver_does(client: Client, up: Namespace, case: str) -> None:
    manifest = resource(up.name, "other")
    manifest["spec"] |= CASES[case]
    answer = client.create(COMMUNITY, manifest, dryRun="All")
    spec, refused = _admitted(manifest)
    assert answer.status_code == (422 if refused else 201), answer.text
    assert answer.json().get("spec") == spec
    # A value that breaks a rule before it is one is refused where the rule stands.
    told = [cause["field"] for cause in answer.json().get("details", {}).get("causes", ())]
    assert all(any(field.startswith(one) for one in told) for field in refused), (told, refused)


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"a b": "c"}},
        {"annotations": {"A/b": "c"}},
        {"annotations": {"a/b/c": "d"}},
        {"annotations": {"-": ""}},
        {"annotations": {"a": 1}},
        {"annotations": {"a": None}},
        {"annotations": {"bapsang.dev/paused": "밥상 \n"}},
        {"annotations": {"a": "x" * 300_000}},
        {"annotations": {"x" * 64: ""}},
        {"annotations": None},
        {"labels": {"a": "b c"}},
        {"labels": {"A.b_c/d": "E-f"}},
        {"labels": {"Example.com/D": ""}},
        {"labels": {"a": "x" * 64}},
        {"labels": []},
    ],
    ids=lambda value: str(value)[:40],
)
def test_plan_judges_metadata_as_the_apiserver_does(client: Client, up: Namespace, metadata: Object) -> None:
    manifest = resource(up.name, "other")
    manifest["metadata"] |= metadata
    answer = client.create(COMMUNITY, manifest, dryRun="All")
    _, refused = _admitted(manifest)
    assert answer.status_code in ({400, 422} if refused else {201}), answer.text


@pytest.mark.parametrize("is_spoiled", [False, True], ids=["as generated", "spoiled"])
def test_plan_judges_nasty_resources_as_the_apiserver_does(client: Client, up: Namespace, is_spoiled: bool) -> None:
    generator = Generator(7)
    for number in range(COUNT):
        manifest = generator.resource()
        manifest["metadata"] = resource(up.name, "other")["metadata"]
        if is_spoiled:
            generator.spoil(manifest, number)
        answer = client.create(COMMUNITY, manifest, dryRun="All")
        spec, refused = _admitted(manifest)
        assert answer.status_code in ({400, 422} if refused else {201}), (manifest["spec"], answer.text, refused)
        assert answer.json().get("spec") == spec
