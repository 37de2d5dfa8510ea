"""What the value of a setting has to be, and the words for one that is not: what a field of `Settings` is annotated with.

No word has any part of the value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from annotated_types import Ge, Le, Predicate
from pydantic import AfterValidator, BeforeValidator, PlainValidator, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bapsang_api.http.ratelimit import Limit, rates_from
from bapsang_api.kit import tls
from bapsang_api.kit.redis.client import EMBEDDED
from bapsang_api.urls import (
    MYSQL_FORM,
    REDIS_FORM,
    SMTP_FORM,
    is_http_url,
    is_origin,
    mysql_fault,
    redis_fault,
    smtp_fault,
)

FAULT: Final = "fault"  # the type of an error whose text says by itself what is wrong


@dataclass(frozen=True)
class Refusal:
    """What is said of a value that a type refuses: what is wrong with it, and what to give instead."""

    problem: str
    remedy: str


def _without(fault: Callable[[str], str | None]) -> AfterValidator:
    """Refuse a text that has a fault, in the words of `fault`, which have no part of the text."""

    def check(text: str) -> str:
        if found := fault(text):
            raise PydanticCustomError(FAULT, "{fault}", {"fault": found})
        return text

    return AfterValidator(check)


def _database_fault(text: str) -> str | None:
    if not text.startswith("sqlite"):
        return mysql_fault(text)
    try:
        url = make_url(text)
    except ArgumentError:
        return "is not a database URL"
    is_file = url.drivername in {"sqlite", "sqlite+pysqlite"} and url.database not in {None, "", ":memory:"}
    return None if is_file else "names no file"


def _digits(text: str) -> str:
    # pydantic also takes "+5", "5.0" and "1_000".
    if not text.isascii() or not text.isdigit():
        raise ValueError
    return text


def whole(least: int, most: int, what: str = "a whole number") -> tuple[Any, ...]:
    """Return what an `int` is annotated with to be one of digits alone and within limits."""
    said = Refusal("is out of range", f"give {what} from {least} to {most}")
    return BeforeValidator(_digits), Ge(least), Le(most), said


def _named(pattern: str, example: str) -> tuple[Any, ...]:
    return StringConstraints(pattern=pattern), Refusal("is no such name", f"give for example {example}")


DATABASE: Final = (_without(_database_fault), Refusal("is not a database URL", f"{MYSQL_FORM}; or sqlite:///file"))
REDIS: Final = (
    _without(lambda text: None if text == EMBEDDED else redis_fault(text)),
    Refusal("is not the URL of a Redis", f"{REDIS_FORM}; or {EMBEDDED}"),
)
AUTHORITY: Final = (
    Predicate(tls.is_authority),
    Refusal(
        "names no file with certificates",
        f"give {tls.SYSTEM} for the authorities that this machine trusts, or the path of a file of others (PEM)",
    ),
)
HTTP: Final = (
    Predicate(is_http_url),
    Refusal("is no http(s) URL", "give for example https://community.example.com"),
)
ORIGIN: Final = (
    AfterValidator(lambda text: text.rstrip("/")),
    Predicate(is_origin),
    Refusal("is no origin", "give scheme, host and port, no path: https://s3.example.com"),
)
ORIGINS: Final = (
    BeforeValidator(lambda text: [part.strip() for part in text.split(",") if part.strip()]),
    Predicate(lambda origins: all(map(is_origin, origins))),
    Refusal(
        "holds something that is no origin",
        "give scheme, host and port, no path, separated by commas: https://a.example.com,http://localhost:3000",
    ),
)
SWITCH: Final = (BeforeValidator(str.lower), Refusal("is neither on nor off", "give on or off"))
LEVEL: Final = (BeforeValidator(str.lower), Refusal("is no such level", "give one of debug, info, warning, error"))
RATES: Final = (
    PlainValidator(rates_from),
    Refusal(
        "holds something that is no limit",
        f"give name=requests/seconds or name=off, separated by commas, or off for all; names: {', '.join(Limit)}",
    ),
)
EMAIL: Final = (
    StringConstraints(pattern=r"^[^@\s<>]+@[^@\s<>]+$"),
    Refusal("is no e-mail address", "give the e-mail address of the one who answers for privacy"),
)
SMTP: Final = (_without(smtp_fault), Refusal("is not the URL of a mail server", SMTP_FORM))
SENDER: Final = (
    StringConstraints(pattern=r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,188}$"),
    Refusal("is no address that mail can come from", "give for example no-reply@community.example.com"),
)
BUCKET: Final = _named(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", "community-media")
REGION: Final = _named(r"^[a-z0-9][a-z0-9-]*[a-z0-9]$", "ap-northeast-2")
