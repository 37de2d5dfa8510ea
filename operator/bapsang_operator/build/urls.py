"""The form of URLs and keys in Secrets: what can be read in two ways is refused, and its text is never repeated. Pure.

Drivers end the password at the first `@`. With another one in it the rest of the password became the host, and stood in
every message about a host that cannot be reached. The API has the same rule (`bapsang_api.urls`); a test
compares both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bapsang_operator.resource import SecretRef

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
# A line end goes into the environment as it is, and from there as %0A into each presigned URL.
_KEY: Final = re.compile(r"[\x21-\x7e]+")
KEY_FORM: Final = "give the access key alone, without a line end (printf %s KEY, not echo KEY)"
_ENCODED: Final = "with @ : / ? # % in user and password percent-encoded (@ is %40)"
MYSQL_FORM: Final = f"give mysql+pymysql://user:password@host:3306/name, {_ENCODED}"
REDIS_FORM: Final = f"give redis://:password@host:6379/0 or rediss:// for TLS, {_ENCODED}"
SMTP_FORM: Final = f"give smtp://user:password@host:587 for STARTTLS or smtps://user:password@host:465, {_ENCODED}"


class Form(StrEnum):
    """What a value has to be: one of these URLs, or half of an access key."""

    MYSQL = "mysql"
    REDIS = "redis"
    VERIFIED_MYSQL = "mysql, verified"
    VERIFIED_REDIS = "redis, verified"
    SMTP = "smtp"
    ACCESS_KEY = "access key"


@dataclass(frozen=True)
class FaultyUrl:
    """A Secret's key that holds no usable URL or access key. `text` says why and what to do, without any part of it."""

    ref: SecretRef
    text: str


def fault(form: Form, value: bytes) -> str | None:
    """Return what is wrong with a value and what to do; None when it is well-formed."""
    text = value.decode("utf-8", "replace")
    if form is Form.ACCESS_KEY:
        return None if _KEY.fullmatch(text) else f"holds a line end, a space or no text at all: {KEY_FORM}"
    if form is Form.SMTP:
        wrong = smtp_fault(text)
        return f"{wrong}: {SMTP_FORM}" if wrong else None
    is_mysql = form in (Form.MYSQL, Form.VERIFIED_MYSQL)
    found = mysql_fault(text) if is_mysql else redis_fault(text)
    if found:
        return f"{found}: {MYSQL_FORM if is_mysql else REDIS_FORM}"
    option = tls_fault(text) if form in (Form.VERIFIED_MYSQL, Form.VERIFIED_REDIS) else None
    return (
        f"{option}: remove it, or set mode of spec.{'database' if is_mysql else 'redis'}.tls to from-url"
        if option
        else None
    )


def mysql_fault(text: str) -> str | None:
    """Return what is wrong with the URL of a MySQL database, without any part of it; None when it is well-formed."""
    return _fault(_MYSQL, text, "is not the URL of a MySQL database")


def redis_fault(text: str) -> str | None:
    """Return what is wrong with the URL of a Redis, without any part of it; None when it is well-formed."""
    return _fault(_REDIS, text, "is not the URL of a Redis")


def smtp_fault(text: str) -> str | None:
    """Return what is wrong with the URL of a mail server, without any part of it; None when it is well-formed."""
    text = text.strip()
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
    """Return which option of a well-formed URL says how TLS is done, where the spec says it; None when none does."""
    found = _TLS_OPTION.search(text.rpartition("@")[2].partition("?")[2])
    return f"has the option {found[1]}, which has no say where its server is verified by TLS" if found else None


def _fault(pattern: re.Pattern[str], text: str, otherwise: str) -> str | None:
    # The API takes off the line end that `kubectl create secret --from-file` leaves.
    text = text.strip()
    if text.count("@") > 1:
        return "has more than one @, so nobody can tell its password from its host"
    found = pattern.fullmatch(text)
    if found is None or not 1 <= int(found["port"] or 1) <= 65535:
        return otherwise
    return None
