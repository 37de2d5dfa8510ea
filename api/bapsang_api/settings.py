"""Settings of the process, read once from the environment and checked at start: a wrong value ends the process at once,
with one line that names the variable and says what to do.

A setting is a field of `Settings`; its type checks the value and has the words for one that does not fit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge, Le, Predicate
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bapsang_api.endings import DEFAULT_TERMINATION_LOG, Code, Ending, EndingError
from bapsang_api.http.ratelimit import DEFAULTS, Limit, Rate, rates_from
from bapsang_api.kit import tls
from bapsang_api.kit.db.connections import DATABASE_CA, DEFAULT_LIMITS, Limits
from bapsang_api.kit.redis.client import EMBEDDED, REDIS_CA
from bapsang_api.uploads.bucket import Bucket
from bapsang_api.urls import MYSQL_FORM, REDIS_FORM, is_http_url, is_origin, mysql_fault, redis_fault, tls_fault

PREFIX: Final = "BAPSANG_"
# Before the name of a setting: ignored by an image that does not know it. A newer operator may set such ones; the operator
# of v0.0.1 sets none (docs/decisions/0010-road-to-v1.md).
OPTIONAL: Final = "OPTIONAL_"
_FAULT: Final = "fault"


class SettingsError(EndingError):
    """A setting that the process cannot start with. Its text is one line for the person who set it.

    It never repeats the value: people who mistake one variable for another put a password where none is expected.
    """

    def __init__(self, variable: str, problem: str, remedy: str) -> None:
        known = variable if variable in VARIABLES else ""
        super().__init__(Ending(Code.SETTING_REFUSED, setting=known), f"{variable} {problem}: {remedy}")


@dataclass(frozen=True)
class Refusal:
    """What is said of a value that a type refuses: what is wrong with it, and what to give instead."""

    problem: str
    remedy: str


def _without(fault: Callable[[str], str | None]) -> AfterValidator:
    """Refuse a text that has a fault, in the words of `fault`, which have no part of the text."""

    def check(text: str) -> str:
        if found := fault(text):
            raise PydanticCustomError(_FAULT, "{fault}", {"fault": found})
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


def _whole(least: int, most: int, what: str = "a whole number") -> tuple[Any, ...]:
    """Return what an `int` is annotated with to be one of digits alone and within limits."""
    said = Refusal("is out of range", f"give {what} from {least} to {most}")
    return BeforeValidator(_digits), Ge(least), Le(most), said


def _named(pattern: str, example: str) -> tuple[Any, ...]:
    return StringConstraints(pattern=pattern), Refusal("is no such name", f"give for example {example}")


_DATABASE = (_without(_database_fault), Refusal("is not a database URL", f"{MYSQL_FORM}; or sqlite:///file"))
_REDIS = (
    _without(lambda text: None if text == EMBEDDED else redis_fault(text)),
    Refusal("is not the URL of a Redis", f"{REDIS_FORM}; or {EMBEDDED}"),
)
_AUTHORITY = (
    Predicate(tls.is_authority),
    Refusal(
        "names no file with certificates",
        f"give {tls.SYSTEM} for the authorities that this machine trusts, or the path of a file of others (PEM)",
    ),
)
_HTTP = (
    Predicate(is_http_url),
    Refusal("is no http(s) URL", "give for example https://community.example.com"),
)
_ORIGIN = (
    AfterValidator(lambda text: text.rstrip("/")),
    Predicate(is_origin),
    Refusal("is no origin", "give scheme, host and port, no path: https://s3.example.com"),
)
_ORIGINS = (
    BeforeValidator(lambda text: [part.strip() for part in text.split(",") if part.strip()]),
    Predicate(lambda origins: all(map(is_origin, origins))),
    Refusal(
        "holds something that is no origin",
        "give scheme, host and port, no path, separated by commas: https://a.example.com,http://localhost:3000",
    ),
)
_LEVEL = (BeforeValidator(str.lower), Refusal("is no such level", "give one of debug, info, warning, error"))
_RATES = (
    PlainValidator(rates_from),
    Refusal(
        "holds something that is no limit",
        f"give name=requests/seconds or name=off, separated by commas, or off for all; names: {', '.join(Limit)}",
    ),
)
_EMAIL = (
    StringConstraints(pattern=r"^[^@\s<>]+@[^@\s<>]+$"),
    Refusal("is no e-mail address", "give the e-mail address of the one who answers for privacy"),
)
_BUCKET = _named(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", "community-media")
_REGION = _named(r"^[a-z0-9][a-z0-9-]*[a-z0-9]$", "ap-northeast-2")


class Settings(BaseModel):
    """Every setting, with defaults that work on one machine without any server. `BAPSANG_ISSUER` is `issuer`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: Annotated[str, *_DATABASE] = "sqlite:///./bapsang.sqlite3"
    database_reader_url: Annotated[str | None, *_DATABASE] = None
    database_tls_ca: Annotated[str | None, *_AUTHORITY] = None
    database_pool_size: Annotated[int, *_whole(1, 64)] = DEFAULT_LIMITS.connections
    database_queue_size: Annotated[int, *_whole(0, 1000)] = DEFAULT_LIMITS.queue
    database_connect_seconds: Annotated[int, *_whole(1, 10)] = DEFAULT_LIMITS.connect_seconds
    database_statement_seconds: Annotated[int, *_whole(3, 60)] = DEFAULT_LIMITS.statement_seconds
    redis_url: Annotated[str, *_REDIS] = EMBEDDED
    redis_tls_ca: Annotated[str | None, *_AUTHORITY] = None
    redis_replica_ms: Annotated[int, *_whole(0, 800, "the milliseconds that a like may wait for a replica,")] = 0
    signing_key_file: Path | None = None
    issuer: Annotated[str, *_HTTP] = "http://localhost:8000"
    audience: str = "bapsang"
    public_url: Annotated[str | None, *_HTTP] = None
    cors_origins: Annotated[tuple[str, ...], *_ORIGINS] = ("http://localhost:3000", "http://127.0.0.1:3000")
    admin_port: Annotated[int, *_whole(0, 65535, "a port (0 picks a free one)")] = 9000
    log_level: Annotated[Literal["debug", "info", "warning", "error"], *_LEVEL] = "info"
    rate_limits: Annotated[dict[Limit, Rate], *_RATES] = DEFAULTS
    trusted_hops: Annotated[int, *_whole(0, 10, "how many proxies of yours each request passes,")] = 1
    max_in_flight: Annotated[int, *_whole(4, 100_000, "the most reads to be worked on at once,")] = 512
    operator_name: str = "밥상 운영팀"
    contact_email: Annotated[str, *_EMAIL] = "privacy@example.com"
    s3_bucket: Annotated[str | None, *_BUCKET] = None
    s3_region: Annotated[str, *_REGION] = "ap-northeast-2"
    s3_endpoint: Annotated[str | None, *_ORIGIN] = None
    s3_upload_url: Annotated[str | None, *_ORIGIN] = None
    s3_public_url: Annotated[str | None, *_HTTP] = None
    originals_days: Annotated[int, *_whole(1, 3650, "the days for which uploads are kept as they were,")] = 30
    termination_log: str = DEFAULT_TERMINATION_LOG  # `endings` reads it: it is needed where settings are refused, too

    @property
    def local_database(self) -> bool:
        """Whether the database is a SQLite file, which only one process on one machine uses."""
        return self.database_url.startswith("sqlite")

    @property
    def site(self) -> str:
        """The origin at which the community is read. The issuer only begins as the same: it stays when this changes."""
        return self.public_url or self.issuer

    @property
    def embedded_redis(self) -> bool:
        """Whether Redis is the stand-in inside this process."""
        return self.redis_url == EMBEDDED

    @property
    def shared_redis(self) -> str:
        """The URL of Redis, for those that need one. Raises SettingsError when it would be this process's own beside MySQL."""
        if self.embedded_redis and not self.local_database:
            raise SettingsError(
                "BAPSANG_REDIS_URL",
                "is not set",
                "with MySQL give redis://:password@host:6379/0; replicas must share it",
            )
        return self.redis_url

    @property
    def database_limits(self) -> Limits:
        """How much of the database this process may take, and how long it waits."""
        return Limits(
            self.database_pool_size,
            self.database_queue_size,
            self.database_connect_seconds,
            self.database_statement_seconds,
        )

    @property
    def bucket(self) -> Bucket | None:
        """The bucket for images, None where uploads are off."""
        if self.s3_bucket is None:
            return None
        public = self.s3_public_url and self.s3_public_url.rstrip("/")
        origins = {"endpoint": self.s3_endpoint, "upload_origin": self.s3_upload_url, "public_url": public}
        return Bucket.of(self.s3_bucket, self.s3_region, **origins)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Return the checked settings. Raises SettingsError, also for an unknown BAPSANG_ name: most often a typo."""
        optional = {name: environ[OPTIONAL + name] for name in VARIABLES if OPTIONAL + name in environ}
        required = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
        given = {name: text.strip() for name, text in (optional | required).items()}
        for name, text in sorted(given.items()):
            if name not in VARIABLES:
                known = ", ".join(sorted(VARIABLES))
                raise SettingsError(name, "is not a known setting", f"remove it, or use one of {known}")
            if text.encode("utf-8", "ignore").decode() != text:  # it could not be sent, nor logged
                raise SettingsError(name, "is not text", "give text in UTF-8")
        try:
            settings = cls.model_validate({VARIABLES[name]: text for name, text in given.items() if text})
        except ValidationError as error:
            raise _refused(error) from None  # pydantic's text has the value
        reader = settings.database_reader_url
        if reader and (settings.local_database or reader.startswith("sqlite")):
            raise SettingsError(
                "BAPSANG_DATABASE_READER_URL", "needs MySQL on both sides", "remove it, or give MySQL for both"
            )
        return settings.model_copy(update=_verified(settings))


def ignored(environ: Mapping[str, str]) -> list[str]:
    """Return the names of optional settings that this image does not know."""
    return sorted(
        name for name in environ if name.startswith(OPTIONAL + PREFIX) and name[len(OPTIONAL) :] not in VARIABLES
    )


def _verified(settings: Settings) -> dict[str, str]:
    """Return the URLs whose servers are to be verified, with the option that says by what. Raises SettingsError."""
    database = ("database_url", "database_reader_url") if not settings.local_database else ()
    given = [(field, settings.database_tls_ca, DATABASE_CA) for field in database]
    given += [("redis_url", settings.redis_tls_ca, REDIS_CA)] if not settings.embedded_redis else []
    found = {}
    for field, ca, setting in given:
        url = getattr(settings, field)
        if ca is None or url is None:
            continue
        if fault := tls_fault(url):
            remedy = f"remove it, or {setting}, without which the URL alone says how TLS is done"
            raise SettingsError(f"{PREFIX}{field.upper()}", fault, remedy)
        found[field] = tls.verified_by(url, ca)
    return found


def _refused(error: ValidationError) -> SettingsError:
    first = error.errors(include_url=False, include_input=False)[0]
    field = str(first["loc"][0])
    said = next(word for word in Settings.model_fields[field].metadata if isinstance(word, Refusal))
    return SettingsError(
        f"{PREFIX}{field.upper()}", first["msg"] if first["type"] == _FAULT else said.problem, said.remedy
    )


VARIABLES: Final = {f"{PREFIX}{field.upper()}": field for field in Settings.model_fields}
