"""`Idempotency-Key`: a POST that is sent again with the same key is done once, and the repeat gets the first answer.

Only successes are kept, because a refusal changed nothing: a repeat of it is judged afresh. Never kept is an answer that
carries a token or a cookie or says `no-store` (logins, presigned URLs): Redis must hold no secrets, and stripped of them
the answer would be of no use; such a request is done again.

What remains: a process that dies between the commit and the note here leaves a reservation that lapses after a minute;
a repeat after that is done again.
"""

import base64
import hashlib
import json
import logging
import re
import uuid
import zlib
from typing import Final

from redis.asyncio import Redis
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bapsang_api.kit.access import bearer_token
from bapsang_api.kit.network import client_address
from bapsang_api.kit.problem import Conflict, FieldError, InvalidInput, Problem, Unavailable
from bapsang_api.kit.ratelimit import subject_of
from bapsang_api.kit.redis import OUTAGE, load_script
from bapsang_api.kit.tokens import TokenVerifier

log = logging.getLogger(__name__)

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
KEPT_SECONDS: Final = 24 * 3600
RUNNING_SECONDS: Final = 60  # longer than any request: its time-outs for the database end it well before
_KEY: Final = re.compile(r"[ -~]{1,255}")
_KEPT_HEADERS: Final = ("content-type", "location")


class Idempotency:
    """Wraps the application for the requests that carry the header; the others never come here."""

    def __init__(self, redis: Redis, verifier: TokenVerifier) -> None:
        self._redis, self._verifier = redis, verifier
        self._settle = load_script(redis, "bapsang_api.kit", "settle")

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, key: str) -> None:
        """Answer the request by `app`, or with what `app` answered before.

        Raises InvalidInput for a bad key or one that was used for another body, Conflict while the first request runs,
        Unavailable without Redis: who sends a key asks for "once", which could not be promised then.
        """
        if _KEY.fullmatch(key) is None:
            raise InvalidInput(FieldError(HEADER, "1자 이상 255자 이하의 출력 가능한 ASCII 문자여야 합니다."))
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        name, fingerprint = self._name(request, key), _fingerprint(body, key)
        reservation = f"{fingerprint} {uuid.uuid4().hex}"
        try:
            known = await self._redis.set(name, reservation, nx=True, get=True, ex=RUNNING_SECONDS)
        except OUTAGE as error:
            raise Unavailable from error
        if known is not None:
            await _replay(str(known), fingerprint, send)
            return
        answer = _Answer()
        try:
            await app(scope, _repeating(body, receive), answer.take)
        finally:
            await self._note(name, reservation, answer.kept())
        for message in answer.messages:  # after the note, so that a repeat finds it
            await send(message)

    def _name(self, request: Request, key: str) -> str:
        """Return the Redis key: one person's keys, paths and queries are apart from all others'."""
        try:
            token = bearer_token(request.scope)
            sender = self._verifier.verify(token).user_id if token else None
        except Problem:  # the application refuses the token, or, as at sign-up, does not care
            sender = None
        sender = sender or subject_of(client_address(request.scope))
        parts = (sender, request.method, request.url.path, request.url.query, key)
        digest = hashlib.blake2b(json.dumps(parts).encode("utf-8", "surrogatepass"), digest_size=16)
        return f"idempotency:{digest.hexdigest()}"

    async def _note(self, name: str, reservation: str, kept: str | None) -> None:
        value = f"{reservation.partition(' ')[0]} {kept}" if kept else ""
        try:
            await self._settle(keys=[name], args=[reservation, value, KEPT_SECONDS])
        except OUTAGE as error:  # it was done, so it is answered; the reservation lapses by itself
            log.warning("idempotency.not_noted", extra={"error": type(error).__name__})


class _Answer:
    """An answer that is held back until it is noted."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def take(self, message: Message) -> None:
        self.messages.append(message)

    def kept(self) -> str | None:
        """Return the answer as text, None when it must not be kept."""
        if not self.messages or not 200 <= self.messages[0]["status"] < 300:
            return None
        headers = Headers(raw=self.messages[0].get("headers", []))
        if "set-cookie" in headers or "authorization" in headers or "no-store" in headers.get("cache-control", ""):
            return None
        body = b"".join(message.get("body", b"") for message in self.messages[1:])
        shown = [(name, headers[name]) for name in _KEPT_HEADERS if name in headers]
        packed = base64.b64encode(zlib.compress(body, 1)).decode()
        return json.dumps({"status": self.messages[0]["status"], "headers": shown, "body": packed})


async def _replay(known: str, fingerprint: str, send: Send) -> None:
    used_for, _, rest = known.partition(" ")
    if used_for != fingerprint:
        raise InvalidInput(FieldError(HEADER, "이미 다른 요청에 사용된 키입니다."))
    if not rest.startswith("{"):
        raise Conflict("같은 키의 요청을 처리하고 있습니다.", headers={"Retry-After": "1"})
    kept = json.loads(rest)
    body = zlib.decompress(base64.b64decode(kept["body"]))
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept["headers"]]
    headers.append((REPLAYED.lower().encode(), b"true"))
    if body:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": kept["status"], "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _repeating(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was already read, then what comes after it."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return unread.pop() if unread else await receive()

    return receive_again


def _fingerprint(body: bytes, key: str) -> str:
    # Keyed, because a body may hold a password: who sees Redis, but not the key, cannot try guesses against it.
    secret = hashlib.blake2b(key.encode("ascii"), digest_size=32).digest()
    return hashlib.blake2b(body, key=secret, digest_size=16).hexdigest()
