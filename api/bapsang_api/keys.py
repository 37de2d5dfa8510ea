"""The keys that this program signs with, and seals letters with, as settings name their file."""

import logging

from bapsang_api.kit.security.tokens import SigningKey, SigningKeyError
from bapsang_api.settings import Settings, SettingsError

log = logging.getLogger(__name__)


def signing_keys(settings: Settings) -> list[SigningKey]:
    """Return the keys of access tokens, first the one that signs. Raises SettingsError.

    Without a file one is made up, but only on a local database: replicas with different keys would refuse each other's
    tokens.
    """
    variable, remedy = (
        "BAPSANG_SIGNING_KEY_FILE",
        "give the path of RSA private keys of at least 2048 bits (PEM, PKCS#8), first the one that signs",
    )
    if settings.signing_key_file is None:
        if not settings.local_database:
            raise SettingsError(variable, "is not set", remedy)
        log.info("start.signing_key_generated", extra={"effect": "access tokens end with this process"})
        return [SigningKey.generate()]
    try:
        return SigningKey.load_all(settings.signing_key_file)
    except SigningKeyError as error:
        raise SettingsError(variable, f"names a file that {error}", remedy) from error
