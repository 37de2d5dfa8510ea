"""The form of URLs: one that can be read in two ways, or that names no host, is refused; its text is never repeated.

Drivers end a password at the first `@`. With another one in it the rest of the password became the host, and stood in
every message about a host that cannot be reached. For URLs with a password the operator has the same rule
(`bapsang_operator.build.urls`); a test compares both.
"""

import re
from typing import Final

_TEXT: Final = r"@\x00-\x20\x7f"
_HOST: Final = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
_OPTIONS: Final = rf"(?:\?[A-Za-z_]+=[^&#{_TEXT}]*(?:&[A-Za-z_]+=[^&#{_TEXT}]*)*)?"
_MYSQL: Final = re.compile(rf"mysql\+pymysql://(?:[^:/{_TEXT}]*(?::[^{_TEXT}]*)?@)?{_HOST}/[^/?#:%{_TEXT}]+{_OPTIONS}")
# Here a slash, a question mark or a number sign would end the host's part before the password does.
_REDIS: Final = re.compile(rf"rediss?://(?:[^:/?#{_TEXT}]*(?::[^/?#{_TEXT}]*)?@)?{_HOST}(?:/[0-9]{{0,5}})?{_OPTIONS}")
_SMTP: Final = re.compile(
    rf"(?P<scheme>smtps?)://(?:[^:/?#{_TEXT}]*(?::[^/?#{_TEXT}]*)?@)?{_HOST}/?(?P<plain>\?tls=none)?"
)
# Of this machine, or a name that only a cluster knows: nobody in between can read along.
_NEAR: Final = re.compile(
    r"localhost|127\.[0-9.]+|\[::1\]|[a-z0-9-]+|[a-z0-9.-]+\.svc(?:\.cluster\.local)?", re.IGNORECASE
)
_TLS_OPTION: Final = re.compile(r"(?:^|&)((?:ssl|tls)[a-z_]{0,30})=", re.IGNORECASE)
_ORIGIN: Final = re.compile(rf"https?://{_HOST}")
_HTTP: Final = re.compile(rf"https?://{_HOST}(?:/[^?#\x00-\x20\x7f]*)?")
_ENCODED: Final = "with @ : / ? # % in user and password percent-encoded (@ is %40)"
MYSQL_FORM: Final = f"give mysql+pymysql://user:password@host:3306/name, {_ENCODED}"
SMTP_FORM: Final = f"give smtp://user:password@host:587 for STARTTLS or smtps://user:password@host:465, {_ENCODED}"
REDIS_FORM: Final = f"give redis://:password@host:6379/0 or rediss:// for TLS, {_ENCODED}"


def mysql_fault(text: str) -> str | None:
    """Return what is wrong with the URL of a MySQL database, without any part of it; None when it is well-formed."""
    return _fault(_MYSQL, text, "is not the URL of a MySQL database")


def redis_fault(text: str) -> str | None:
    """Return what is wrong with the URL of a Redis, without any part of it; None when it is well-formed."""
    return _fault(_REDIS, text, "is not the URL of a Redis")


def smtp_fault(text: str) -> str | None:
    """Return what is wrong with the URL of a mail server, without any part of it; None when it is well-formed."""
    if fault := _fault(_SMTP, text, "is not the URL of a mail server"):
        return fault
    found = _SMTP.fullmatch(text)
    if found is None or not found["plain"]:
        return None
    if found["scheme"] == "smtps":
        return "has the option tls=none, which smtps contradicts"
    host = re.sub(r":[0-9]+$", "", text.partition("://")[2].rpartition("@")[2].partition("?")[0].rstrip("/"))
    return (
        None if _NEAR.fullmatch(host) else "has the option tls=none, which only a server of this machine or cluster may"
    )


def tls_fault(text: str) -> str | None:
    """Return which option of a well-formed URL says how TLS is done, where a setting says it; None when none does."""
    found = _TLS_OPTION.search(text.rpartition("@")[2].partition("?")[2])
    return f"has the option {found[1]}, which has no say where its server is verified by TLS" if found else None


def is_http_url(text: str) -> bool:
    """Whether it is an http(s) URL without user, query and fragment."""
    return _is_of(_HTTP, text)


def is_origin(text: str) -> bool:
    """Whether it is a scheme, a host and perhaps a port, as browsers write an origin."""
    return _is_of(_ORIGIN, text)


def _fault(pattern: re.Pattern[str], text: str, otherwise: str) -> str | None:
    if text.count("@") > 1:
        return "has more than one @, so nobody can tell its password from its host"
    return None if _is_of(pattern, text) else otherwise


def _is_of(pattern: re.Pattern[str], text: str) -> bool:
    found = pattern.fullmatch(text)
    return found is not None and 1 <= int(found["port"] or 1) <= 65535
