"""The OpenAPI document and the page that shows it, served without any outside host."""

import json
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from bapsang_api import __version__
from bapsang_api.kit.problem import ProblemBody
from bapsang_api.kit.wire import API

DESCRIPTION: Final = (
    "A food-photo community. Ids are ULIDs; times are local date-times of Asia/Seoul without a zone; "
    "absent values are null. "
    "Every error has the body `ProblemBody` with a stable `code`."
)
_ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of all routes."""
    spec = get_openapi(title="Bapsang API", version=__version__, description=DESCRIPTION, routes=app.routes)
    schemas = spec["components"]["schemas"]
    # The framework announces a 422 wherever there is input; here every refused input is a 400.
    for operations in spec["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas[ProblemBody.__name__] = problem
    spec["components"]["securitySchemes"] = {
        "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "refreshCookie": {"type": "apiKey", "in": "cookie", "name": "refreshToken"},
    }
    return spec


def serve(app: FastAPI) -> None:
    """Add /openapi.json and /docs, at the root and under the base path."""
    rendered: list[bytes] = []

    async def read_document(_: Request) -> Response:
        if not rendered:
            rendered.append(json.dumps(document(app), ensure_ascii=False).encode())
        return Response(rendered[0], media_type="application/json")

    async def read_docs(_: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Bapsang API",
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon-32x32.png",
        )

    async def read_asset(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        content = files("fastapi_swagger.resources").joinpath(name).read_bytes()
        return Response(content, media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})

    for base in ("", API):
        app.add_route(f"{base}/openapi.json", read_document, include_in_schema=False)
        app.add_route(f"{base}/docs", read_docs, include_in_schema=False)
    for name in _ASSETS:
        app.add_route(f"/docs/{name}", read_asset, include_in_schema=False)
