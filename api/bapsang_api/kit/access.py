"""Who is calling: the dependencies that turn the Authorization header into a Principal."""

from typing import Annotated, Any, Final

from fastapi import Depends, Request

from bapsang_api.kit.caller import set_user_id
from bapsang_api.kit.problem import Forbidden, TokenMissing
from bapsang_api.kit.ratelimit import Limit, RateLimiter
from bapsang_api.kit.tokens import Principal, TokenVerifier

# For the OpenAPI document only; the header is read below, without the framework's per-request security objects.
TOKEN_NEEDED: Final[dict[str, Any]] = {"security": [{"accessToken": []}]}
TOKEN_OPTIONAL: Final[dict[str, Any]] = {"security": [{}, {"accessToken": []}]}


def bearer_token(request: Request) -> str | None:
    """Return the token of the Authorization header, None without that header.

    Raises TokenMissing for a scheme other than Bearer or an empty token.
    """
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenMissing
    return token.strip()


async def _optional(request: Request) -> Principal | None:
    token = bearer_token(request)
    if token is None:
        return None
    verifier: TokenVerifier = request.app.state.provided[TokenVerifier]
    principal = verifier.verify(token)
    set_user_id(principal.user_id)
    return principal


async def _required(request: Request) -> Principal:
    principal = await _optional(request)
    if principal is None:
        raise TokenMissing
    if request.method != "GET":
        limiter: RateLimiter = request.app.state.provided[RateLimiter]
        limiter.admit(request.scope, Limit.WRITE, principal.user_id)
    return principal


async def _admin(request: Request) -> Principal:
    principal = await _required(request)
    if principal.role != "ADMIN":
        raise Forbidden
    return principal


# A token may be absent, but a bad one is refused even where none is needed.
OptionalPrincipal = Annotated[Principal | None, Depends(_optional)]
CurrentPrincipal = Annotated[Principal, Depends(_required)]
CurrentAdmin = Annotated[Principal, Depends(_admin)]
