"""Refresh token values: made at random, stored as hashes, and sealed for the one who holds the token before.

Pure functions. The values have 256 random bits, so a plain SHA-256 is enough to store them: there is nothing to guess.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

REFRESH_LIFETIME: Final = timedelta(days=14)
_NONCE_BYTES = 12


def new_token() -> str:
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """Return the hexadecimal SHA-256 under which a token is stored. Any text will do: cookies hold anything."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def seal(successor: str, predecessor: str) -> bytes:
    """Encrypt `successor` so that only who holds `predecessor` can read it."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(predecessor).encrypt(nonce, successor.encode(), None)


def unseal(sealed: bytes, predecessor: str) -> str:
    """Return what `seal` encrypted. Raises cryptography.exceptions.InvalidTag for another predecessor."""
    return _cipher(predecessor).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None).decode()


def _cipher(predecessor: str) -> AESGCM:
    key = HKDF(SHA256(), length=32, salt=None, info=b"bapsang refresh token successor").derive(predecessor.encode())
    return AESGCM(key)
