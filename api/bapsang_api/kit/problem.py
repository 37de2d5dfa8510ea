"""The one error body (RFC 9457) and the error classes that carry a status, a stable code and the words for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bapsang_api.kit.context import current_request_id

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class FieldError:
    """One refused input field, named as the client sent it, and why."""

    field: str
    message: str


class Problem(HTTPException):
    """Base of every error that a client may see. Subclasses fix `status`, `code` and `message`.

    It is an HTTPException because the framework lets only those pass through its body parsing; anything else raised
    there (a body over the limit) would be turned into a plain 400.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    message: ClassVar[str]

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(self.status, detail or self.message, dict(headers or {}))
        self.errors = tuple(errors)


class InvalidInput(Problem):
    status, code, message = 400, "E400-1", "입력값이 유효하지 않습니다."

    def __init__(self, *errors: FieldError) -> None:
        first = f"{errors[0].field}: {errors[0].message}" if errors else None
        super().__init__(first, errors=errors)


class TokenMissing(Problem):
    status, code, message = 401, "T001", "Token is empty"

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"})


class TokenExpired(Problem):
    """The one code on which clients refresh their token and repeat the request."""

    status, code, message = 401, "T002", "Access Token Expired"

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


class TokenInvalid(Problem):
    status, code, message = 401, "T003", "Invalid Token"

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


class NotAuthenticated(Problem):
    """Login or refresh refused. One body for all reasons, so that it tells nothing about which e-mails exist."""

    status, code, message = 401, "E401-1", "인증되지 않은 사용자입니다."


class Forbidden(Problem):
    status, code, message = 403, "E403-1", "접근 권한이 없습니다."


class NotFound(Problem):
    status, code, message = 404, "E404-1", "해당 리소스를 찾을 수 없습니다."


class MethodNotAllowed(Problem):
    status, code, message = 405, "E405-1", "허용되지 않는 메서드입니다."


class Conflict(Problem):
    status, code, message = 409, "E409-1", "데이터 충돌이 발생했습니다."


class BodyTooLarge(Problem):
    status, code, message = 413, "E413-1", "요청 본문이 너무 큽니다."


class UnsupportedMediaType(Problem):
    status, code, message = 415, "E415-1", "지원하지 않는 콘텐츠 형식입니다."


class TooManyRequests(Problem):
    """Rate limited; one more request is admitted in `retry_after` seconds."""

    status, code, message = 429, "E429-1", "요청이 너무 많습니다."

    def __init__(self, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})


class ServerError(Problem):
    status, code, message = 500, "E500-1", "서버 오류가 발생했습니다."


class Unavailable(Problem):
    """Overload, or a database or cache that does not answer; the client should come back in `retry_after` seconds."""

    status, code, message = 503, "E503-1", "일시적으로 이용할 수 없습니다."

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
    body = {
        "type": f"about:blank#{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        "code": problem.code,
        "errorCode": problem.code,
        "message": problem.message,
        "errors": [{"field": error.field, "message": error.message} for error in problem.errors],
        "requestId": request_id,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def respond(problem: Problem, instance: str) -> Response:
    """Return the framework's answer for `problem` at the path `instance`, with the id of the current request in it."""
    content = body_of(problem, instance, current_request_id())
    return Response(content, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)
