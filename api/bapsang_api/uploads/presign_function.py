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

from bapsang_api.kit import refusals
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.refusals import Refusal
from bapsang_api.uploads import rules
from bapsang_api.uploads.bearer import Bearer, ExpiredError, InvalidError, KeysUnavailableError, MissingError
from bapsang_api.uploads.bucket import Bucket
from bapsang_api.uploads.s3 import Signer

Answer = dict[str, Any]
_MOST_BODY: Final = 16 * 1024
_TEMP_ROUTE: Final = "POST /uploads/presign/temp"


class _RefusedError(Exception):
    """A request that gets the error body; `errors` are field and reason."""

    def __init__(self, refusal: Refusal, *errors: tuple[str, str]) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
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
        return _problem(event, _RefusedError(refusals.TOKEN_MISSING))
    except ExpiredError:
        return _problem(event, _RefusedError(refusals.TOKEN_EXPIRED))
    except InvalidError:
        return _problem(event, _RefusedError(refusals.TOKEN_INVALID))
    except (BotoCoreError, KeysUnavailableError):
        return _problem(event, _RefusedError(refusals.UNAVAILABLE))


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
        raise _RefusedError(refusals.INVALID_INPUT, *errors)
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
        raise _RefusedError(refusals.UNSUPPORTED_MEDIA_TYPE)
    text = event.get("body") or ""
    if len(text) > _MOST_BODY:
        raise _RefusedError(refusals.BODY_TOO_LARGE)
    try:
        body = json.loads(base64.b64decode(text) if event.get("isBase64Encoded") else text)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _RefusedError(refusals.INVALID_INPUT) from error
    if not isinstance(body, dict):
        raise _RefusedError(refusals.INVALID_INPUT)
    return body


def _problem(event: Mapping[str, Any], refused: _RefusedError) -> Answer:
    context = event["requestContext"]
    body = refusals.body_of(
        refused.refusal, instance=context["http"]["path"], request_id=context["requestId"], errors=refused.errors
    )
    answer = _json(refused.refusal.status, refusals.MEDIA_TYPE, body)
    answer["headers"] |= {name.lower(): value for name, value in refused.refusal.headers.items()}
    if refused.refusal is refusals.UNAVAILABLE:
        answer["headers"]["retry-after"] = "1"
    return answer


def _json(status: int, kind: str, body: Mapping[str, Any]) -> Answer:
    headers = {"content-type": kind, "cache-control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body, ensure_ascii=False)}
