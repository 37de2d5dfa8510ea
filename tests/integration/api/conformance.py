"""Holds every answer that the tests see against the OpenAPI document: status, media type, headers and body."""

import functools
import json
import re
from typing import Any

import httpx
import jsonschema_rs

from bapsang_api import openapi
from bapsang_api.app import ROUTERS
from bapsang_api.kit.idempotency import REPLAYED
from bapsang_api.kit.problem import MEDIA_TYPE

# Refusals of a request before any operation is known: documented once, for all paths.
ANYWHERE = {404, 405, 413}


@functools.cache
def document() -> dict[str, Any]:
    return openapi.document(ROUTERS)


@functools.cache
def paths() -> list[tuple[re.Pattern[str], str]]:
    """Return a pattern for each path of the document; the literal ones come first."""
    templates = sorted(document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), path) for path in templates]


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """Return the operation that a request goes to, None when the document has none."""
    for pattern, template in paths():
        if pattern.fullmatch(path) and (found := document()["paths"][template].get(method.lower())):
            return dict(found)
    return None


@functools.cache
def validator(schema: str) -> Any:
    """Return a validator for a schema of the document, given as JSON."""
    return jsonschema_rs.validator_for({**json.loads(schema), "components": document()["components"]})


def validate(schema: dict[str, Any], value: object) -> None:
    validator(json.dumps(schema)).validate(value)


def check(method: str, path: str, answer: httpx.Response, body: bytes) -> None:
    """Fail unless the document says that this request may be answered so."""
    where = f"{method} {path} -> {answer.status_code}"
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if answer.status_code >= 400:
        assert media_type == MEDIA_TYPE, where
        if method != "HEAD":
            validate({"$ref": "#/components/schemas/ProblemBody"}, json.loads(body))
    operation = operation_of("GET" if method == "HEAD" else method, path)
    if operation is None or method == "OPTIONS" or answer.status_code in {405, 500}:
        return
    said = operation["responses"].get(str(answer.status_code))
    if said is None:
        assert answer.status_code in ANYWHERE, f"{where} is not documented"
        return
    if method == "HEAD" or answer.status_code == 304:
        return
    content = said.get("content", {})
    assert (media_type in content) if content else not body, f"{where} with {media_type!r} is not documented"
    if media_type == "application/json":
        schema = content[media_type]["schema"]
        if REPLAYED not in answer.headers:
            schema = schema.get("anyOf", [schema])[0]  # the others are of repeats
        validate(schema, json.loads(body))
    for name in ("ETag", "Retry-After", "Authorization", "Location", REPLAYED):
        assert name not in answer.headers or name in said["headers"], f"{where} sends {name}"


class Conforming(httpx.AsyncBaseTransport):
    """Passes requests on and checks the answers."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        check(request.method, request.url.path, answer, await answer.aread())
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()
