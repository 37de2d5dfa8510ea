"""HTTP routes of reports."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from bapsang_api.http.access import TOKEN_NEEDED, CurrentPrincipal, provided
from bapsang_api.http.ratelimit import Limit, RateLimiter
from bapsang_api.http.wire import API, JsonRoute, problems
from bapsang_api.reports.schemas import ReportCreate
from bapsang_api.reports.service import ReportService

router = APIRouter(prefix=f"{API}/posts/{{post_id}}", tags=["reports"], route_class=JsonRoute)
Limiter = Annotated[RateLimiter, provided(RateLimiter)]
Reports = Annotated[ReportService, provided(ReportService)]
_REPORT: Final[dict[str, Any]] = {
    "status_code": 204,
    "response_class": Response,
    "responses": problems(400, 401, 403, 404, 413, 415),
    "openapi_extra": TOKEN_NEEDED,
}


@router.post("/reports", **_REPORT)
async def report_post(
    post_id: str, body: ReportCreate, request: Request, principal: CurrentPrincipal, reports: Reports, limiter: Limiter
) -> Response:
    """Report a post to the administrators. Reporting it again changes nothing."""
    limiter.admit(request.scope, Limit.REPORT, principal.user_id)
    await reports.report(post_id, None, user_id=principal.user_id, reason=body.reason, detail=body.detail)
    return Response(status_code=204)


@router.post("/comments/{comment_id}/reports", **_REPORT)
async def report_comment(
    post_id: str,
    comment_id: str,
    body: ReportCreate,
    request: Request,
    principal: CurrentPrincipal,
    reports: Reports,
    limiter: Limiter,
) -> Response:
    """Report a comment to the administrators. Reporting it again changes nothing."""
    limiter.admit(request.scope, Limit.REPORT, principal.user_id)
    await reports.report(post_id, comment_id, user_id=principal.user_id, reason=body.reason, detail=body.detail)
    return Response(status_code=204)
