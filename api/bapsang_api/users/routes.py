"""HTTP routes of accounts."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.kit.access import TOKEN_NEEDED, CurrentPrincipal
from bapsang_api.kit.inject import provided
from bapsang_api.kit.wire import API, JsonRoute, json_response, problems
from bapsang_api.users.schemas import MyProfile, ProfileChange
from bapsang_api.users.service import UserService, require_no_image

router = APIRouter(prefix=f"{API}/users", tags=["users"], route_class=JsonRoute)
Users = Annotated[UserService, provided(UserService)]


@router.get("/me", response_model=MyProfile, responses=problems(401, 404), openapi_extra=TOKEN_NEEDED)
async def read_me(principal: CurrentPrincipal, users: Users) -> Response:
    """Return the caller's own profile."""
    profile = await users.profile(principal.user_id)
    return json_response(MyProfile(nickname=profile.nickname, email=profile.email, presigned_profile_image_url=None))


@router.patch(
    "/me",
    status_code=204,
    response_class=Response,
    responses=problems(400, 401, 404, 409, 413, 415),
    openapi_extra=TOKEN_NEEDED,
)
async def change_me(body: ProfileChange, principal: CurrentPrincipal, users: Users) -> Response:
    """Change the caller's nickname or picture. A missing or null field stays; `""` removes the picture."""
    require_no_image("profileImageKey", body.profile_image_key)
    await users.change_profile(
        principal.user_id, nickname=body.nickname, remove_image=body.profile_image_key is not None
    )
    return Response(status_code=204)
