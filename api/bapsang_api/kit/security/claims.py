"""Which access tokens are ours, and what they say: one rule for the API and for the presign function, which has no framework.

It knows neither where keys come from nor how a refusal is told.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import jwt

from bapsang_api.kit.ids import is_ulid

ALGORITHM: Final = "RS256"
_LONGEST: Final = 4096  # characters; ours have some 750
_REQUIRED: Final = ["iss", "aud", "sub", "role", "sid", "iat", "nbf", "exp", "jti", "num"]
_ROLES: Final = frozenset({"USER", "ADMIN"})


class ClaimsError(Exception):
    """The token is not ours, or not yet valid."""


@dataclass(frozen=True)
class Claims:
    """What a token says. `expires` is in seconds since 1970."""

    user_id: str
    role: str
    session_id: str
    number: int
    expires: int


def read(token: str, key_of: Callable[[str], Any], *, issuer: str, audience: str, now: datetime) -> Claims:
    """Return what a token says that was signed with the key that `key_of` gives for its `kid`; KeyError says that there is none.

    Whether it has expired is the caller's to judge, after everything else: a token of another issuer that has also expired is
    no token, not an expired one. Raises ClaimsError.
    """
    if len(token) > _LONGEST:  # before anything of it is decoded
        raise ClaimsError
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key_of(str(jwt.get_unverified_header(token).get("kid"))),
            [ALGORITHM],
            issuer=issuer,
            audience=audience,
            # Times are checked below, against the caller's clock.
            options={"require": _REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, KeyError, UnicodeError) as error:
        raise ClaimsError from error
    expires, not_before, number = claims["exp"], claims["nbf"], claims["num"]
    found = Claims(str(claims["sub"]), str(claims["role"]), str(claims["sid"]), number, expires)
    sound = (
        isinstance(expires, int)
        and isinstance(not_before, int)
        and not_before <= now.timestamp()
        and type(number) is int
        and number >= 1
        and is_ulid(found.user_id)
        and is_ulid(found.session_id)
        and found.role in _ROLES
    )
    if not sound:
        raise ClaimsError
    return found
