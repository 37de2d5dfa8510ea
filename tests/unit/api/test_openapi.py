"""The OpenAPI document: it agrees with the routes, and each operation is complete by itself."""

import json
import os
from typing import Any

import jsonschema_rs
import pytest
from fastapi.routing import APIRoute

from bapsang_api import openapi
from bapsang_api.__main__ import main
from bapsang_api.app import ROUTERS
from bapsang_api.http.access import TOKEN_NEEDED, TOKEN_OPTIONAL
from bapsang_api.http.wire import API
from bapsang_api.kit.refusals import MEDIA_TYPE

SPEC = openapi.document(ROUTERS)
ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
OPERATIONS = list(openapi.operations(SPEC))
each_operation = pytest.mark.parametrize(
    ("path", "method", "operation"), OPERATIONS, ids=[f"{method} {path}" for path, method, _ in OPERATIONS]
)


def validate(schema: dict[str, Any], value: object) -> None:
    jsonschema_rs.validator_for({**schema, "components": SPEC["components"]}).validate(value)


def test_document_and_routes_are_the_same_both_ways() -> None:
    shown = {(route.path, method) for route in ROUTES if route.include_in_schema for method in route.methods or ()}
    assert shown == {(path, method.upper()) for path, method, _ in OPERATIONS}
    endpoints = {route.endpoint for route in ROUTES if route.include_in_schema}
    for route in ROUTES:  # what is not shown is another path to what is
        assert route.endpoint in endpoints, route.path


def test_operation_ids_are_unique_and_tell_what_is_done() -> None:
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    assert {"listPosts", "createPost", "logIn", "readTermsOfService"} <= set(ids)


@each_operation
def test_operation_is_described_and_exemplified(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert set(operation["tags"]) <= {tag["name"] for tag in SPEC["tags"]}
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    for body in (*bodies, *operation["responses"].values()):
        for media_type, content in body.get("content", {}).items():
            if media_type not in {"text/html", "text/css", "text/javascript"}:
                validate(content["schema"], content["example"])
    for parameter in operation.get("parameters", ()):
        if "$ref" not in parameter:
            validate(parameter["schema"], parameter["example"])


@each_operation
def test_operation_names_its_errors(path: str, method: str, operation: dict[str, Any]) -> None:
    responses, expected = operation["responses"], set()
    if path.startswith(f"{API}/") and path != f"{API}/health":
        expected |= {"429", "500", "503"} | ({"413"} if method != "get" else set())
        expected |= {"400", "409"} if method == "post" else set()
    if "requestBody" in operation:
        expected |= {"400", "413", "415"}
    if operation.get("security") in (TOKEN_NEEDED["security"], TOKEN_OPTIONAL["security"]):
        expected.add("401")
    if "{" in path:
        expected.add("404")
    if path.startswith(f"{API}/admin"):
        expected.add("403")
    assert expected <= set(responses)
    assert "422" not in responses
    for status, answer in responses.items():
        if int(status) >= 400:
            assert answer["content"][MEDIA_TYPE]["example"]["status"] == int(status)
        comes_back = status in {"429", "503"} or (method, status) in {("get", "202"), ("post", "409")}
        assert ("Retry-After" in answer["headers"]) == comes_back


@each_operation
def test_repeats_and_conditional_reads_are_documented(path: str, method: str, operation: dict[str, Any]) -> None:
    parameters = json.dumps(operation.get("parameters", []))
    assert ("/Idempotency-Key" in parameters) == (method == "post")
    if method == "get" and path != f"{API}/health":
        assert "/If-None-Match" in parameters
        assert "ETag" in operation["responses"]["200"]["headers"]
        assert "304" in operation["responses"]


def test_references_and_links_lead_somewhere() -> None:
    ids = {operation["operationId"] for _, _, operation in OPERATIONS}
    answers = [answer for _, _, operation in OPERATIONS for answer in operation["responses"].values()]
    links = [link for answer in answers for link in answer.get("links", {}).values()]
    assert {link["operationId"] for link in links} <= ids
    assert "readPost" in {link["operationId"] for link in links}
    for reference in _references(SPEC):
        _, kind, name = reference.removeprefix("#/").split("/")
        assert name in SPEC["components"][kind]


def test_command_prints_or_writes_it(tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BAPSANG_")]:
        monkeypatch.delenv(name)  # those of the local cluster are unknown to the API, which refuses them
    assert main(["openapi"]) == 0
    assert json.loads(capsys.readouterr().out) == SPEC
    assert main(["openapi", "--out", "api.json"]) == 0
    assert json.loads((tmp_path / "api.json").read_text("utf-8")) == SPEC
    assert {path.name for path in tmp_path.iterdir()} == {"api.json"}


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        found = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return found + [reference for child in node.values() for reference in _references(child)]
    return [reference for child in node for reference in _references(child)] if isinstance(node, list) else []
