"""The OpenAPI document: what the routes declare, completed by what holds for all of them.

Everything here follows from a route's method, path and schemas, so that a new route is complete by itself.
"""

import sys
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.alias_generators import to_camel

from bapsang_api import __version__
from bapsang_api.examples import ULID, example_of
from bapsang_api.http.idempotency import HEADER as IDEMPOTENCY_KEY
from bapsang_api.http.idempotency import REPLAYED
from bapsang_api.http.wire import API, problems
from bapsang_api.kit import refusals
from bapsang_api.kit.ids import PATTERN as ULID_PATTERN
from bapsang_api.kit.problem import Problem, ProblemBody
from bapsang_api.kit.refusals import MEDIA_TYPE

DESCRIPTION: Final = (
    "A food-photo community. Ids are ULIDs; times are local date-times of Asia/Seoul without a zone; "
    "absent values are null. "
    "Every error has the body `ProblemBody` with a stable `code`."
)
Spec = dict[str, Any]

_HEADERS: Final[Spec] = {
    "X-Request-ID": ("Finds the request in the log; a good one that was sent is kept.", "string", ULID),
    "RateLimit-Limit": ("Requests at once by the rule that leaves the sender the least.", "integer", 60000),
    "RateLimit-Remaining": ("Requests left of them.", "integer", 59999),
    "RateLimit-Reset": ("Seconds until all of them are there again.", "integer", 1),
    "Retry-After": ("Seconds after which to come back.", "integer", 1),
    "WWW-Authenticate": (
        "How to come back, and what is wrong with the token.",
        "string",
        'Bearer error="invalid_token"',
    ),
    "ETag": ("Send it back as `If-None-Match`: 304 when nothing changed.", "string", 'W/"5f2b6c1d"'),
    "Content-Encoding": ("How a longer body is packed, of what the client takes.", "string", "zstd"),
    "Location": ("The path with the new ids.", "string", f"{API}/posts/{ULID}"),
    "Cache-Control": ("Who may keep the answer.", "string", "private, no-cache"),
    REPLAYED: (
        "`true` when an earlier request with the same key did it: status and `Location` are those of that one.",
        "string",
        "true",
    ),
}
_COMPONENT_PARAMETERS: Final[Spec] = {
    IDEMPOTENCY_KEY: {
        "name": IDEMPOTENCY_KEY,
        "in": "header",
        "description": "Makes a repeat harmless: for an hour it is answered with what the first request made.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]{1,255}$"},
        "example": "0b6f8d0e-5a0f-4f0e-9d52-6f1f6d0b8a11",
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of the answer that is already there.",
        "schema": {"type": "string"},
        "example": 'W/"5f2b6c1d"',
    },
}


