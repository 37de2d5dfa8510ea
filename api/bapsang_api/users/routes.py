"""HTTP routes of accounts."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.kit.access import TOKEN_NEEDED, CurrentPrincipal
from bapsang_api.kit.inject import provided
from bapsang_api.kit.wire import API, JsonRoute, json_response, problems
from bapsang_api.users.schemas import MyProfile
from bapsang_api.users.service import UserService

router = APIRouter(prefix=f"{API}/users", tags=["users"], route_class=JsonRoute)
Users = Annotated[UserService, provided(UserService)]


@router.get("/me", response_model=MyProfile, responses=problems(401, 404), openapi_extra=TOKEN_NEEDED)
async def read_me(principal: CurrentPrincipal, users: Users) -> Response:
    """Return the caller's own profile."""
    profile = await users.profile(principal.user_id)
    return json_response(MyProfile(nickname=profile.nickname, email=profile.email, presigned_profile_image_url=None))
