"""HTTP routes of notifications."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from bapsang_api.http.access import TOKEN_NEEDED, CurrentPrincipal, bearer_token, provided, required_caller_of
from bapsang_api.http.answers import Answer
from bapsang_api.http.direct import Services, direct
from bapsang_api.http.request import Request
from bapsang_api.http.wire import API, JsonRoute, json_response, problems
from bapsang_api.inbox.schemas import (
    InboxQuery,
    NotificationPage,
    NotificationSettings,
    ReadMarks,
    SettingsChange,
    UnreadCount,
)
from bapsang_api.inbox.service import InboxService
from bapsang_api.inbox.streams import InboxStreams
from bapsang_api.inbox.wire import page_of
from bapsang_api.kit.security.tokens import TokenVerifier
from bapsang_api.kit.text import number_of
from bapsang_api.notifications.vocabulary import Kind
from bapsang_api.uploads.service import ImageService

router = APIRouter(prefix=f"{API}/users/me/notifications", tags=["notifications"], route_class=JsonRoute)
Images = Annotated[ImageService, provided(ImageService)]
Inboxes = Annotated[InboxService, provided(InboxService)]
RequestedNotifications = Annotated[InboxQuery, Query()]
_EVENTS: Final = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": 'event: notification\nid: 42\ndata: {"notificationId": "42"}\n\n',
    }
}
_UNBUFFERED: Final = {
    "X-Accel-Buffering": {
        "description": "Asks proxies to pass events on at once.",
        "schema": {"type": "string"},
        "example": "no",
    }
}
_LAST_EVENT_ID: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that came: what was written since comes first.",
    "schema": {"type": "string"},
    "example": "42",
}
_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
_CHANGE: Final[dict[str, Any]] = {
    "status_code": 204,
    "response_class": Response,
    "responses": problems(400, 401, 413, 415),
    "openapi_extra": TOKEN_NEEDED,
}


@router.get("", response_model=NotificationPage, responses=problems(400, 401), openapi_extra=TOKEN_NEEDED)
async def list_notifications(
    principal: CurrentPrincipal, inboxes: Inboxes, images: Images, paging: RequestedNotifications
) -> Response:
    """List what the caller was told of, newest first. What cannot be seen any more is left out."""
    before = None if paging.cursor_id is None else int(paging.cursor_id)
    return json_response(page_of(await inboxes.page(principal.user_id, before, paging.most), images))


@router.get("/unread", response_model=UnreadCount, responses=problems(401), openapi_extra=TOKEN_NEEDED)
async def count_unread(principal: CurrentPrincipal, inboxes: Inboxes) -> Response:
    """Count the caller's unread notifications, up to 100."""
    return json_response(UnreadCount(count=await inboxes.unread(principal.user_id)))


@router.post("/read", **_CHANGE)
async def mark_read(body: ReadMarks, principal: CurrentPrincipal, inboxes: Inboxes) -> Response:
    """Mark notifications as read: all up to one, or these. Doing it again changes nothing."""
    if body.up_to is not None:
        await inboxes.read_up_to(principal.user_id, int(body.up_to))
    elif body.ids:
        await inboxes.read_these(principal.user_id, [int(one) for one in body.ids])
    return Response(status_code=204)


@router.get("/settings", response_model=NotificationSettings, responses=problems(401), openapi_extra=TOKEN_NEEDED)
async def read_notification_settings(principal: CurrentPrincipal, inboxes: Inboxes) -> Response:
    """Return what the caller is told of, by kind."""
    muted = await inboxes.muted_kinds(principal.user_id)
    kinds = {name: Kind(name.upper()) not in muted for name in NotificationSettings.model_fields}
    return json_response(NotificationSettings(**kinds))


@direct(
    router,
    "GET",
    path="/stream",
    response_class=Response,
    responses={200: {"content": _EVENTS, "headers": _UNBUFFERED}, **problems(401)},
    openapi_extra={**TOKEN_NEEDED, "parameters": [_LAST_EVENT_ID]},
)
async def stream_notifications(request: Request, services: Services, _: str) -> Answer:
    """Follow what the caller is told of, live, as server-sent events.

    An event `notification` has the number as its id and an item as its data; with `Last-Event-ID` all after it come first. After
    an event `reset` the list has to be loaded again. The stream ends with the access token, and whenever its server does: come
    back after the time of `retry`.
    """
    principal = required_caller_of(request, services)
    verifier: TokenVerifier = services[TokenVerifier]
    streams: InboxStreams = services[InboxStreams]
    expires, last = verifier.end_of(bearer_token(request) or ""), request.headers.get(b"last-event-id")
    stream = await streams.open(principal, expires, _number(last), resumes=last is not None)
    return Answer(200, b"", _HEADERS, stream)


def _number(last_event_id: bytes | None) -> int | None:
    """Return the number that a client saw last; None for what is no number of ours."""
    try:
        return number_of((last_event_id or b"").decode("latin-1"))
    except ValueError:
        return None


@router.put("/settings", **_CHANGE)
async def change_notification_settings(body: SettingsChange, principal: CurrentPrincipal, inboxes: Inboxes) -> Response:
    """Turn kinds on or off. What was told before stays."""
    await inboxes.turn(
        principal.user_id, {Kind(name.upper()): on for name, on in body.model_dump(exclude_none=True).items()}
    )
    return Response(status_code=204)
