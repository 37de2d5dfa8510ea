"""Settings of the process, read once from the environment and checked at start: a wrong value ends the process at once,
with one line that names the variable and says what to do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from bapsang_api.endings import DEFAULT_TERMINATION_LOG, TERMINATION_LOG, Code, Ending, EndingError
from bapsang_api.http.ratelimit import Limit, Rate, rates_from
from bapsang_api.kit.db.connections import DEFAULT_LIMITS, Limits
from bapsang_api.kit.redis.client import EMBEDDED
from bapsang_api.kit.urls import MYSQL_FORM, REDIS_FORM, is_http_url, is_origin, mysql_fault, redis_fault
from bapsang_api.uploads.bucket import Bucket

PREFIX: Final = "BAPSANG_"
_LOG_LEVELS: Final = ("debug", "info", "warning", "error")
_DEFAULTS: Final[Mapping[str, str]] = {
    "BAPSANG_DATABASE_URL": "sqlite:///./bapsang.sqlite3",
    "BAPSANG_DATABASE_READER_URL": "",
    "BAPSANG_DATABASE_POOL_SIZE": str(DEFAULT_LIMITS.connections),
    "BAPSANG_DATABASE_QUEUE_SIZE": str(DEFAULT_LIMITS.queue),
    "BAPSANG_DATABASE_CONNECT_SECONDS": str(DEFAULT_LIMITS.connect_seconds),
    "BAPSANG_DATABASE_STATEMENT_SECONDS": str(DEFAULT_LIMITS.statement_seconds),
    "BAPSANG_REDIS_URL": EMBEDDED,
    "BAPSANG_SIGNING_KEY_FILE": "",
    "BAPSANG_ISSUER": "http://localhost:8000",
    "BAPSANG_AUDIENCE": "bapsang",
    "BAPSANG_CORS_ORIGINS": "http://localhost:3000,http://127.0.0.1:3000",
    "BAPSANG_ADMIN_PORT": "9000",
    "BAPSANG_LOG_LEVEL": "info",
    "BAPSANG_RATE_LIMITS": "",
    "BAPSANG_MAX_IN_FLIGHT": "512",
    "BAPSANG_OPERATOR_NAME": "밥상 운영팀",
    "BAPSANG_CONTACT_EMAIL": "privacy@example.com",
    "BAPSANG_S3_BUCKET": "",
    "BAPSANG_S3_REGION": "ap-northeast-2",
    "BAPSANG_S3_ENDPOINT": "",
    "BAPSANG_S3_UPLOAD_URL": "",
    "BAPSANG_S3_PUBLIC_URL": "",
    TERMINATION_LOG: DEFAULT_TERMINATION_LOG,
}


class SettingsError(EndingError):
    """A setting that the process cannot start with. Its text is one line for the person who set it.

    It never repeats the value: people who mistake one variable for another put a password where none is expected.
    """

    def __init__(self, variable: str, problem: str, remedy: str) -> None:
        known = variable if variable in _DEFAULTS else ""
        super().__init__(Ending(Code.SETTING_REFUSED, setting=known), f"{variable} {problem}: {remedy}")


@dataclass(frozen=True)
class Settings:
    """Every setting, with defaults that work on one machine without any server."""

    database_url: str
    database_reader_url: str | None
    database_limits: Limits
    redis_url: str
    signing_key_file: Path | None
    issuer: str
    audience: str
    cors_origins: tuple[str, ...]
    admin_port: int
    log_level: str
    rate_limits: dict[Limit, Rate]
    max_in_flight: int
    operator_name: str
    contact_email: str
    bucket: Bucket | None  # None: uploads are off

    @property
    def local_database(self) -> bool:
        """Whether the database is a SQLite file, which only one process on one machine uses."""
        return self.database_url.startswith("sqlite")

    @property
    def embedded_redis(self) -> bool:
        """Whether Redis is the stand-in inside this process."""
        return self.redis_url == EMBEDDED

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Return the checked settings. Raises SettingsError, also for an unknown BAPSANG_ name: most often a typo."""
        given = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
        for name in sorted(given.keys() - _DEFAULTS.keys()):
            raise SettingsError(
                name, "is not a known setting", f"remove it, or use one of {', '.join(sorted(_DEFAULTS))}"
            )
        value = {**_DEFAULTS, **{name: text.strip() for name, text in given.items() if text.strip()}}
        reader = value["BAPSANG_DATABASE_READER_URL"]
        key_file = value["BAPSANG_SIGNING_KEY_FILE"]
        settings = cls(
            database_url=_database_url("BAPSANG_DATABASE_URL", value["BAPSANG_DATABASE_URL"]),
            database_reader_url=_database_url("BAPSANG_DATABASE_READER_URL", reader) if reader else None,
            database_limits=Limits(
                connections=_number(value, "BAPSANG_DATABASE_POOL_SIZE", 1, 64),
                queue=_number(value, "BAPSANG_DATABASE_QUEUE_SIZE", 0, 1000),
                connect_seconds=_number(value, "BAPSANG_DATABASE_CONNECT_SECONDS", 1, 10),
                statement_seconds=_number(value, "BAPSANG_DATABASE_STATEMENT_SECONDS", 3, 60),
            ),
            redis_url=_redis_url(value["BAPSANG_REDIS_URL"]),
            signing_key_file=Path(key_file) if key_file else None,
            issuer=_http_url("BAPSANG_ISSUER", value["BAPSANG_ISSUER"]),
            audience=value["BAPSANG_AUDIENCE"],
            cors_origins=_origins(value["BAPSANG_CORS_ORIGINS"]),
            admin_port=_port(value["BAPSANG_ADMIN_PORT"]),
            log_level=_log_level(value["BAPSANG_LOG_LEVEL"]),
            rate_limits=_rate_limits(value["BAPSANG_RATE_LIMITS"]),
            max_in_flight=_max_in_flight(value["BAPSANG_MAX_IN_FLIGHT"]),
            operator_name=value["BAPSANG_OPERATOR_NAME"],
            contact_email=_contact_email(value["BAPSANG_CONTACT_EMAIL"]),
            bucket=_bucket(value),
        )
        if reader and (settings.local_database or reader.startswith("sqlite")):
            raise SettingsError(
                "BAPSANG_DATABASE_READER_URL", "needs MySQL on both sides", "remove it, or give MySQL for both"
            )
        if settings.embedded_redis and not settings.local_database:
            raise SettingsError(
                "BAPSANG_REDIS_URL",
                "is not set",
                "with MySQL give redis://:password@host:6379/0; replicas must share it",
            )
        return settings


