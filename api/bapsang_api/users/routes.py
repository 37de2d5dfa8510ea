"""HTTP routes of accounts."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.http.access import TOKEN_NEEDED, CurrentPrincipal, provided
from bapsang_api.http.wire import API, JsonRoute, json_response, problems
from bapsang_api.uploads.service import PERSON_WIDTH, ImageService, Named
from bapsang_api.users.schemas import MyProfile, ProfileChange
from bapsang_api.users.service import UserService

router = APIRouter(prefix=f"{API}/users", tags=["users"], route_class=JsonRoute)
Images = Annotated[ImageService, provided(ImageService)]
Users = Annotated[UserService, provided(UserService)]


@router.get("/me", response_model=MyProfile, responses=problems(401, 404), openapi_extra=TOKEN_NEEDED)
async def read_me(principal: CurrentPrincipal, users: Users, images: Images) -> Response:
    """Return the caller's own profile."""
    profile = await users.profile(principal.user_id)
    return json_response(
        MyProfile(
            nickname=profile.nickname,
            email=profile.email,
            email_verified=profile.email_verified_at is not None,
            presigned_profile_image_url=images.url(profile.image_key, profile.photo, PERSON_WIDTH),
            profile_image=images.shown(profile.image_key, profile.photo, PERSON_WIDTH),
        )
    )


@router.patch(
    "/me",
    status_code=204,
    response_class=Response,
    responses=problems(400, 401, 404, 409, 413, 415),
    openapi_extra=TOKEN_NEEDED,
)
async def change_me(body: ProfileChange, principal: CurrentPrincipal, users: Users) -> Response:
    """Change the caller's nickname or picture. A missing or null field stays; `""` removes the picture."""
    key = body.profile_image_key
    await users.change_profile(
        principal.user_id,
        nickname=body.nickname,
        image=Named("profileImageKey", key) if key else None,
        remove_image=key == "",
        is_staff=principal.role == "ADMIN",
    )
    return Response(status_code=204)
