"""The form of URLs that hold a password: one that can be read in two ways is refused, and its text is never repeated.

Drivers end the password at the first `@`. With another one in it the rest of the password became the host, and stood in
every message about a host that cannot be reached. The operator has the same rule (`bapsang_operator.urls`); a test
compares both.
"""

import re
from typing import Final

_TEXT: Final = r"@\x00-\x20\x7f"
_HOST: Final = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
_OPTIONS: Final = rf"(?:\?[A-Za-z_]+=[^&#{_TEXT}]*(?:&[A-Za-z_]+=[^&#{_TEXT}]*)*)?"
_MYSQL: Final = re.compile(rf"mysql\+pymysql://(?:[^:/{_TEXT}]*(?::[^{_TEXT}]*)?@)?{_HOST}/[^/?#:{_TEXT}]+{_OPTIONS}")
# Here a slash, a question mark or a number sign would end the host's part before the password does.
_REDIS: Final = re.compile(rf"rediss?://(?:[^:/?#{_TEXT}]*(?::[^/?#{_TEXT}]*)?@)?{_HOST}(?:/[0-9]{{0,5}})?{_OPTIONS}")
_ENCODED: Final = "with @ : / ? # % in user and password percent-encoded (@ is %40)"
MYSQL_FORM: Final = f"give mysql+pymysql://user:password@host:3306/name, {_ENCODED}"
REDIS_FORM: Final = f"give redis://:password@host:6379/0 or rediss:// for TLS, {_ENCODED}"


def mysql_fault(text: str) -> str | None:
    """Return what is wrong with the URL of a MySQL database, without any part of it; None when it is well-formed."""
    return _fault(_MYSQL, text, "is not the URL of a MySQL database")


def redis_fault(text: str) -> str | None:
    """Return what is wrong with the URL of a Redis, without any part of it; None when it is well-formed."""
    return _fault(_REDIS, text, "is not the URL of a Redis")


def _fault(pattern: re.Pattern[str], text: str, otherwise: str) -> str | None:
    if text.count("@") > 1:
        return "has more than one @, so nobody can tell its password from its host"
    found = pattern.fullmatch(text)
    if found is None or not 1 <= int(found["port"] or 1) <= 65535:
        return otherwise
    return None
