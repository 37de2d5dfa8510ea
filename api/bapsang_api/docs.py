"""Serves the OpenAPI document and the page that shows it, without any outside host."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bapsang_api.http.wire import API
from bapsang_api.openapi import Spec

_ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


def serve(app: FastAPI, document: Callable[[], Spec]) -> None:
    """Add /openapi.json and /docs, at the root and under the base path."""

    @cache  # made when first asked for: the start of a process should not wait for it
    def rendered() -> bytes:
        return json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()

    async def read_document(_: Request) -> Response:
        return Response(rendered(), media_type="application/json", headers={"Cache-Control": "public, max-age=300"})

    async def read_docs(_: Request) -> Response:
        return _page()

    async def read_asset(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        content = files("fastapi_swagger.resources").joinpath(name).read_bytes()
        return Response(content, media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})

    for base in ("", API):
        app.add_route(f"{base}/openapi.json", read_document, include_in_schema=False)
        app.add_route(f"{base}/docs", read_docs, include_in_schema=False)
    for name in _ASSETS:
        app.add_route(f"/docs/{name}", read_asset, include_in_schema=False)


@cache
def _page() -> Response:
    page: HTMLResponse = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Bapsang API",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="/docs/favicon-32x32.png",
    )
    # The page starts itself by a script within it: that one, and no other, may run.
    inline = re.findall(rb"<script>(.*?)</script>", bytes(page.body), re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in inline)
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page
