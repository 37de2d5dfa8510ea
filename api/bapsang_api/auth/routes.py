"""HTTP routes of sign-up, login and what somebody does with their own login.

For sign-up, login, refresh and logout an Authorization header is never needed and never refused: clients go on sending
their expired one.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bapsang_api.auth.account import AccountService
from bapsang_api.auth.schemas import (
    Device,
    DeviceList,
    LoginRequest,
    LoginResponse,
    NewPassword,
    PasswordCheck,
    UserCreate,
    UserCreated,
)
from bapsang_api.auth.secrets import REFRESH_LIFETIME
from bapsang_api.auth.service import AuthService, Tokens
from bapsang_api.http.access import TOKEN_NEEDED, CurrentPrincipal, bearer_token, provided
from bapsang_api.http.idempotency import Replay
from bapsang_api.http.ratelimit import Limit, RateLimiter, subject_of
from bapsang_api.http.request import request_of
from bapsang_api.http.wire import API, JsonRoute, json_response, plain, problems, text_response
from bapsang_api.kit.clock import to_wire
from bapsang_api.kit.problem import Problem
from bapsang_api.kit.security.tokens import Principal, TokenVerifier
from bapsang_api.kit.text import folded
from bapsang_api.uploads.service import Named
from bapsang_api.users.schemas import Email, Nickname
from bapsang_api.users.service import UserService

PREFIX = f"{API}/auth"
COOKIE = "refreshToken"
_LONGEST_COOKIE: Final = 256  # characters; a refresh token has 43

router = APIRouter(prefix=PREFIX, tags=["auth"], route_class=JsonRoute)
account_router = APIRouter(prefix=API, tags=["users"], route_class=JsonRoute)
Account = Annotated[AccountService, provided(AccountService)]
Auth = Annotated[AuthService, provided(AuthService)]
Users = Annotated[UserService, provided(UserService)]
Limiter = Annotated[RateLimiter, provided(RateLimiter)]
Verifier = Annotated[TokenVerifier, provided(TokenVerifier)]

_HANDS_OUT_TOKENS: dict[str, Any] = {
    "headers": {
        "Authorization": {"description": "`Bearer <access token>`", "schema": {"type": "string"}},
        "Set-Cookie": {"description": "`refreshToken`, HttpOnly", "schema": {"type": "string"}},
    }
}
_LOGS_OUT: dict[str, Any] = {
    "headers": {"Set-Cookie": {"description": "`refreshToken`, expired", "schema": {"type": "string"}}}
}
_WITH_COOKIE: dict[str, Any] = {"security": [{"refreshCookie": []}]}
_ANY_LOGIN: dict[str, Any] = {"security": [{}, {"refreshCookie": []}, {"accessToken": []}]}


@router.get(
    "/email", response_class=Response, responses={200: plain("사용 가능한 이메일입니다."), **problems(400, 409)}
)
async def check_email(email: Annotated[Email, Query()], users: Users) -> Response:
    """Tell whether an e-mail can still be used."""
    await users.require_email_free(email)
    return text_response("사용 가능한 이메일입니다.")


@router.get(
    "/nickname", response_class=Response, responses={200: plain("사용 가능한 닉네임입니다."), **problems(400, 409)}
)
async def check_nickname(nickname: Annotated[Nickname, Query()], users: Users) -> Response:
    """Tell whether a nickname can still be used."""
    await users.require_nickname_free(nickname)
    return text_response("사용 가능한 닉네임입니다.")


@router.post("/users", status_code=201, response_model=UserCreated, responses=problems(400, 409, 413, 415))
async def sign_up(body: UserCreate, request: Request, auth: Auth, limiter: Limiter) -> Response:
    """Create an account."""
    await limiter.take(request.scope, (Limit.SIGNUP, _sender(request)))
    key = body.profile_image_key
    image = Named("profileImageKey", key) if key else None
    user_id = await auth.sign_up(email=body.email, password=body.password, nickname=body.nickname, image=image)
    return json_response(UserCreated(user_id=user_id), 201)


@router.post(
    "/tokens",
    status_code=201,
    response_model=LoginResponse,
    responses={201: _HANDS_OUT_TOKENS, **problems(400, 401, 403, 413, 415)},
)
async def log_in(body: LoginRequest, request: Request, auth: Auth, limiter: Limiter) -> Response:
    """Log in: the access token comes in the `Authorization` header, the refresh token in a cookie."""
    await limiter.take(request.scope, (Limit.LOGIN_IP, _sender(request)), (Limit.LOGIN_EMAIL, folded(body.email)))
    login = await auth.log_in(email=body.email, password=body.password, user_agent=_user_agent(request))
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
    return _with_tokens(Response(status_code=204), await auth.refresh(_refresh_token(request)))


@router.post(
    "/logout",
    status_code=204,
    response_class=Response,
    responses={204: _LOGS_OUT, **problems()},
    openapi_extra=_ANY_LOGIN,
)
async def log_out(request: Request, auth: Auth, verifier: Verifier) -> Response:
    """End the login session, with or without a token or cookie, whatever they hold."""
    await auth.log_out(refresh_token=_refresh_token(request), principal=_principal(request, verifier))
    return _logged_out(Response(status_code=204))


@router.post(
    "/password",
    response_class=Response,
    responses={200: plain("비밀번호가 일치합니다."), **problems(400, 401, 404, 409, 413, 415)},
    openapi_extra=TOKEN_NEEDED,
)
async def check_password(
    body: PasswordCheck, request: Request, principal: CurrentPrincipal, account: Account, limiter: Limiter
) -> Response:
    """Tell whether this is the caller's password."""
    await limiter.take(request.scope, (Limit.PASSWORD, principal.user_id))
    await account.require_password(principal.user_id, body.password)
    response = text_response("비밀번호가 일치합니다.")
    response.headers["Cache-Control"] = "no-store"  # true now, not for good: no repeat may be answered from memory
    return response


