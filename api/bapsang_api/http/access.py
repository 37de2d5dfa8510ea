"""Who is calling: the dependencies that turn the Authorization header into a Principal."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.types import Scope

from bapsang_api.http.ratelimit import Limit, RateLimiter
from bapsang_api.kit.caller import set_user_id
from bapsang_api.kit.problem import Forbidden, TokenMissing
from bapsang_api.kit.security.tokens import Principal, TokenVerifier

# For the OpenAPI document only; the header is read below, without the framework's per-request security objects.
TOKEN_NEEDED: Final[dict[str, Any]] = {"security": [{"accessToken": []}]}
TOKEN_OPTIONAL: Final[dict[str, Any]] = {"security": [{}, {"accessToken": []}]}


def bearer_token(scope: Scope) -> str | None:
    """Return the token of the Authorization header, None without that header.

    Raises TokenMissing for a scheme other than Bearer or an empty token.
    """
    header = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    if header is None:
        return None
    scheme, _, token = header.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenMissing
    return str(token.strip())


def caller_of(services: Mapping[type, Any], scope: Scope) -> Principal | None:
    """Return whom a request's token speaks for, None without one. Raises the errors of a bad token."""
    token = bearer_token(scope)
    if token is None:
        return None
    verifier: TokenVerifier = services[TokenVerifier]
    principal = verifier.verify(token)
    set_user_id(principal.user_id)
    return principal


def required_caller_of(services: Mapping[type, Any], scope: Scope) -> Principal:
    """Like caller_of, for what needs a token. Raises TokenMissing, and TooManyRequests of somebody who writes too often."""
    principal = caller_of(services, scope)
    if principal is None:
        raise TokenMissing
    if scope["method"] != "GET":
        limiter: RateLimiter = services[RateLimiter]
        limiter.admit(scope, Limit.WRITE, principal.user_id)
    return principal


async def _optional(request: Request) -> Principal | None:
    return caller_of(request.app.state.provided, request.scope)


async def _required(request: Request) -> Principal:
    return required_caller_of(request.app.state.provided, request.scope)


async def _admin(request: Request) -> Principal:
    principal = await _required(request)
    if principal.role != "ADMIN":
        raise Forbidden
    return principal


# A token may be absent, but a bad one is refused even where none is needed.
OptionalPrincipal = Annotated[Principal | None, Depends(_optional)]
CurrentPrincipal = Annotated[Principal, Depends(_required)]
CurrentAdmin = Annotated[Principal, Depends(_admin)]
