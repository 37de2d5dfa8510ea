"""HTTP routes of administrators."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.kit.access import TOKEN_NEEDED, CurrentAdmin
from bapsang_api.kit.inject import provided
from bapsang_api.kit.tokens import Principal
from bapsang_api.kit.wire import API, JsonRoute, problems
from bapsang_api.moderation.schemas import Act
from bapsang_api.moderation.service import Actor, ModerationService

router = APIRouter(prefix=f"{API}/admin", tags=["admin"], route_class=JsonRoute)
Moderation = Annotated[ModerationService, provided(ModerationService)]
_ACT: Final[dict[str, Any]] = {
    "status_code": 204,
    "response_class": Response,
    "responses": problems(400, 401, 403, 404, 409, 413, 415),
    "openapi_extra": TOKEN_NEEDED,
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


def _actor(admin: Principal, body: Act | None) -> Actor:
    return Actor(admin.user_id, body.reason if body else None)
