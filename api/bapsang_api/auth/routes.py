"""HTTP routes of sign-up, login and what somebody does with their own login.

For sign-up, login, refresh and logout an Authorization header is never needed and never refused: clients go on sending
their expired one.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bapsang_api.auth.account import AccountService
from bapsang_api.auth.cookies import (
    PREFIX,
    is_browser,
    is_own,
    known_devices,
    logged_out,
    refresh_tokens,
    with_device,
    with_tokens,
)
from bapsang_api.auth.devices import KnownDevices
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
from bapsang_api.auth.service import AuthService
from bapsang_api.http.access import TOKEN_NEEDED, CurrentPrincipal, bearer_token, provided
from bapsang_api.http.cors import Cors
from bapsang_api.http.idempotency import Replay
from bapsang_api.http.ratelimit import Limit, RateLimiter, subject_of
from bapsang_api.http.request import request_of
from bapsang_api.http.wire import API, JsonRoute, json_response, plain, problems, text_response
from bapsang_api.kit.clock import to_wire
from bapsang_api.kit.problem import Problem, TooManyRequests, Unavailable
from bapsang_api.kit.security.tokens import Principal, TokenVerifier
from bapsang_api.kit.text import folded
from bapsang_api.uploads.service import Named
from bapsang_api.users.schemas import Email, NewNickname
from bapsang_api.users.service import UserService

router = APIRouter(prefix=PREFIX, tags=["auth"], route_class=JsonRoute)
account_router = APIRouter(prefix=API, tags=["users"], route_class=JsonRoute)
Account = Annotated[AccountService, provided(AccountService)]
Auth = Annotated[AuthService, provided(AuthService)]
Users = Annotated[UserService, provided(UserService)]
Limiter = Annotated[RateLimiter, provided(RateLimiter)]
Devices = Annotated[KnownDevices, provided(KnownDevices)]
AllowedOrigins = Annotated[Cors, provided(Cors)]
Verifier = Annotated[TokenVerifier, provided(TokenVerifier)]

_HANDS_OUT_TOKENS: dict[str, Any] = {
    "headers": {
        "Authorization": {"description": "`Bearer <access token>`", "schema": {"type": "string"}},
        "Set-Cookie": {"description": "`refreshToken`, HttpOnly", "schema": {"type": "string"}},
    }
}
_LOGS_OUT: dict[str, Any] = {
    "headers": {
        "Set-Cookie": {
            "description": "`refreshToken`, expired; not for a page of another origin",
            "schema": {"type": "string"},
        }
    }
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
async def check_nickname(nickname: Annotated[NewNickname, Query()], users: Users) -> Response:
    """Tell whether a nickname can still be used."""
    await users.require_nickname_free(nickname)
    return text_response("사용 가능한 닉네임입니다.")


@router.post("/users", status_code=201, response_model=UserCreated, responses=problems(400, 409, 413, 415))
async def sign_up(body: UserCreate, request: Request, auth: Auth, limiter: Limiter) -> Response:
    """Create an account."""
    await limiter.take(request.scope, (Limit.SIGNUP, _sender(request)))
    key = body.profile_image_key
    image = Named("profileImageKey", key) if key else None
    user_id = await auth.sign_up(
        email=body.email,
        password=body.password,
        nickname=body.nickname,
        image=image,
        consent=None if body.consent is None else body.consent.given(),
        address=_address(request),
        verify=auth.verifies and await _may_write_to(request, limiter, body.email),
    )
    return json_response(UserCreated(user_id=user_id), 201)


@router.post(
    "/tokens",
    status_code=201,
    response_model=LoginResponse,
    responses={201: _HANDS_OUT_TOKENS, **problems(400, 401, 403, 413, 415)},
)
async def log_in(
    body: LoginRequest, request: Request, auth: Auth, limiter: Limiter, devices: Devices, cors: AllowedOrigins
) -> Response:
    """Log in: the access token comes in the `Authorization` header, the refresh token in a cookie."""
    email, sender = folded(body.email), _sender(request)
    device = devices.known(known_devices(request), email)
    # Counted by who guesses, so that nobody keeps the owner out; of many who guess together, only known devices are let through.
    guesses = [(Limit.LOGIN_EMAIL, f"{email} {device or sender}")]
    guesses += [] if device else [(Limit.LOGIN_ACCOUNT, email)]
    await limiter.take(request.scope, (Limit.LOGIN_IP, sender), *guesses)
    try:
        login = await auth.log_in(
            email=body.email,
            password=body.password,
            user_agent=_user_agent(request),
            address=_address(request),
            is_known=device is not None,
        )
    except Unavailable:
        await limiter.give_back(*guesses)  # nobody has looked at the password
        raise
    await limiter.give_back(*guesses)
    response = with_tokens(json_response(LoginResponse(nickname=login.nickname), 201), login.tokens)
    if not device and is_browser(request) and is_own(request, cors):
        with_device(response, devices.issue(email))
    return response


@router.post(
    "/refresh",
    status_code=204,
    response_class=Response,
    responses={204: _HANDS_OUT_TOKENS, **problems(401)},
    openapi_extra=_WITH_COOKIE,
)
async def refresh(request: Request, auth: Auth, cors: AllowedOrigins) -> Response:
    """Exchange the refresh token for a new pair. Any body is ignored, and the cookie of a page of another origin."""
    return with_tokens(Response(status_code=204), await auth.refresh(refresh_tokens(request, cors)))


@router.post(
    "/logout",
    status_code=204,
    response_class=Response,
    responses={204: _LOGS_OUT, **problems()},
    openapi_extra=_ANY_LOGIN,
)
async def log_out(request: Request, auth: Auth, verifier: Verifier, cors: AllowedOrigins) -> Response:
    """End the login session, with or without a token or cookie, whatever they hold. A page of another origin ends none by cookie."""
    await auth.log_out(refresh_tokens=refresh_tokens(request, cors), principal=_principal(request, verifier))
    response = Response(status_code=204)
    return logged_out(response) if is_own(request, cors) else response


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
    responses={200: {**plain("비밀번호가 변경되었습니다."), **_LOGS_OUT}, **problems(400, 401, 404, 409, 413, 415)},
    openapi_extra=TOKEN_NEEDED,
)
async def change_password(
    body: NewPassword, request: Request, principal: CurrentPrincipal, account: Account, limiter: Limiter
) -> Response:
    """Change the caller's password. Every session ends, this one too."""
    if body.current_password is not None:
        await limiter.take(request.scope, (Limit.PASSWORD, principal.user_id))
    await account.change_password(principal.user_id, body.password, current=body.current_password)
    return logged_out(text_response("비밀번호가 변경되었습니다."))


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
    return logged_out(Response(status_code=204))


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


