"""An answer on its way out: the small parts by which the gateway completes its head."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from bapsang_api.http.content import LEAST, Content, encoded_for
from bapsang_api.http.request import Request
from bapsang_api.http.streaming import Stream
from bapsang_api.kit.problem import Problem, body_of
from bapsang_api.kit.refusals import MEDIA_TYPE

Header = tuple[bytes, bytes]
JSON: Final[Header] = (b"content-type", b"application/json")
CLOSE: Final[Header] = (b"connection", b"close")
_PROBLEM: Final[Header] = (b"content-type", MEDIA_TYPE.encode())
# Browsers may store it but must revalidate; shared caches may not.
_PRIVATE: Final = b"private, no-cache"
# By which browsers protect their users. For what is not a page: it loads nothing, and nothing may frame it.
BARE_POLICY: Final[Header] = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
PROTECTION: Final[tuple[Header, ...]] = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
# What an id of before names does not change.
_MOVED_FOR: Final[Header] = (b"cache-control", b"public, max-age=86400")
_COMPRESSIBLE: Final = frozenset(
    {b"application/json", b"application/problem+json", b"application/atom+xml", b"text/html; charset=utf-8"}
    | {b"text/css; charset=utf-8", b"text/javascript; charset=utf-8"}
)
_NOT_OF_304: Final = frozenset({b"content-length", b"content-type"})
_TAGS_LIMIT: Final = 4096  # characters of a header that is read; browsers send one tag


class Answer(NamedTuple):
    """An answer as a route gives it."""

    status: int
    body: bytes | Content = b""
    headers: Sequence[Header] = ()
    stream: Stream | None = None  # what follows the head, in the place of a body

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return self.body.plain if isinstance(self.body, Content) else self.body

    def header(self, name: bytes) -> bytes | None:
        return next((value for known, value in self.headers if known == name), None)


def json_answer(body: bytes | Content, status: int = 200) -> Answer:
    return Answer(status, body, ((b"content-length", b"%d" % len(body)), JSON))


def moved_answer(location: str) -> Answer:
    """Return the answer to a request for something that has another path for good; its method and body stay (308)."""
    return Answer(308, b"", ((b"content-length", b"0"), (b"location", location.encode("latin-1")), _MOVED_FOR))


def problem_answer(problem: Problem, request: Request) -> Answer:
    body = body_of(problem, request.path, request.id)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in (problem.headers or {}).items()]
    return Answer(problem.status, body, [(b"content-length", b"%d" % len(body)), *headers, _PROBLEM])


def has(if_none_match: bytes, etag: bytes) -> bool:
    """Return whether an `If-None-Match` header names the tag, by the weak comparison of RFC 9110 (8.8.3.2).

    One that is far too long names nothing: its sender gets the whole answer.
    """
    if len(if_none_match) > _TAGS_LIMIT:
        return False
    opaque = etag.removeprefix(b"W/")
    known = (tag.strip() for tag in if_none_match.split(b","))
    return any(tag == b"*" or tag.removeprefix(b"W/") == opaque for tag in known)


def revalidated(answer: Answer, request: Request) -> Answer:
    """Add what caches need to know: `Cache-Control`, `ETag` and `Vary`. Returns 304 where the client has the answer already."""
    status, body, headers = answer.status, answer.body, list(answer.headers)
    caching, vary = answer.header(b"cache-control"), answer.header(b"vary")
    if status == 200 and request.method == "GET":
        if caching is None:
            caching = _PRIVATE
            headers.append((b"cache-control", caching))
        if b"no-store" not in caching:
            given = answer.header(b"etag")
            etag = given or (
                body.etag if isinstance(body, Content) else b'W/"%b"' % sha256(body).hexdigest()[:24].encode()
            )
            if given is None:
                headers.append((b"etag", etag))
            known = request.headers.get(b"if-none-match")
            if known is not None and has(known, etag):
                status, body = 304, b""
                headers = [header for header in headers if header[0] not in _NOT_OF_304]
    elif status >= 400:
        # Caches may keep a 404 otherwise.
        headers = [header for header in headers if header[0] != b"cache-control"]
        headers.append((b"cache-control", b"no-store"))
    names = [vary] if vary else []
    if caching == _PRIVATE:
        names.append(b"Authorization")
    if vary:
        headers = [header for header in headers if header[0] != b"vary"]
    headers.append((b"vary", b", ".join((*names, b"Origin"))))
    return Answer(status, body, headers)


def compressed(answer: Answer, request: Request) -> Answer:
    """Return the answer in the form that the client takes, if that is worth it."""
    body, headers = answer.body, answer.headers
    if answer.status != 200 or len(body) < LEAST or answer.header(b"content-type") not in _COMPRESSIBLE:
        return answer
    # Nothing that holds a secret (RFC 9110, 17.6): how far it shrinks beside text that others choose would tell of it.
    if request.method != "GET" or b"no-store" in (answer.header(b"cache-control") or b""):
        return answer
    headers = [(b"vary", value + b", Accept-Encoding") if name == b"vary" else (name, value) for name, value in headers]
    accepted = request.headers.get(b"accept-encoding")
    encoded = encoded_for(accepted, body) if accepted is not None else None
    if encoded is None:
        return Answer(answer.status, body, headers)
    coding, body = encoded
    headers = [header for header in headers if header[0] != b"content-length"]
    return Answer(200, body, [*headers, (b"content-length", b"%d" % len(body)), (b"content-encoding", coding)])
