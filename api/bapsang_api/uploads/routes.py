"""HTTP routes of uploads.

Also at the root, without the base path: in the cloud another service answers there, and clients know only that address.
"""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from bapsang_api.http.access import TOKEN_NEEDED, CurrentPrincipal, provided
from bapsang_api.http.ratelimit import Limit, RateLimiter, subject_of
from bapsang_api.http.request import request_of
from bapsang_api.http.wire import API, JsonRoute, json_response, problems
from bapsang_api.uploads.schemas import PresignRequest, PresignResponse, PresignTempRequest
from bapsang_api.uploads.service import UploadService

router = APIRouter(tags=["uploads"], route_class=JsonRoute)
Uploads = Annotated[UploadService, provided(UploadService)]
Limiter = Annotated[RateLimiter, provided(RateLimiter)]


@router.post("/uploads/presign", include_in_schema=False)
@router.post(
    f"{API}/uploads/presign",
    response_model=PresignResponse,
    responses=problems(400, 401, 413, 415),
    openapi_extra=TOKEN_NEEDED,
)
async def presign(body: PresignRequest, principal: CurrentPrincipal, uploads: Uploads) -> Response:
    """Allow one upload: a `PUT` of exactly this type and length, within ten minutes."""
    return await _presigned(body, uploads, principal.user_id)


@router.post("/uploads/presign/temp", include_in_schema=False)
@router.post(f"{API}/uploads/presign/temp", response_model=PresignResponse, responses=problems(400, 413, 415))
async def presign_temp(body: PresignTempRequest, request: Request, uploads: Uploads, limiter: Limiter) -> Response:
    """Allow the upload of the picture for a sign-up. The sign-up makes it the new user's own."""
    await limiter.take(request.scope, (Limit.PRESIGN_TEMP, subject_of(request_of(request.scope).address)))
    return await _presigned(body, uploads, None)


async def _presigned(body: PresignTempRequest, uploads: UploadService, user_id: str | None) -> Response:
    signed = await uploads.presign(
        content_type=body.content_type, size=body.file_size_byte, category=body.category, user_id=user_id
    )
    answer = PresignResponse(
        presigned_url=signed.url, object_key=signed.upload.object_key, content_type=signed.upload.content_type
    )
    return json_response(answer, headers={"Cache-Control": "no-store"})