# What a password is hashed for: a flood is refused before its bodies are read, which costs a tenth.
HASHES: Final = (("POST", f"{PREFIX}/tokens"), ("POST", f"{PREFIX}/users"))
REPLAYS = (Replay(sign_up, "userId", _signed_up),)


def _principal(request: Request, verifier: TokenVerifier) -> Principal | None:
    try:
        token = bearer_token(request_of(request.scope))
        return verifier.whose(token) if token else None  # an expired one still names its session
    except Problem:  # no token of ours: then there is none to revoke
        return None


async def _may_write_to(request: Request, limiter: RateLimiter, email: str) -> bool:
    """Return whether a letter may go to an e-mail. Whoever floods it keeps nobody from signing up with it."""
    try:
        await limiter.take(request.scope, (Limit.LETTER_EMAIL, folded(email)))
    except TooManyRequests:
        return False
    return True


def _sender(request: Request) -> str:
    return subject_of(request_of(request.scope).address)


def _address(request: Request) -> str:
    """Return where a request comes from, cut to what the access log holds of it."""
    given = request_of(request.scope).address[:45]
    return given if given.isascii() else "?"


def _user_agent(request: Request) -> str | None:
    """Return what the device calls itself, cut to what is kept of it."""
    given = request.headers.get("user-agent", "")
    return "".join(letter if " " <= letter <= "~" else "?" for letter in given[:255]) or None