@router.patch(
    "/password",
    response_class=Response,
    responses={200: {**plain("비밀번호가 변경되었습니다."), **_LOGS_OUT}, **problems(400, 401, 404, 413, 415)},
    openapi_extra=TOKEN_NEEDED,
)
async def change_password(body: NewPassword, principal: CurrentPrincipal, account: Account) -> Response:
    """Change the caller's password. Every session ends, this one too."""
    await account.change_password(principal.user_id, body.password)
    return _logged_out(text_response("비밀번호가 변경되었습니다."))


# Existing clients send it to the singular path as well.
@account_router.patch("/user/me", status_code=204, response_class=Response, include_in_schema=False)
@account_router.patch(
    "/users/me/withdraw",
    status_code=204,
    response_class=Response,
    responses={204: _LOGS_OUT, **problems(400, 401, 404, 409, 413, 415)},
    openapi_extra=TOKEN_NEEDED,
)
async def withdraw(
    body: PasswordCheck, request: Request, principal: CurrentPrincipal, account: Account, limiter: Limiter
) -> Response:
    """Give the account up. Posts stay, without the name; e-mail and nickname are free again."""
    await limiter.take(request.scope, (Limit.PASSWORD, principal.user_id))
    await account.withdraw(principal.user_id, body.password)
    return _logged_out(Response(status_code=204))


@account_router.get(
    "/users/me/sessions", response_model=DeviceList, responses=problems(401), openapi_extra=TOKEN_NEEDED
)
async def list_sessions(principal: CurrentPrincipal, account: Account) -> Response:
    """List the devices that are logged in, the most recently used first."""
    items = [
        Device(
            session_id=device.session_id,
            created_at=to_wire(device.created_at),
            last_used_at=to_wire(device.last_used_at),
            user_agent=device.user_agent,
            is_current=device.session_id == principal.session_id,
        )
        for device in await account.devices(principal.user_id)
    ]
    return json_response(DeviceList(items=items))


@account_router.delete(
    "/users/me/sessions/{session_id}",
    status_code=204,
    response_class=Response,
    responses=problems(401, 404),
    openapi_extra=TOKEN_NEEDED,
)
async def end_session(session_id: str, principal: CurrentPrincipal, account: Account) -> Response:
    """Log one device out, within a second."""
    await account.end_session(principal.user_id, session_id)
    return Response(status_code=204)


async def _signed_up(*_: object) -> None:
    """A repeat of a sign-up is answered with the id alone, as the first one was."""


REPLAYS = (Replay(sign_up, "userId", _signed_up),)


def _refresh_token(request: Request) -> str | None:
    """Return what the cookie holds, None for what no refresh token can be."""
    given = request.cookies.get(COOKIE, "")
    return given if 0 < len(given) <= _LONGEST_COOKIE else None


def _principal(request: Request, verifier: TokenVerifier) -> Principal | None:
    try:
        token = bearer_token(request_of(request.scope))
        return verifier.verify(token) if token else None
    except Problem:  # no token that still works: then there is none to revoke
        return None


def _sender(request: Request) -> str:
    return subject_of(request_of(request.scope).address)


def _user_agent(request: Request) -> str | None:
    """Return what the device calls itself, cut to what is kept of it."""
    given = request.headers.get("user-agent", "")
    return "".join(letter if " " <= letter <= "~" else "?" for letter in given[:255]) or None


def _logged_out(response: Response) -> Response:
    _set_cookie(response, "", 0)
    return response


def _with_tokens(response: Response, tokens: Tokens) -> Response:
    response.headers["Authorization"] = f"Bearer {tokens.access}"
    response.headers["Cache-Control"] = "no-store"
    _set_cookie(response, tokens.refresh, int(REFRESH_LIFETIME.total_seconds()))
    return response


def _set_cookie(response: Response, value: str, max_age: int) -> None:
    response.headers["Set-Cookie"] = (
        f"{COOKIE}={value}; Max-Age={max_age}; Path={PREFIX}; HttpOnly; Secure; SameSite=None"
    )
