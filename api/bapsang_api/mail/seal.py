"""The seal of the outbox: what a letter shows is encrypted until it is sent, so that nobody who reads the database, or a copy
of it, can use the links.

The key follows from the signing key, which whoever writes letters and whoever sends them have. The first key seals; all open,
as they do tokens while keys are rotated.
"""

import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bapsang_api.kit.security.tokens import SigningKey

_NONCE_BYTES: Final = 12


class BrokenSealError(Exception):
    """No key opens it: it was sealed with a key that is gone, or belongs to another letter."""


class Seal:
    """Encrypts and decrypts with keys derived from signing keys. A seal holds for the letter alone that it was made for."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self._ciphers = [_cipher(key) for key in keys]

    def close(self, content: bytes, letter_id: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, content, letter_id.encode())

    def open(self, sealed: bytes, letter_id: str) -> bytes:
        """Return what was sealed for a letter. Raises BrokenSealError."""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], letter_id.encode())
            except (InvalidTag, ValueError):
                continue
        raise BrokenSealError


def _cipher(key: SigningKey) -> AESGCM:
    secret = key.private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return AESGCM(HKDF(SHA256(), length=32, salt=None, info=b"bapsang mail outbox").derive(secret))
