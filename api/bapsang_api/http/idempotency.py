"""`Idempotency-Key`: a POST that is sent again with the same key is done once, and the repeat is told so.

Kept is a small record: the status, `Location`, and the id of what was made. The repeat is answered with the object as
it is then, read anew. Records lie in the Redis of the likes, which must never be full, and their number is their sender's
choice. So they hold nothing that the sender wrote, and one sender has at most MOST_KEPT an hour.

Only successes are kept, because a refusal changed nothing: a repeat of it is judged afresh. Never kept is an answer that
carries a token or a cookie or says `no-store` (logins, presigned URLs): Redis must hold no secrets, and stripped of them
the answer would be of no use; such a request is done again. So is one whose answer nobody can read anew.

What remains: a process that dies, or a Redis that refuses, between the commit and the record leaves a reservation that
lapses after a minute; a repeat after that is done again.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from redis.asyncio import Redis
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from bapsang_api.http.access import bearer_token
from bapsang_api.http.answers import JSON, Answer
from bapsang_api.http.direct import Services
from bapsang_api.http.ratelimit import subject_of
from bapsang_api.http.request import Request, read_body
from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.problem import Conflict, FieldError, InvalidInput, Problem, TooManyRequests, Unavailable
from bapsang_api.kit.redis.client import OUTAGE, load_script
from bapsang_api.kit.security.tokens import TokenVerifier

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
REPLAYED_WITH: Final = f"With `{REPLAYED}: true`,"
KEPT_SECONDS: Final = 3600
# Records that one sender may make within KEPT_SECONDS. At some 220 bytes each that is at most half a megabyte of one
# account at a time. People write four times in five minutes.
MOST_KEPT: Final = 1_000
_MOST_BYTES: Final = 256  # of a record
RUNNING_SECONDS: Final = 60  # longer than any request: its time-outs for the database end it well before
_KEY: Final = re.compile(r"[ -~]{1,255}")
_NOTHING: Final = "-"  # for what a record has none of
AnswerBy = Callable[[Receive], Awaitable[Answer | None]]
Read = Callable[[Request, Services, str], Awaitable[bytes | None]]
"""Takes the repeated request, the services by class, and the id of what the first one made. Returns that object as it
is now, as JSON; None when it is gone, or nothing but its id."""


@dataclass(frozen=True)
class Replay:
    """How a repeat of a POST that makes something is answered."""

    endpoint: Callable[..., Any]
    id_field: str  # of the body; no two replays have the same
    read: Read


class Idempotency:
    """Wraps the application for the requests that carry the header; the others never come here.

    `most` is how many records one sender may make within KEPT_SECONDS.
    """

    def __init__(
        self, redis: Redis, verifier: TokenVerifier, replays: Iterable[Replay] = (), *, most: int = MOST_KEPT
    ) -> None:
        self._verifier, self._most = verifier, most
        self._replays = {replay.id_field: replay for replay in replays}
        self._id_fields: dict[object, str] = {replay.endpoint: replay.id_field for replay in self._replays.values()}
        self._reserve = load_script(redis, "bapsang_api.http", "reserve")
        self._settle = load_script(redis, "bapsang_api.http", "settle")

    async def run(
        self, answer_by: AnswerBy, request: Request, services: Services, receive: Receive, key: str
    ) -> Answer | None:
        """Answer the request by `answer_by`, or say that it has been done. None when the client has gone.

        Raises InvalidInput for a bad key or one that was used for another body, Conflict while the first request runs,
        TooManyRequests when its sender has too many records, Unavailable without Redis: who sends a key asks for
        "once", which could not be promised then.
        """
        if _KEY.fullmatch(key) is None:
            raise InvalidInput(FieldError(HEADER, "1자 이상 255자 이하의 출력 가능한 ASCII 문자여야 합니다."))
        body = await read_body(receive)
        if body is None:
            return None
        sender, fingerprint = self._sender(request), _fingerprint(body, key)
        # One sender's keys, paths and queries are apart from all others'.
        query = request.query.decode("latin-1")
        names = [f"idempotency:{_digest(sender, request.method, request.path, query, key)}"]
        names.append(f"idempotency-kept:{_digest(sender)}")
        reservation = f"{fingerprint} {uuid.uuid4().hex}"
        try:
            known, wait = await self._reserve(keys=names, args=[reservation, RUNNING_SECONDS, self._most])
        except OUTAGE as error:
            raise Unavailable from error
        if known:
            return await self._replay(request, services, _record_of(str(known), fingerprint))
        if wait:
            raise TooManyRequests(int(wait))
        answer: Answer | None = None
        try:
            answer = await answer_by(_repeating(body, receive))
        finally:
            with after_commit("idempotency.not_noted"):  # the reservation lapses by itself
                endpoint = getattr(request.scope.get("route"), "endpoint", None)
                record = None if answer is None else _record(answer, self._id_fields.get(endpoint))
                value = f"{fingerprint} {record}" if record else ""
                await self._settle(keys=names, args=[reservation, value, KEPT_SECONDS])
        return answer  # after the record, so that a repeat finds it

    def _sender(self, request: Request) -> str:
        """Return the user's id, or without a login the address."""
        try:
            token = bearer_token(request)
            sender = self._verifier.verify(token).user_id if token else None
        except Problem:  # the application refuses the token, or, as at sign-up, does not care
            sender = None
        return sender or subject_of(request.address)

    async def _replay(self, request: Request, services: Services, record: str) -> Answer:
        status, made, location = record.split(" ", 2)
        headers, body = [(REPLAYED.lower().encode(), b"true")], b""
        if made != _NOTHING:
            id_field, _, made_id = made.partition(":")
            found = await self._replays[id_field].read(request, services, made_id)
            body = json.dumps({id_field: made_id}, separators=(",", ":")).encode() if found is None else found
            headers += [JSON, (b"content-length", b"%d" % len(body))]
        elif int(status) != HTTPStatus.NO_CONTENT:
            headers.append((b"content-length", b"0"))  # else clients wait for a body until the connection ends
        if location != _NOTHING:
            headers.append((b"location", location.encode("latin-1")))
        return Answer(int(status), body, headers)


