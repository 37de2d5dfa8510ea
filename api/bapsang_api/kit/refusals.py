"""Every refusal that a client may see, and the one body of all (RFC 9457).

Pure: the functions in the cloud, which have no framework, refuse by the same table.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

MEDIA_TYPE: Final = "application/problem+json"
_TOKEN_REFUSED: Final = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class Refusal(NamedTuple):
    """`code` is stable: clients act on it. `message` is for people."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = {}


INVALID_INPUT: Final = Refusal(400, "E400-1", "입력값이 유효하지 않습니다.")
TOKEN_MISSING: Final = Refusal(401, "T001", "Token is empty", {"WWW-Authenticate": "Bearer"})
#: The one code on which clients refresh their token and repeat the request.
TOKEN_EXPIRED: Final = Refusal(401, "T002", "Access Token Expired", _TOKEN_REFUSED)
TOKEN_INVALID: Final = Refusal(401, "T003", "Invalid Token", _TOKEN_REFUSED)
NOT_AUTHENTICATED: Final = Refusal(401, "E401-1", "인증되지 않은 사용자입니다.")
FORBIDDEN: Final = Refusal(403, "E403-1", "접근 권한이 없습니다.")
NOT_FOUND: Final = Refusal(404, "E404-1", "해당 리소스를 찾을 수 없습니다.")
METHOD_NOT_ALLOWED: Final = Refusal(405, "E405-1", "허용되지 않는 메서드입니다.")
CONFLICT: Final = Refusal(409, "E409-1", "데이터 충돌이 발생했습니다.")
BODY_TOO_LARGE: Final = Refusal(413, "E413-1", "요청 본문이 너무 큽니다.")
UNSUPPORTED_MEDIA_TYPE: Final = Refusal(415, "E415-1", "지원하지 않는 콘텐츠 형식입니다.")
TOO_MANY_REQUESTS: Final = Refusal(429, "E429-1", "요청이 너무 많습니다.")
SERVER_ERROR: Final = Refusal(500, "E500-1", "서버 오류가 발생했습니다.")
UNAVAILABLE: Final = Refusal(503, "E503-1", "일시적으로 이용할 수 없습니다.")


def body_of(
    refusal: Refusal, *, instance: str, request_id: str, detail: str = "", errors: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Return the body for a request of the path `instance`. `errors` are refused fields, each with why."""
    fields = [{"field": field, "message": message} for field, message in errors]
    first = f"{fields[0]['field']}: {fields[0]['message']}" if fields else refusal.message
    return {
        "type": f"about:blank#{refusal.code}",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": detail or first,
        "instance": instance,
        "code": refusal.code,
        "errorCode": refusal.code,
        "message": refusal.message,
        "errors": fields,
        "requestId": request_id,
    }
