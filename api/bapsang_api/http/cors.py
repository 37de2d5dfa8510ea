"""CORS: which pages of other origins may read answers, and which headers of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from bapsang_api.http.idempotency import REPLAYED

_PREFLIGHT_SECONDS: Final = 600
_EXPOSED: Final = ", ".join(
    (
        *("Authorization", "ETag", "Location", "X-Request-ID", "Retry-After", REPLAYED),
        *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    )
)
_CORS: Final = (
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-expose-headers", _EXPOSED.encode()),
)
RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Cors:
    """The origins whose pages may read answers."""

    origins: frozenset[str]

    def headers(self, origin: str | None) -> RawHeaders:
        """Return what tells a browser that a page of this origin may read the answer."""
        if origin not in self.origins:
            return []
        return [(b"access-control-allow-origin", origin.encode("latin-1")), *_CORS]

    def preflight(self, request: Mapping[str, str]) -> Response | None:
        """Return the answer to a preflight request, None for any other. Another origin gets no permission in it."""
        if "origin" not in request or "access-control-request-method" not in request:
            return None
        response = Response(status_code=204)
        if request["origin"] in self.origins:
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, PUT, PATCH, DELETE"
            response.headers["Access-Control-Allow-Headers"] = request.get("access-control-request-headers", "")
            response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
        return response
