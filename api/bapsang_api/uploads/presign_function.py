"""The presign function behind API Gateway: signs uploads by the API's own rules, and does nothing else.

It verifies the token itself: the gateway's authorizer would answer an expired one in its own words, without the code on
which clients refresh. Imports neither the framework nor the database, which its package does not hold.
"""

import base64
import binascii
import functools
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from boto3.session import Session
from botocore.exceptions import BotoCoreError

from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.ids import Ids
from bapsang_api.uploads import rules
from bapsang_api.uploads.bearer import Bearer, ExpiredError, InvalidError, KeysUnavailableError, MissingError
from bapsang_api.uploads.bucket import Bucket
from bapsang_api.uploads.s3 import Signer

Answer = dict[str, Any]
_MOST_BODY: Final = 16 * 1024
_TEMP_ROUTE: Final = "POST /uploads/presign/temp"
_INVALID: Final = (400, "Bad Request", "E400-1", "입력값이 유효하지 않습니다.")
_UNSUPPORTED: Final = (415, "Unsupported Media Type", "E415-1", "지원하지 않는 콘텐츠 형식입니다.")
_TOO_LARGE: Final = (413, "Content Too Large", "E413-1", "요청 본문이 너무 큽니다.")
_TOKEN_MISSING: Final = (401, "Unauthorized", "T001", "Token is empty")
_TOKEN_EXPIRED: Final = (401, "Unauthorized", "T002", "Access Token Expired")
_TOKEN_INVALID: Final = (401, "Unauthorized", "T003", "Invalid Token")
_UNAVAILABLE: Final = (503, "Service Unavailable", "E503-1", "일시적으로 이용할 수 없습니다.")
_MORE_HEADERS: Final[Mapping[str, dict[str, str]]] = {
    "E503-1": {"retry-after": "1"},
    "T001": {"www-authenticate": "Bearer"},
    "T002": {"www-authenticate": 'Bearer error="invalid_token"'},
    "T003": {"www-authenticate": 'Bearer error="invalid_token"'},
}


class _RefusedError(Exception):
    """A request that gets the error body; `errors` are field and reason."""

    def __init__(self, problem: tuple[int, str, str, str], *errors: tuple[str, str]) -> None:
        super().__init__(problem[3])
        self.problem = problem
        self.errors = errors


@functools.cache
def _signer() -> Signer:
    """Return the signer of this process; made once, because a container of the function serves many requests."""
    return Signer(Session(), Bucket.of_function(os.environ))


@functools.cache
def _bearer() -> Bearer:
    return Bearer(os.environ["BAPSANG_ISSUER"], os.environ["BAPSANG_AUDIENCE"], SystemClock())


@functools.cache
def _ids() -> Ids:
    return Ids(SystemClock())


def handler(event: Mapping[str, Any], _context: object) -> Answer:
    """Answer one request of an HTTP API (payload version 2.0)."""
    try:
        return _presign(event)
    except _RefusedError as refused:
        return _problem(event, refused)
    except MissingError:
        return _problem(event, _RefusedError(_TOKEN_MISSING))
    except ExpiredError:
        return _problem(event, _RefusedError(_TOKEN_EXPIRED))
    except InvalidError:
        return _problem(event, _RefusedError(_TOKEN_INVALID))
    except (BotoCoreError, KeysUnavailableError):
        return _problem(event, _RefusedError(_UNAVAILABLE))


def _presign(event: Mapping[str, Any]) -> Answer:
    temporary = event["routeKey"] == _TEMP_ROUTE
    # Before the body, as the API does: an expired token is told as such, whatever else is wrong.
    user_id = None if temporary else _bearer().user_of(event.get("headers", {}).get("authorization"))
    body = _body(event)
    checks: dict[str, Callable[[object], Any]] = {
        "fileName": rules.checked_file_name,
        "contentType": rules.checked_content_type,
        "fileSizeByte": rules.checked_size,
        "category": rules.checked_temp_category if temporary else rules.checked_category,
    }
    found, errors = {}, []
    for field, check in checks.items():
        try:
            found[field] = check(body.get(field))
        except ValueError as error:
            errors.append((field, str(error)))
    if errors:
        raise _RefusedError(_INVALID, *errors)
    upload = rules.plan(
        content_type=found["contentType"],
        size=found["fileSizeByte"],
        category=found["category"],
        user_id=user_id,
        upload_id=_ids().new(),
    )
    answer = {
        "presignedUrl": _signer().sign(upload),
        "objectKey": upload.object_key,
        "contentType": upload.content_type,
    }
    return _json(200, "application/json", answer)


def _body(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object that was sent. Raises _RefusedError."""
    kind = event.get("headers", {}).get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise _RefusedError(_UNSUPPORTED)
    text = event.get("body") or ""
    if len(text) > _MOST_BODY:
        raise _RefusedError(_TOO_LARGE)
    try:
        body = json.loads(base64.b64decode(text) if event.get("isBase64Encoded") else text)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _RefusedError(_INVALID) from error
    if not isinstance(body, dict):
        raise _RefusedError(_INVALID)
    return body


def _problem(event: Mapping[str, Any], refused: _RefusedError) -> Answer:
    """Return the API's error body. It is written out here because the API's own comes with the framework."""
    status, title, code, message = refused.problem
    first = f"{refused.errors[0][0]}: {refused.errors[0][1]}" if refused.errors else message
    body = {
        "type": f"about:blank#{code}",
        "title": title,
        "status": status,
        "detail": first,
        "instance": event["requestContext"]["http"]["path"],
        "code": code,
        "errorCode": code,
        "message": message,
        "errors": [{"field": field, "message": reason} for field, reason in refused.errors],
        "requestId": event["requestContext"]["requestId"],
    }
    answer = _json(status, "application/problem+json", body)
    answer["headers"] |= _MORE_HEADERS.get(code, {})
    return answer


def _json(status: int, kind: str, body: Mapping[str, Any]) -> Answer:
    headers = {"content-type": kind, "cache-control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body, ensure_ascii=False)}
