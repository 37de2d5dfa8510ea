"""Holds every answer that the tests see against the OpenAPI document: status, media type, headers and body."""

import functools
import json
import re
from typing import Any

import httpx
import jsonschema_rs

from bapsang_api import openapi
from bapsang_api.app import ROUTERS
from bapsang_api.http.idempotency import REPLAYED
from bapsang_api.kit.refusals import MEDIA_TYPE

# What may happen before any operation is known: documented once, for all paths.
ANYWHERE = {404, 405, 413, 500}
# Of every answer: transport, caching and the security of browsers. Whatever else is sent has to be documented.
GENERAL = {
    *("content-length", "content-type", "content-language", "vary", "cache-control", "last-modified", "connection"),
    *("content-security-policy", "referrer-policy", "x-content-type-options"),
    *("access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers"),
}
PREFLIGHT = {"access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"}
# Documented headers that may be missing: packing of short bodies, limits that are off, repeats that are no repeats, and a refusal
# of another kind.
OPTIONAL = {"content-encoding", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", REPLAYED.lower()}


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


def documented_methods(path: str) -> set[str]:
    """Return the methods that the document has of a path."""
    methods = {
        method.upper()
        for pattern, template in paths()
        if pattern.fullmatch(path)
        for method in document()["paths"][template]
    }
    return methods | ({"HEAD"} if "GET" in methods else set())


def optional(path: str, answer: httpx.Response) -> set[str]:
    """Return the documented headers that this answer may lack."""
    may_lack = set(OPTIONAL)
    if answer.status_code in {401, 409}:  # not of each kind of them
        may_lack |= {"retry-after", "www-authenticate"}
    if "no-store" in answer.headers.get("cache-control", "") or "last-modified" in answer.headers:
        may_lack.add("etag")
    if path.endswith("/logout"):
        may_lack.add("set-cookie")  # the one that a page of another origin does not end
    if REPLAYED in answer.headers:
        may_lack |= {"authorization", "set-cookie"}
    return may_lack


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
    assert "x-request-id" in answer.headers, f"{where} cannot be found in the log"
    sent = set(answer.headers) - GENERAL - {"x-request-id"}
    operation = operation_of("GET" if method == "HEAD" else method, path)
    if answer.status_code == 405:
        methods = documented_methods(path)
        assert method not in methods, f"{where}, but the document has it"
        assert methods <= set(answer.headers["allow"].split(", ")), (
            f"{where} allows {answer.headers['allow']} of {methods}"
        )
        assert sent - OPTIONAL == {"allow"}, f"{where} sends {sent}"
        return
    if method == "OPTIONS" and answer.status_code < 400:
        assert answer.status_code == 204, f"{where} is no preflight"
        assert not body
        assert sent <= PREFLIGHT, f"{where} sends {sent}"
        return
    if operation is None:
        return
    said = operation["responses"].get(str(answer.status_code))
    if said is None:
        assert answer.status_code in ANYWHERE, f"{where} is not documented"
        assert sent <= OPTIONAL, f"{where} sends {sent}"
        return
    documented = {name.lower() for name in said.get("headers", {})}
    assert sent <= documented, f"{where} sends {sent - documented}, which is not documented"
    missing = documented - set(answer.headers) - optional(path, answer)
    assert not missing, f"{where} lacks {missing}"
    if method == "HEAD" or answer.status_code == 304:
        return
    content = said.get("content", {})
    assert (media_type in content) if content else not body, f"{where} with {media_type!r} is not documented"
    if media_type == "application/json":
        schema = content[media_type]["schema"]
        if REPLAYED not in answer.headers:
            schema = schema.get("anyOf", [schema])[0]  # the others are of repeats
        validate(schema, json.loads(body))


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
