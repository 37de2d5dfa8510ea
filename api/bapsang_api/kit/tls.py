"""TLS to database and Redis with the server verified: the one place that makes its context and knows how it fails.

A setting says what a server is verified by, and `Settings` puts it into the option `tls_ca` of the server's URLs: whoever
connects with a URL has it, so no connection can be opened without.
"""

import ssl
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import pymysql
from pymysql.constants import CR

#: Stands for the authorities that the machine trusts, in place of a file of certificates.
SYSTEM: Final = "system"
OPTION: Final = "tls_ca"
#: The server offers no TLS, or none that this client takes: MySQL's number for it.
NO_TLS: Final = CR.CR_SSL_CONNECTION_ERROR
_NO_AUTHORITY: Final = "its certificate is of no authority that is trusted"
#: What is wrong, by OpenSSL's number for a certificate; `bapsang_operator.problems.endings` has the same, which a test compares.
WORDS: Final = {
    NO_TLS: "it offers no TLS, or none that is accepted",
    2: _NO_AUTHORITY,
    7: _NO_AUTHORITY,
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: _NO_AUTHORITY,
    19: _NO_AUTHORITY,
    20: _NO_AUTHORITY,
    21: _NO_AUTHORITY,
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}
#: Ends of a connection, as in any outage: a server that is restarted.
_CUT: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


class UnverifiedServerError(Exception):
    """A server that is not what its setting asks for. No password was sent to it. Says nothing of host and certificate."""

    def __init__(self, setting: str, number: int) -> None:
        self.setting, self.number = setting, number
        super().__init__(f"{setting} asks for a verified server, but {WORDS.get(number, 'its certificate is refused')}")


@lru_cache(maxsize=4)
def verifying(ca: str) -> ssl.SSLContext:
    """Return the context that verifies certificate and host name by the certificates in the file `ca`, or by `SYSTEM`.

    One for all connections: reading what a machine trusts takes 70 ms of the processor and a megabyte. Raises OSError
    (SSLError among them) for a file that cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=None if ca == SYSTEM else ca)
    # Alike in all versions of Python: 3.13 refuses authorities without key identifiers, as people make them by hand, and
    # takes an intermediate authority that is trusted by itself, which those before it do not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def is_authority(ca: str) -> bool:
    """Whether servers can be verified by it: `SYSTEM`, or the path of a file of certificates (PEM)."""
    try:
        verifying(ca)
    except (OSError, ValueError):
        return False
    return True


def verified_by(url: str, ca: str) -> str:
    """Return a URL whose server is verified by `ca`."""
    return f"{url}{'&' if '?' in url.rpartition('@')[2] else '?'}{OPTION}={quote(ca, safe='/')}"


def refused(error: BaseException, setting: str) -> UnverifiedServerError | None:
    """Return what `error` says of the server's TLS; None for one that says nothing of it, such as a lost connection."""
    if isinstance(error, pymysql.err.OperationalError):
        if error.args[:1] == (NO_TLS,):
            return UnverifiedServerError(setting, NO_TLS)
        error = getattr(error, "original_exception", error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return UnverifiedServerError(setting, error.verify_code)
    is_tls = isinstance(error, ssl.SSLError) and not isinstance(error, _CUT)
    return UnverifiedServerError(setting, NO_TLS) if is_tls else None


def refusal_in(error: BaseException) -> UnverifiedServerError | None:
    """Return the first refusal among an error and its causes."""
    return next((one for one in _causes(error) if isinstance(one, UnverifiedServerError)), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