def _record(answer: Answer, id_field: str | None) -> str | None:
    """Return status, id and `Location` of an answer, None when a repeat has to be done again.

    `id_field` is where the body has the id of what was made, None when nothing can be read anew.
    """
    if not 200 <= answer.status < 300:
        return None
    headers = Headers(raw=list(answer.headers))
    if "set-cookie" in headers or "authorization" in headers or "no-store" in headers.get("cache-control", ""):
        return None
    made = _NOTHING
    if answer.body:
        if id_field is None:
            return None
        made = f"{id_field}:{json.loads(answer.content)[id_field]}"
    record = f"{answer.status} {made} {headers.get('location', _NOTHING)}"
    return record if len(record) <= _MOST_BYTES else f"{answer.status} {made} {_NOTHING}"


def _record_of(known: str, fingerprint: str) -> str:
    """Return the record of a request that is done. Raises InvalidInput for another body, Conflict while it runs."""
    used_for, _, record = known.partition(" ")
    if used_for != fingerprint:
        raise InvalidInput(FieldError(HEADER, "이미 다른 요청에 사용된 키입니다."))
    if " " not in record:
        raise Conflict("같은 키의 요청을 처리하고 있습니다.", headers={"Retry-After": "1"})
    return record


def _repeating(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was already read, then what comes after it."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return unread.pop() if unread else await receive()

    return receive_again


def _digest(*parts: str) -> str:
    return hashlib.blake2b(json.dumps(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _fingerprint(body: bytes, key: str) -> str:
    # Keyed, because a body may hold a password: who sees Redis, but not the key, cannot try guesses against it.
    secret = hashlib.blake2b(key.encode("ascii"), digest_size=32).digest()
    return hashlib.blake2b(body, key=secret, digest_size=16).hexdigest()
