"""The one error body (RFC 9457) and the error classes that carry a status, a stable code and the words for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bapsang_api.kit import refusals
from bapsang_api.kit.context import current_request_id
from bapsang_api.kit.refusals import MEDIA_TYPE, Refusal


@dataclass(frozen=True)
class FieldError:
    """One refused input field, named as the client sent it, and why."""

    field: str
    message: str


class Problem(HTTPException):
    """Base of every error that a client may see. Each subclass stands for one refusal.

    It is an HTTPException because the framework lets only those pass through its body parsing; anything else raised
    there (a body over the limit) would be turned into a plain 400.
    """

    refusal: ClassVar[Refusal]
    status: ClassVar[int]
    code: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.status, cls.code, *_ = cls.refusal

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(self.status, detail or self.refusal.message, {**self.refusal.headers, **(headers or {})})
        self.errors = tuple(errors)


class InvalidInput(Problem):
    refusal = refusals.INVALID_INPUT

    def __init__(self, *errors: FieldError) -> None:
        first = f"{errors[0].field}: {errors[0].message}" if errors else None
        super().__init__(first, errors=errors)


class TokenMissing(Problem):
    refusal = refusals.TOKEN_MISSING


class TokenExpired(Problem):
    """The one code on which clients refresh their token and repeat the request."""

    refusal = refusals.TOKEN_EXPIRED


class TokenInvalid(Problem):
    refusal = refusals.TOKEN_INVALID


class NotAuthenticated(Problem):
    """Login or refresh refused. One body for all reasons, so that it tells nothing about which e-mails exist."""

    refusal = refusals.NOT_AUTHENTICATED


class Forbidden(Problem):
    refusal = refusals.FORBIDDEN


class NotFound(Problem):
    refusal = refusals.NOT_FOUND


class MethodNotAllowed(Problem):
    refusal = refusals.METHOD_NOT_ALLOWED


class Conflict(Problem):
    refusal = refusals.CONFLICT


class BodyTooLarge(Problem):
    refusal = refusals.BODY_TOO_LARGE


class UnsupportedMediaType(Problem):
    refusal = refusals.UNSUPPORTED_MEDIA_TYPE


class TooManyRequests(Problem):
    """Rate limited; one more request is admitted in `retry_after` seconds."""

    refusal = refusals.TOO_MANY_REQUESTS

    def __init__(self, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})


class ServerError(Problem):
    refusal = refusals.SERVER_ERROR


class Unavailable(Problem):
    """Overload, or a database or cache that does not answer; the client should come back in `retry_after` seconds."""

    refusal = refusals.UNAVAILABLE

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})


class FieldErrorBody(BaseModel):
    """One refused field."""

    field: str
    message: str


class ProblemBody(BaseModel):
    """The body of every error (RFC 9457). `code` and `errorCode` are equal and stable."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errorCode: str  # noqa: N815 - the wire name
    message: str
    errors: list[FieldErrorBody]
    requestId: str  # noqa: N815 - the wire name


def body_of(problem: Problem, instance: str, request_id: str) -> bytes:
    """Return the body for `problem` at the path `instance`."""
    errors = [(error.field, error.message) for error in problem.errors]
    body = refusals.body_of(
        problem.refusal, instance=instance, request_id=request_id, detail=problem.detail, errors=errors
    )
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def respond(problem: Problem, instance: str) -> Response:
    """Return the framework's answer for `problem` at the path `instance`, with the id of the current request in it."""
    content = body_of(problem, instance, current_request_id())
    return Response(content, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)
