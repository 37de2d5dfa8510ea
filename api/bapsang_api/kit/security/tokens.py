"""Access tokens: RS256 JWTs. Signing, verifying with a bounded cache, and the public keys as JWKS."""

import base64
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import TokenExpired, TokenInvalid
from bapsang_api.kit.security import claims
from bapsang_api.kit.security.claims import ALGORITHM

LIFETIME: Final = timedelta(minutes=30)
# A token is valid a little before it was issued: clocks of replicas differ, and a T003 would make clients log out.
_SKEW: Final = timedelta(seconds=30)
_MIN_BITS: Final = 2048
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request acts as: the user, their role (USER or ADMIN) and the login session the token belongs to.

    `number` stands for the user id where memory counts.
    """

    user_id: str
    role: str
    session_id: str
    number: int


class SigningKeyError(ValueError):
    """A signing key that cannot be used; the text says why."""


class SigningKey:
    """An RSA private key with its public JWK. `kid` is the RFC 7638 thumbprint, so it follows from the key alone."""

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        if private.key_size < _MIN_BITS:
            raise SigningKeyError(f"has {private.key_size} bits, at least {_MIN_BITS} are needed")
        self.private = private
        self.public = private.public_key()
        numbers = self.public.public_numbers()
        members = {"e": _base64url(numbers.e), "kty": "RSA", "n": _base64url(numbers.n)}
        canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
        self.kid = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
        self.jwk = {**members, "kid": self.kid, "use": "sig", "alg": ALGORITHM}

    @classmethod
    def generate(cls) -> "SigningKey":
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=_MIN_BITS))

    @classmethod
    def load_all(cls, path: Path) -> list["SigningKey"]:
        """Read a file of unencrypted PEM keys (PKCS#8), one after the other. Raises SigningKeyError with the reason.

        The first one signs; tokens of all are accepted, and all are published. To rotate, append the new key, move it to
        the front once every verifier has seen it, and remove the old one once its last token has ended.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SigningKeyError(f"cannot be read ({error.strerror})") from error
        # Without a match the parser is given the whole and says what is wrong with it.
        keys = [cls._parse(block) for block in [found[0] for found in _PEM.finditer(content)] or [content]]
        if len({key.kid for key in keys}) < len(keys):
            raise SigningKeyError("holds the same key twice")
        return keys

    @classmethod
    def _parse(cls, pem: bytes) -> "SigningKey":
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SigningKeyError("is not an unencrypted PEM private key") from error
        if not isinstance(private, rsa.RSAPrivateKey):
            raise SigningKeyError("is not an RSA key")
        return cls(private)


class TokenIssuer:
    """Signs access tokens."""

    def __init__(self, key: SigningKey, *, issuer: str, audience: str, clock: Clock, ids: Ids) -> None:
        self._key, self._issuer, self._audience, self._clock, self._ids = key, issuer, audience, clock, ids

    def issue(self, principal: Principal) -> str:
        now = self._clock.now()
        said = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": principal.user_id,
            "role": principal.role,
            "sid": principal.session_id,
            "iat": int(now.timestamp()),
            "nbf": int((now - _SKEW).timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
            "jti": self._ids.new(),
            "num": principal.number,
        }
        return jwt.encode(said, self._key.private, ALGORITHM, {"kid": self._key.kid})


class TokenVerifier:
    """Turns a token into a Principal. Once verified, a token costs a hash and a dictionary look-up.

    Only tokens that are ours get into the cache, each by its digest: half a KiB, 25 MiB when it is full.
    """

    def __init__(
        self,
        keys: list[SigningKey],
        *,
        issuer: str,
        audience: str,
        clock: Clock,
        revoked: Container[str],
        cache_size: int = 50_000,
    ) -> None:
        self._keys = {key.kid: key.public for key in keys}
        self._issuer, self._audience, self._clock = issuer, audience, clock
        self._revoked = revoked
        self._cache: OrderedDict[bytes, tuple[Principal, int]] = OrderedDict()
        self._cache_size = cache_size

    def verify(self, token: str) -> Principal:
        """Return whom the token speaks for.

        Raises TokenExpired when only its time has passed, TokenInvalid for everything else. Expiry and revocation are
        checked on every call, cached or not.
        """
        # The digest is the key, so that a dump of the process's memory has no usable tokens in the cache.
        digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._cache.get(digest)
        if known is None:
            known = self._decode(token)
            self._cache[digest] = known
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(digest)
        principal, expires = known
        if principal.session_id in self._revoked:
            raise TokenInvalid
        if self._clock.seconds() >= expires:
            raise TokenExpired
        return principal

    def end_of(self, token: str) -> int:
        """Return when a token of ours ends, in seconds of the clock. Raises TokenInvalid for any other."""
        return self._decode(token)[1]

    def whose(self, token: str) -> Principal:
        """Return whom a token of ours was given to, whether it still works or not. Raises TokenInvalid for any other."""
        return self._decode(token)[0]

    def _decode(self, token: str) -> tuple[Principal, int]:
        now = self._clock.now()
        try:
            found = claims.read(token, self._keys.__getitem__, issuer=self._issuer, audience=self._audience, now=now)
        except claims.ClaimsError as error:
            raise TokenInvalid from error
        return Principal(found.user_id, found.role, found.session_id, found.number), found.expires


def _base64url(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
