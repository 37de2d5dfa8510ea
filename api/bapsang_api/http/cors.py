"""CORS: which pages of other origins may read answers, and which headers of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bapsang_api.http.answers import Answer, Header
from bapsang_api.http.idempotency import REPLAYED

_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-max-age", b"600"),
)
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


class Cors:
    """The origins whose pages may read answers."""

    def __init__(self, origins: Iterable[str]) -> None:
        encoded = ((b"access-control-allow-origin", origin.encode("latin-1")) for origin in origins)
        #: By origin, what tells a browser that a page of it may read the answer.
        self.headers: dict[bytes, Sequence[Header]] = {allowed[1]: (allowed, *_CORS) for allowed in encoded}

    def allows(self, origin: str) -> bool:
        """Return whether pages of the origin may use the API with a reader's cookies."""
        return origin.encode("latin-1", "replace") in self.headers

    def preflight(self, request: Mapping[bytes, bytes]) -> Answer | None:
        """Return the answer to a preflight request, None for any other. Another origin gets no permission in it."""
        if b"origin" not in request or b"access-control-request-method" not in request:
            return None
        if request[b"origin"] not in self.headers:
            return Answer(204)
        asked = request.get(b"access-control-request-headers", b"")
        return Answer(204, b"", (*_PREFLIGHT, (b"access-control-allow-headers", asked)))