def document(routers: Iterable[APIRouter]) -> Spec:
    """Return the OpenAPI document of the routers' routes."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    spec = get_openapi(title="Bapsang API", version=__version__, description=DESCRIPTION, routes=routes)
    spec["tags"] = list(_tags(routes))
    spec["components"] = {**spec.get("components", {}), **_components()}
    schemas = spec["components"]["schemas"] = {**spec["components"].get("schemas", {}), **_problem_schemas()}
    # The framework announces a 422 wherever there is input; here every refused input is a 400.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    names = {(route.path_format, method.lower()): route.name for route in routes for method in route.methods or ()}
    for path, method, operation in operations(spec):
        operation["operationId"] = to_camel(names[path, method])
        _complete(path, method, operation, schemas)
    _link(spec)
    return spec


def operations(spec: Spec) -> Iterator[tuple[str, str, Spec]]:
    """Yield path, method (lower case) and body of each operation."""
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _complete(path: str, method: str, operation: Spec, schemas: Spec) -> None:
    summary, _, rest = operation["description"].replace("\n", " ").partition(". ")
    operation["summary"] = summary.rstrip(".")
    operation["description"] = rest or summary
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        _explain(parameter, schemas)
    responses = operation["responses"]
    responses.pop("422", None)
    limited = path.startswith(f"{API}/") and not path.endswith("/health")
    for status, answer in _common_problems(method, limited=limited).items():
        responses.setdefault(status, answer)
    if method == "post" and limited:
        parameters.append({"$ref": f"#/components/parameters/{IDEMPOTENCY_KEY}"})
    if method == "get" and not path.endswith("/health"):
        parameters.append({"$ref": "#/components/parameters/If-None-Match"})
        responses["304"] = {"description": "Nothing changed since the answer with this ETag."}
    if any(parameter.get("in") == "path" for parameter in parameters) and "404" in responses:
        responses["308"] = {
            "description": "The path has an id of an older server that was moved from; `Location` has the new one."
        }
    for status, answer in responses.items():
        answer["headers"] = {**_headers(method, status, limited=limited), **answer.get("headers", {})}
        for media_type, content in answer.get("content", {}).items():
            if media_type == MEDIA_TYPE:
                content["example"] = _problem_example(int(status), path)
            elif media_type == "application/json":
                content.setdefault("example", example_of(content["schema"], schemas))
    operation["responses"] = dict(sorted(responses.items()))
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content.setdefault("example", example_of(content["schema"], schemas))
    if not parameters:
        del operation["parameters"]


def _explain(parameter: Spec, schemas: Spec) -> None:
    if parameter["in"] == "path" and parameter["name"].endswith("_id"):
        parameter["schema"] = {"type": "string", "pattern": f"^{ULID_PATTERN}$"}
    parameter.setdefault("example", example_of(parameter["schema"], schemas, parameter["name"]))


def _common_problems(method: str, *, limited: bool) -> Spec:
    if not limited:
        return {}
    of_posts = (400, 409) if method == "post" else ()  # an Idempotency-Key that is bad, or in use this moment
    of_bodies = () if method == "get" else (413,)
    return {str(status): answer for status, answer in problems(*of_posts, *of_bodies).items()}


def _headers(method: str, status: str, *, limited: bool) -> Spec:
    names = ["X-Request-ID"]
    if limited:
        names += ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
    if status in {"429", "503"} or (method, status) == ("post", "409"):
        names.append("Retry-After")
    if status == "401":
        names.append("WWW-Authenticate")
    if method == "get" and status in {"200", "304"}:
        names += ["ETag", "Cache-Control", *(["Content-Encoding"] if status == "200" else [])]
    if status == "308":
        names += ["Location", "Cache-Control"]
    if method == "post" and status.startswith("2") and limited:
        names.append(REPLAYED)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _link(spec: Spec) -> None:
    """Say which ids of an answer are parameters of which operations."""
    takers: dict[str, list[str]] = {}
    for _, _, operation in operations(spec):
        for parameter in operation.get("parameters", ()):
            if parameter.get("in") == "path":
                takers.setdefault(to_camel(parameter["name"]), []).append(operation["operationId"])
    schemas = spec["components"]["schemas"]
    for _, _, operation in operations(spec):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/json")
            if status.startswith("2") and content:
                links = dict(_links(content["schema"], schemas, takers))
                if links:
                    answer["links"] = links


def _links(schema: Spec, schemas: Spec, takers: dict[str, list[str]]) -> Iterator[tuple[str, Spec]]:
    properties = _resolved(schema, schemas).get("properties", {})
    items = _resolved(properties.get("items", {}).get("items", {}), schemas).get("properties", {})
    for names, pointer in ((properties, ""), (items, "/items/0")):
        for name in names:
            for taker in takers.get(name, ()):
                parameter = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
                yield (
                    taker,
                    {"operationId": taker, "parameters": {parameter: f"$response.body#{pointer}/{name}"}},
                )


def _resolved(schema: Spec, schemas: Spec) -> Spec:
    schema = schema.get("anyOf", [schema])[0]  # the first is the usual one
    found: Spec = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _tags(routes: Iterable[APIRoute]) -> Iterator[Spec]:
    """Describe each tag in the words of the domain, or of the module, that its first route is in."""
    seen: set[str] = set()
    for route in routes:
        module = route.endpoint.__module__
        package, _, name = module.rpartition(".")
        text = sys.modules[package if name == "routes" else module].__doc__ or ""
        for tag in map(str, route.tags):
            if tag not in seen:
                seen.add(tag)
                yield {"name": tag, "description": text.partition("\n\n")[0].replace("\n", " ")}


def _components() -> Spec:
    return {
        "parameters": _COMPONENT_PARAMETERS,
        "headers": {
            name: {"description": text, "schema": {"type": kind}, "example": example}
            for name, (text, kind, example) in _HEADERS.items()
        },
        "securitySchemes": {
            "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "refreshCookie": {"type": "apiKey", "in": "cookie", "name": "refreshToken"},
        },
    }


def _problem_schemas() -> Spec:
    problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**problem.pop("$defs"), ProblemBody.__name__: problem}


def _problem_example(status: int, path: str) -> Spec:
    kind = next(kind for kind in Problem.__subclasses__() if kind.status == status)
    refused = [("title", "1자 이상 255자 이하여야 합니다.")] if status == HTTPStatus.BAD_REQUEST else []
    return refusals.body_of(kind.refusal, instance=path, request_id=ULID, errors=refused)
