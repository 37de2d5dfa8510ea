"""HTTP routes of one-time links: asking for one, and using it. The pages that letters link to call them."""

from typing import Annotated, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from bapsang_api.auth.cookies import PREFIX
from bapsang_api.auth.links.schemas import AddressChange, LinkUse, PasswordReset, ResetRequest
from bapsang_api.auth.links.service import RecoveryService
from bapsang_api.http.access import TOKEN_NEEDED, CurrentPrincipal, provided
from bapsang_api.http.ratelimit import Limit, RateLimiter, subject_of
from bapsang_api.http.request import request_of
from bapsang_api.http.wire import API, JsonRoute, problems
from bapsang_api.kit.text import folded
from bapsang_api.users.service import UserService

router = APIRouter(prefix=API, route_class=JsonRoute)
Recovery = Annotated[RecoveryService, provided(RecoveryService)]
Users = Annotated[UserService, provided(UserService)]
Limiter = Annotated[RateLimiter, provided(RateLimiter)]

_RESETS: Final = f"{PREFIX.removeprefix(API)}/password-resets"


@router.post(_RESETS, status_code=202, response_class=Response, tags=["auth"], responses=problems(400, 413, 415))
async def request_password_reset(
    body: ResetRequest, request: Request, recovery: Recovery, limiter: Limiter
) -> Response:
    """Send a link that sets a new password, if an account has this e-mail. The answer is the same if none has."""
    recovery.require_mail()
    await limiter.take(request.scope, *_letter(request, body.email))
    await recovery.request_reset(body.email)
    return Response(status_code=202)


@router.post(
    f"{_RESETS}/confirm", status_code=204, response_class=Response, tags=["auth"], responses=problems(400, 413, 415)
)
async def reset_password(body: PasswordReset, request: Request, recovery: Recovery, limiter: Limiter) -> Response:
    """Set a new password by a link. Every session of the account ends, and its e-mail counts as verified."""
    await limiter.take(request.scope, (Limit.LINK_IP, _sender(request)))
    await recovery.reset(body.token, body.password)
    return Response(status_code=204)


@router.post(
    "/users/me/email-verification",
    status_code=202,
    response_class=Response,
    tags=["users"],
    responses=problems(401, 404),
    openapi_extra=TOKEN_NEEDED,
)
async def request_verification(
    request: Request, principal: CurrentPrincipal, recovery: Recovery, users: Users, limiter: Limiter
) -> Response:
    """Send the link that verifies the caller's e-mail once more. The one before it is over."""
    recovery.require_mail()
    profile = await users.profile(principal.user_id)
    await limiter.take(request.scope, *_letter(request, profile.email))
    await recovery.request_verification(principal.user_id)
    return Response(status_code=202)


@router.post(
    f"{PREFIX.removeprefix(API)}/email-verifications",
    status_code=204,
    response_class=Response,
    tags=["auth"],
    responses=problems(400, 413, 415),
)
async def verify_email(body: LinkUse, request: Request, recovery: Recovery, limiter: Limiter) -> Response:
    """Verify an e-mail by the link that was sent to it."""
    await limiter.take(request.scope, (Limit.LINK_IP, _sender(request)))
    await recovery.verify(body.token)
    return Response(status_code=204)


@router.patch(
    "/users/me/email",
    status_code=202,
    response_class=Response,
    tags=["users"],
    responses=problems(400, 401, 404, 409, 413, 415),
    openapi_extra=TOKEN_NEEDED,
)
async def request_email_change(
    body: AddressChange, request: Request, principal: CurrentPrincipal, recovery: Recovery, limiter: Limiter
) -> Response:
    """Send a link to another e-mail that makes it the caller's. Until it is used, nothing changes."""
    recovery.require_mail()
    await limiter.take(request.scope, (Limit.PASSWORD, principal.user_id), *_letter(request, body.email))
    await recovery.request_address(principal.user_id, body.email, body.password)
    return Response(status_code=202)


@router.post(
    f"{PREFIX.removeprefix(API)}/email-changes",
    status_code=204,
    response_class=Response,
    tags=["auth"],
    responses=problems(400, 409, 413, 415),
)
async def change_email(body: LinkUse, request: Request, recovery: Recovery, limiter: Limiter) -> Response:
    """Make the e-mail that a link was sent to the account's. The old one is told."""
    await limiter.take(request.scope, (Limit.LINK_IP, _sender(request)))
    await recovery.change_address(body.token)
    return Response(status_code=204)


# What a password is hashed for: a flood is refused before its bodies are read.
HASHES: Final = (("POST", f"{API}{_RESETS}/confirm"),)


def _sender(request: Request) -> str:
    return subject_of(request_of(request.scope).address)


def _letter(request: Request, email: str) -> tuple[tuple[Limit, str], tuple[Limit, str]]:
    """Return what a letter that somebody asks for counts as: one to a mailbox, and one of a network."""
    return (Limit.LETTER_IP, _sender(request)), (Limit.LETTER_EMAIL, folded(email))