def _database_url(variable: str, text: str) -> str:
    if text.startswith("sqlite"):
        return _sqlite_url(variable, text)
    if fault := mysql_fault(text):
        raise SettingsError(variable, fault, f"{MYSQL_FORM}; or sqlite:///file")
    return text


def _sqlite_url(variable: str, text: str) -> str:
    try:
        url: URL = make_url(text)
    except ArgumentError as error:
        raise SettingsError(variable, "is not a database URL", "give sqlite:///file") from error
    if url.drivername not in {"sqlite", "sqlite+pysqlite"} or not url.database or url.database == ":memory:":
        raise SettingsError(variable, "names no file", "give sqlite:///file")
    return text


def _number(values: Mapping[str, str], variable: str, least: int, most: int) -> int:
    text = values[variable]
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise SettingsError(variable, "is out of range", f"give a whole number from {least} to {most}")
    return int(text)


def _redis_url(text: str) -> str:
    if text != EMBEDDED and (fault := redis_fault(text)):
        raise SettingsError("BAPSANG_REDIS_URL", fault, f"{REDIS_FORM}; or {EMBEDDED}")
    return text


def _http_url(variable: str, text: str) -> str:
    if not is_http_url(text):
        raise SettingsError(variable, "is no http(s) URL", "give for example https://community.example.com")
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        if not is_origin(origin):
            raise SettingsError(
                "BAPSANG_CORS_ORIGINS",
                "holds something that is no origin",
                "give scheme, host and port, no path, separated by commas: https://a.example.com,http://localhost:3000",
            )
    return origins


def _bucket(value: Mapping[str, str]) -> Bucket | None:
    """Return the bucket for images, None where uploads are off. The other settings are checked all the same."""
    name = value["BAPSANG_S3_BUCKET"]
    public = value["BAPSANG_S3_PUBLIC_URL"]
    region = _s3_name("BAPSANG_S3_REGION", value, r"[a-z0-9][a-z0-9-]*[a-z0-9]", "ap-northeast-2")
    bucket = Bucket.of(
        name,
        region,
        endpoint=_s3_origin("BAPSANG_S3_ENDPOINT", value),
        upload_origin=_s3_origin("BAPSANG_S3_UPLOAD_URL", value),
        public_url=_http_url("BAPSANG_S3_PUBLIC_URL", public).rstrip("/") if public else None,
    )
    if not name:
        return None
    _s3_name("BAPSANG_S3_BUCKET", value, r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "community-media")
    return bucket


def _s3_name(variable: str, value: Mapping[str, str], pattern: str, example: str) -> str:
    text = value[variable]
    if re.fullmatch(pattern, text) is None:
        raise SettingsError(variable, "is no such name", f"give for example {example}")
    return text


def _s3_origin(variable: str, value: Mapping[str, str]) -> str | None:
    text = value[variable].rstrip("/")
    if text and not is_origin(text):
        raise SettingsError(variable, "is no origin", "give scheme, host and port, no path: https://s3.example.com")
    return text or None


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) <= 65535:
        raise SettingsError("BAPSANG_ADMIN_PORT", "is no port", "give a port from 0 to 65535 (0 picks a free one)")
    return int(text)


def _log_level(text: str) -> str:
    if text.lower() not in _LOG_LEVELS:
        raise SettingsError("BAPSANG_LOG_LEVEL", "is no such level", f"give one of {', '.join(_LOG_LEVELS)}")
    return text.lower()


def _rate_limits(text: str) -> dict[Limit, Rate]:
    try:
        return rates_from(text)
    except ValueError as error:
        raise SettingsError(
            "BAPSANG_RATE_LIMITS",
            "holds something that is no limit",
            f"give name=requests/seconds or name=off, separated by commas, or off for all; names: {', '.join(Limit)}",
        ) from error


def _max_in_flight(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 4 <= int(text) <= 100_000:
        raise SettingsError(
            "BAPSANG_MAX_IN_FLIGHT", "is out of range", "give from 4 to 100000 reads that may be worked on at once"
        )
    return int(text)


def _contact_email(text: str) -> str:
    if re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", text) is None:
        raise SettingsError(
            "BAPSANG_CONTACT_EMAIL",
            "is no e-mail address",
            "give the e-mail address of the one who answers for privacy",
        )
    return text
