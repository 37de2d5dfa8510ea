"""Who is calling: the Authorization header as a Principal, for direct routes and, as dependencies, for the framework's.

Services are handed to routes by their class; the process start decides which object that is.
"""

from typing import Annotated, Any, Final

from fastapi import Depends
from fastapi import Request as FrameworkRequest

from bapsang_api.http.direct import Services
from bapsang_api.http.ratelimit import Limit, RateLimiter
from bapsang_api.http.request import Request, request_of
from bapsang_api.kit.context import caller
from bapsang_api.kit.problem import Forbidden, TokenMissing
from bapsang_api.kit.security.tokens import Principal, TokenVerifier

# For the OpenAPI document only; the header is read below, without the framework's per-request security objects.
TOKEN_NEEDED: Final[dict[str, Any]] = {"security": [{"accessToken": []}]}
TOKEN_OPTIONAL: Final[dict[str, Any]] = {"security": [{}, {"accessToken": []}]}


def bearer_token(request: Request) -> str | None:
    """Return the token of the Authorization header, None without that header.

    Raises TokenMissing for a scheme other than Bearer or an empty token.
    """
    header = request.headers.get(b"authorization")
    if header is None:
        return None
    scheme, _, token = header.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not (token := token.strip()):
        raise TokenMissing
    return token


def caller_of(request: Request, services: Services) -> Principal | None:
    """Return whom a request's token speaks for, None without one. Raises the errors of a bad token."""
    token = bearer_token(request)
    if token is None:
        return None
    verifier: TokenVerifier = services[TokenVerifier]
    principal = verifier.verify(token)
    caller.set(principal.user_id)
    return principal


def required_caller_of(request: Request, services: Services) -> Principal:
    """Like caller_of, for what needs a token. Raises TokenMissing, and TooManyRequests of somebody who writes too often."""
    principal = caller_of(request, services)
    if principal is None:
        raise TokenMissing
    if request.method != "GET":
        limiter: RateLimiter = services[RateLimiter]
        limiter.admit(request.scope, Limit.WRITE, principal.user_id)
    return principal


def provided(kind: type) -> Any:
    """Return the dependency that hands a route the object of class `kind`: `Annotated[Service, provided(Service)]`."""

    async def look_up(request: FrameworkRequest) -> Any:  # async: a plain function would cost a thread hop per request
        return request.app.state.services[kind]

    return Depends(look_up)


async def _optional(request: FrameworkRequest) -> Principal | None:
    return caller_of(request_of(request.scope), request.app.state.services)


async def _required(request: FrameworkRequest) -> Principal:
    return required_caller_of(request_of(request.scope), request.app.state.services)


async def _admin(request: FrameworkRequest) -> Principal:
    principal = await _required(request)
    if principal.role != "ADMIN":
        raise Forbidden
    return principal


# A token may be absent, but a bad one is refused even where none is needed.
OptionalPrincipal = Annotated[Principal | None, Depends(_optional)]
CurrentPrincipal = Annotated[Principal, Depends(_required)]
CurrentAdmin = Annotated[Principal, Depends(_admin)]
