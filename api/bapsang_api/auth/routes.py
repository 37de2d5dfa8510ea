"""HTTP routes of sign-up and login. An Authorization header is never needed here and never refused: clients go on
sending their expired one."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bapsang_api.auth.schemas import LoginRequest, LoginResponse, UserCreate, UserCreated
from bapsang_api.auth.service import REFRESH_LIFETIME, AuthService, Tokens
from bapsang_api.kit.access import bearer_token
from bapsang_api.kit.inject import provided
from bapsang_api.kit.problem import Problem
from bapsang_api.kit.tokens import Principal, TokenVerifier
from bapsang_api.kit.wire import API, JsonRoute, json_response, problems, text_response
from bapsang_api.users.schemas import Email, Nickname
from bapsang_api.users.service import UserService, require_no_image

PREFIX = f"{API}/auth"
COOKIE = "refreshToken"

router = APIRouter(prefix=PREFIX, tags=["auth"], route_class=JsonRoute)
Auth = Annotated[AuthService, provided(AuthService)]
Users = Annotated[UserService, provided(UserService)]
Verifier = Annotated[TokenVerifier, provided(TokenVerifier)]

_HANDS_OUT_TOKENS: dict[str, Any] = {
    "headers": {
        "Authorization": {"description": "`Bearer <access token>`", "schema": {"type": "string"}},
        "Set-Cookie": {"description": "`refreshToken`, HttpOnly", "schema": {"type": "string"}},
    }
}
_PLAIN: dict[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_WITH_COOKIE: dict[str, Any] = {"security": [{"refreshCookie": []}]}


@router.get("/email", response_class=Response, responses={200: _PLAIN, **problems(400, 409)})
async def check_email(email: Annotated[Email, Query()], users: Users) -> Response:
    """Tell whether an e-mail can still be used."""
    await users.require_email_free(email)
    return text_response("사용 가능한 이메일입니다.")


@router.get("/nickname", response_class=Response, responses={200: _PLAIN, **problems(400, 409)})
async def check_nickname(nickname: Annotated[Nickname, Query()], users: Users) -> Response:
    """Tell whether a nickname can still be used."""
    await users.require_nickname_free(nickname)
    return text_response("사용 가능한 닉네임입니다.")


@router.post("/users", status_code=201, response_model=UserCreated, responses=problems(400, 409, 413, 415))
async def sign_up(body: UserCreate, auth: Auth) -> Response:
    """Create an account."""
    require_no_image("profileImageKey", body.profile_image_key)
    user_id = await auth.sign_up(email=body.email, password=body.password, nickname=body.nickname)
    return json_response(UserCreated(user_id=user_id), 201)


@router.post(
    "/tokens",
    status_code=201,
    response_model=LoginResponse,
    responses={201: _HANDS_OUT_TOKENS, **problems(400, 401, 403, 413, 415)},
)
async def log_in(body: LoginRequest, auth: Auth) -> Response:
    """Log in: the access token comes in the `Authorization` header, the refresh token in a cookie."""
    login = await auth.log_in(email=body.email, password=body.password)
    return _with_tokens(json_response(LoginResponse(nickname=login.nickname), 201), login.tokens)


@router.post(
    "/refresh",
    status_code=204,
    response_class=Response,
    responses={204: _HANDS_OUT_TOKENS, **problems(401)},
    openapi_extra=_WITH_COOKIE,
)
async def refresh(request: Request, auth: Auth) -> Response:
    """Exchange the refresh token for a new pair. Any body is ignored."""
    return _with_tokens(Response(status_code=204), await auth.refresh(request.cookies.get(COOKIE)))


@router.post("/logout", status_code=204, response_class=Response, responses=problems(), openapi_extra=_WITH_COOKIE)
async def log_out(request: Request, auth: Auth, verifier: Verifier) -> Response:
    """End the login session, with or without a token or cookie, whatever they hold."""
    await auth.log_out(refresh_token=request.cookies.get(COOKIE), principal=_principal(request, verifier))
    response = Response(status_code=204)
    _set_cookie(response, "", 0)
    return response


def _principal(request: Request, verifier: TokenVerifier) -> Principal | None:
    try:
        token = bearer_token(request)
        return verifier.verify(token) if token else None
    except Problem:  # no token that still works: then there is none to revoke
        return None


def _with_tokens(response: Response, tokens: Tokens) -> Response:
    response.headers["Authorization"] = f"Bearer {tokens.access}"
    response.headers["Cache-Control"] = "no-store"
    _set_cookie(response, tokens.refresh, int(REFRESH_LIFETIME.total_seconds()))
    return response


def _set_cookie(response: Response, value: str, max_age: int) -> None:
    response.headers["Set-Cookie"] = (
        f"{COOKIE}={value}; Max-Age={max_age}; Path={PREFIX}; HttpOnly; Secure; SameSite=None"
    )
