"""HTTP route of exports."""

from typing import Annotated, Any

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.http.access import TOKEN_NEEDED, CurrentPrincipal, provided
from bapsang_api.http.wire import API, JsonRoute, json_response, problems
from bapsang_api.kit.clock import to_wire
from bapsang_api.privacy.schemas import ExportState, ExportStatus
from bapsang_api.privacy.service import ExportService

router = APIRouter(prefix=API, tags=["users"], route_class=JsonRoute)
_RETRY_SECONDS = "5"
_PENDING: dict[str, Any] = {
    "model": ExportState,
    "description": "It is being written.",
    "headers": {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}},
}


@router.get(
    "/users/me/export",
    response_model=ExportState,
    responses={202: _PENDING, **problems(401)},
    openapi_extra=TOKEN_NEEDED,
)
async def read_export(
    principal: CurrentPrincipal, exports: Annotated[ExportService, provided(ExportService)]
) -> Response:
    """Return a link to everything that is kept of the caller, or begin to write it: ask again after `Retry-After`.

    The file is deleted seven days after it was written; asked then, another one is.
    """
    ready = await exports.request(principal.user_id)
    if ready is None:
        response = json_response(ExportState(status=ExportStatus.PENDING), 202)
        response.headers["Retry-After"] = _RETRY_SECONDS
    else:
        state = ExportState(
            status=ExportStatus.READY,
            url=ready.url,
            url_expires_at=to_wire(ready.url_expires_at),
            size_byte=ready.size,
            kept_until=to_wire(ready.kept_until),
        )
        response = json_response(state)
    response.headers["Cache-Control"] = "no-store"
    return response
