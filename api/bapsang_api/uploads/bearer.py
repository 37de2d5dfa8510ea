"""Whose token comes with a request to the presign function, by the public keys that the issuer publishes.

The verdicts are the API's own (`kit.claims`). What only the API knows is that a session has ended: until its access token
expires, it may still sign uploads, which the API then refuses.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from urllib.request import urlopen

import jwt

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.security import claims

# A key that was taken out is no longer accepted after this, as after the cache of the edge before it.
_FRESH: Final = timedelta(minutes=10)
# How often a key that is not known makes us ask again: names of keys come from whoever calls.
_ASK_AGAIN: Final = timedelta(seconds=10)
_FETCH_SECONDS: Final = 2
Fetch = Callable[[], dict[str, jwt.PyJWK]]


class MissingError(Exception):
    """There is no token (T001)."""


class ExpiredError(Exception):
    """The token is good, but its time has passed (T002)."""


class InvalidError(Exception):
    """Anything else is wrong with the token (T003)."""


class KeysUnavailableError(Exception):
    """The issuer's keys could not be had, so that nothing can be said of the token: never a 401."""


class Bearer:
    """Verifies tokens of one issuer for one audience. Keeps the keys between requests."""

    def __init__(self, issuer: str, audience: str, clock: Clock, fetch: Fetch | None = None) -> None:
        self._issuer, self._audience, self._clock = issuer, audience, clock
        self._fetch = fetch or (lambda: _published(f"{issuer}/.well-known/jwks.json"))
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked: datetime | None = None

    def user_of(self, header: str | None) -> str:
        """Return the id of the user who calls, by the Authorization header.

        Raises MissingError, ExpiredError, InvalidError, KeysUnavailableError.
        """
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise MissingError
        now = self._clock.now()
        try:
            found = claims.read(token.strip(), self._key, issuer=self._issuer, audience=self._audience, now=now)
        except claims.ClaimsError as error:
            raise InvalidError from error
        if now.timestamp() >= found.expires:
            raise ExpiredError
        return found.user_id

    def _key(self, kid: str) -> jwt.PyJWK:
        """Return the published key of that name. Raises KeyError for none, KeysUnavailableError."""
        now = self._clock.now()
        age = None if self._asked is None else now - self._asked
        if age is None or age >= (_FRESH if kid in self._keys else _ASK_AGAIN):
            try:
                self._keys = self._fetch()
            except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
                # An issuer that is down for a while does not keep those out whose key we know.
                if kid not in self._keys:
                    raise KeysUnavailableError from error
            self._asked = now
        return self._keys[kid]


def _published(url: str) -> dict[str, jwt.PyJWK]:
    with urlopen(url, timeout=_FETCH_SECONDS) as answer:  # noqa: S310 - the issuer's own address, from the template
        keys = json.load(answer)["keys"]
    return {key["kid"]: jwt.PyJWK(key) for key in keys}
