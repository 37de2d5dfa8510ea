"""An answer on its way out: the small parts by which the gateway completes its head."""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from bapsang_api.http.request import Request
from bapsang_api.kit.problem import MEDIA_TYPE, Problem, body_of

Header = tuple[bytes, bytes]
JSON: Final[Header] = (b"content-type", b"application/json")
CLOSE: Final[Header] = (b"connection", b"close")
_PROBLEM: Final[Header] = (b"content-type", MEDIA_TYPE.encode())
# Browsers may store it but must revalidate; shared caches may not.
_PRIVATE: Final = b"private, no-cache"
# For what is not a page: it loads nothing, and nothing may frame it.
_BARE_POLICY: Final[Header] = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_ALWAYS: Final[tuple[Header, ...]] = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_NOT_OF_304: Final = frozenset({b"content-length", b"content-type"})
_TAGS_LIMIT: Final = 4096  # characters of a header that is read; browsers send one tag


class Answer(NamedTuple):
    """An answer as a route gives it."""

    status: int
    body: bytes = b""
    headers: Sequence[Header] = ()

    def header(self, name: bytes) -> bytes | None:
        return next((value for known, value in self.headers if known == name), None)


def json_answer(body: bytes, status: int = 200) -> Answer:
    return Answer(status, body, ((b"content-length", b"%d" % len(body)), JSON))


def problem_answer(problem: Problem, request: Request) -> Answer:
    body = body_of(problem, request.path, request.id)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in (problem.headers or {}).items()]
    return Answer(problem.status, body, [(b"content-length", b"%d" % len(body)), *headers, _PROBLEM])


def etag_of(body: bytes) -> bytes:
    """Return the tag of an answer's body. Weak: a strong one would promise the same bytes however they are compressed."""
    # SHA-256 because processors have it built in: of a list it costs 3 µs, BLAKE2 30.
    return b'W/"%b"' % hashlib.sha256(body).hexdigest()[:24].encode()


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
            etag = given or etag_of(body)
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


def protected(answer: Answer) -> Sequence[Header]:
    """Return the headers by which browsers protect their users."""
    return _ALWAYS if answer.header(b"content-security-policy") else (*_ALWAYS, _BARE_POLICY)
