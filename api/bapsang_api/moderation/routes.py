"""HTTP routes of administrators."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BeforeValidator
from starlette.responses import Response

from bapsang_api.http.access import TOKEN_NEEDED, CurrentAdmin, provided
from bapsang_api.http.paging import Cursor, RequestedPage
from bapsang_api.http.validation import empty_as_absent
from bapsang_api.http.wire import API, JsonRoute, json_response, problems
from bapsang_api.kit.clock import from_wire, to_wire
from bapsang_api.kit.security.tokens import Principal
from bapsang_api.moderation.acts import Actor
from bapsang_api.moderation.content import ContentModeration
from bapsang_api.moderation.schemas import Act, Suspension
from bapsang_api.moderation.service import ModerationService, Reports
from bapsang_api.reports.schemas import ReportedTarget, Reporter, ReportItem, ReportPage
from bapsang_api.reports.vocabulary import Reason, ReportStatus, TargetKind

router = APIRouter(prefix=f"{API}/admin", tags=["admin"], route_class=JsonRoute)
Contents = Annotated[ContentModeration, provided(ContentModeration)]
Moderation = Annotated[ModerationService, provided(ModerationService)]
StatusFilter = Annotated[
    ReportStatus | None, BeforeValidator(empty_as_absent), Query(description="Reports in this state, OPEN when absent.")
]
_ACT: Final[dict[str, Any]] = {
    "status_code": 204,
    "response_class": Response,
    "responses": problems(400, 401, 403, 404, 409, 413, 415),
    "openapi_extra": TOKEN_NEEDED,
}
_ALL: Final[dict[str, Any]] = {
    **_ACT,
    "responses": {202: {"description": "There is more: ask again."}, **_ACT["responses"]},
}


@router.post("/users/{user_id}/block", **_ACT)
async def block_user(user_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None) -> Response:
    """Keep a user out. Their tokens end within a second."""
    await moderation.block(_actor(admin, body), user_id)
    return Response(status_code=204)


@router.post("/users/{user_id}/unblock", **_ACT)
async def unblock_user(user_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None) -> Response:
    """Let a blocked user log in again."""
    await moderation.unblock(_actor(admin, body), user_id)
    return Response(status_code=204)


@router.post("/users/{user_id}/suspend", **_ACT)
async def suspend_user(user_id: str, admin: CurrentAdmin, moderation: Moderation, body: Suspension) -> Response:
    """Keep a user out for a time: sessions end, a login is told until when. What they wrote stays. It ends by itself."""
    until = None if body.until is None else from_wire(body.until)
    await moderation.suspend(_actor(admin, body), user_id, until=until, days=body.days)
    return Response(status_code=204)


@router.post("/users/{user_id}/unsuspend", **_ACT)
async def unsuspend_user(
    user_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None
) -> Response:
    """Let a suspended user log in again before the time is over."""
    await moderation.unsuspend(_actor(admin, body), user_id)
    return Response(status_code=204)


@router.post("/users/{user_id}/hide-content", **_ALL)
async def hide_content(user_id: str, admin: CurrentAdmin, contents: Contents, body: Act | None = None) -> Response:
    """Take all posts and comments of a user from sight: 204 when it is done, 202 while there is more; then ask again."""
    return Response(status_code=204 if await contents.hide(_actor(admin, body), user_id) else 202)


@router.post("/users/{user_id}/show-content", **_ALL)
async def show_content(user_id: str, admin: CurrentAdmin, contents: Contents, body: Act | None = None) -> Response:
    """Bring back what was hidden so, and nothing that was hidden by itself: 204 and 202 as when it was hidden."""
    return Response(status_code=204 if await contents.show(_actor(admin, body), user_id) else 202)


@router.post("/posts/{post_id}/approve", **_ACT)
async def approve_post(post_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None) -> Response:
    """Publish a post that was held back, or refused. If it never was, it comes on top of the lists."""
    await moderation.approve(_actor(admin, body), post_id)
    return Response(status_code=204)


@router.post("/posts/{post_id}/refuse", **_ACT)
async def refuse_post(post_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None) -> Response:
    """Do not publish a post that was held back: it is hidden from now on."""
    await moderation.refuse(_actor(admin, body), post_id)
    return Response(status_code=204)


@router.post("/posts/{post_id}/hide", **_ACT)
async def hide_post(post_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None) -> Response:
    """Take a post from sight."""
    await moderation.hide(_actor(admin, body), post_id)
    return Response(status_code=204)


@router.post("/posts/{post_id}/show", **_ACT)
async def show_post(post_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None) -> Response:
    """Bring a hidden post back."""
    await moderation.show(_actor(admin, body), post_id)
    return Response(status_code=204)


@router.post("/comments/{comment_id}/hide", **_ACT)
async def hide_comment(
    comment_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None
) -> Response:
    """Take a comment from sight. One that was answered stays, without text and author."""
    await moderation.hide_comment(_actor(admin, body), comment_id)
    return Response(status_code=204)


@router.post("/comments/{comment_id}/show", **_ACT)
async def show_comment(
    comment_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None
) -> Response:
    """Bring a hidden comment back."""
    await moderation.show_comment(_actor(admin, body), comment_id)
    return Response(status_code=204)


@router.get("/reports", response_model=ReportPage, responses=problems(400, 401, 403), openapi_extra=TOKEN_NEEDED)
async def list_reports(
    admin: CurrentAdmin,
    moderation: Moderation,
    paging: RequestedPage,
    status: StatusFilter = None,
) -> Response:
    """List the reports in one state, newest first; without `status` those that are open."""
    page = await moderation.reports(_actor(admin, None), status or ReportStatus.OPEN, paging.start, paging.most)
    return json_response(_page_body(page))


@router.post("/reports/{report_id}/resolve", **_ACT)
async def resolve_report(
    report_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None
) -> Response:
    """Close a report that was right."""
    await moderation.resolve(_actor(admin, body), report_id)
    return Response(status_code=204)


@router.post("/reports/{report_id}/dismiss", **_ACT)
async def dismiss_report(
    report_id: str, admin: CurrentAdmin, moderation: Moderation, body: Act | None = None
) -> Response:
    """Close a report that was not right."""
    await moderation.dismiss(_actor(admin, body), report_id)
    return Response(status_code=204)


def _page_body(page: Reports) -> ReportPage:
    items = [
        ReportItem(
            report_id=row.report_id,
            reason=Reason(row.reason),
            detail=row.detail,
            status=ReportStatus(row.status),
            created_at=to_wire(row.created_at),
            closed_at=to_wire(row.closed_at) if row.closed_at else None,
            reporter=Reporter(user_id=row.reporter_id, nickname=row.reporter_nickname),
            target=ReportedTarget(
                kind=TargetKind(row.target_kind),
                id=row.target_id,
                post_id=row.post_id,
                author_id=row.author_id,
                text=row.text,
            ),
        )
        for row in page.rows
    ]
    return ReportPage(items=items, next_cursor=Cursor.of(page.following), has_more=page.following is not None)


def _actor(admin: Principal, body: Act | None) -> Actor:
    return Actor(admin.user_id, body.reason if body else None)
