"""Known devices: browsers that somebody has logged in on before. What others guess wrong elsewhere does not keep them out.

A signed cookie names the device and a digest of the e-mail; nothing of it is stored here, and it logs nobody in.
"""

import hashlib
import secrets
from collections.abc import Iterable
from typing import Final

import jwt

from bapsang_api.kit.security.claims import ALGORITHM
from bapsang_api.kit.security.tokens import SigningKey

AUDIENCE: Final = "known-device"  # never that of access tokens, so that neither is taken for the other


class KnownDevices:
    """Signs and reads the cookies of devices."""

    def __init__(self, keys: list[SigningKey]) -> None:
        self._key, self._public = keys[0], {key.kid: key.public for key in keys}

    def issue(self, email: str) -> str:
        """Return the cookie for a new device of whoever has this e-mail, as `folded` has it."""
        said = {"aud": AUDIENCE, "sub": _digest(email), "jti": secrets.token_urlsafe(12)}
        return jwt.encode(said, self._key.private, ALGORITHM, {"kid": self._key.kid})

    def known(self, cookies: Iterable[str], email: str) -> str | None:
        """Return the device that one of the cookies names for this e-mail, None where none does."""
        for cookie in cookies:
            try:
                key = self._public[str(jwt.get_unverified_header(cookie).get("kid"))]
                said = jwt.decode(
                    cookie, key, [ALGORITHM], audience=AUDIENCE, options={"require": ["aud", "sub", "jti"]}
                )
            except (jwt.PyJWTError, KeyError, UnicodeError):
                continue
            if said["sub"] == _digest(email):
                return str(said["jti"])
        return None


def _digest(email: str) -> str:
    return hashlib.blake2b(email.encode(), digest_size=12).hexdigest()
