"""Settings of the process, read once from the environment and checked at start: a wrong value ends the process at once,
with one line that names the variable and says what to do.

A setting is a field of `Settings`; its type checks the value and has the words for one that does not fit.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bapsang_api import forms
from bapsang_api.endings import DEFAULT_TERMINATION_LOG, Code, Ending, EndingError
from bapsang_api.forms import Refusal, whole
from bapsang_api.http.ratelimit import DEFAULTS, Limit, Rate
from bapsang_api.kit import tls
from bapsang_api.kit.db.connections import DATABASE_CA, DEFAULT_LIMITS, Limits
from bapsang_api.kit.redis.client import EMBEDDED, REDIS_CA
from bapsang_api.mail.rendering import Stationery
from bapsang_api.mail.server import SMTP_CA, MailServer, Security
from bapsang_api.uploads.bucket import Bucket
from bapsang_api.urls import tls_fault

PREFIX: Final = "BAPSANG_"
# Before the name of a setting: ignored by an image that does not know it. A newer operator may set such ones; the operator
# of v0.0.1 sets none (docs/decisions/0010-road-to-v1.md).
OPTIONAL: Final = "OPTIONAL_"


class SettingsError(EndingError):
    """A setting that the process cannot start with. Its text is one line for the person who set it.

    It never repeats the value: people who mistake one variable for another put a password where none is expected.
    """

    def __init__(self, variable: str, problem: str, remedy: str) -> None:
        known = variable if variable in VARIABLES else ""
        super().__init__(Ending(Code.SETTING_REFUSED, setting=known), f"{variable} {problem}: {remedy}")


class Settings(BaseModel):
    """Every setting, with defaults that work on one machine without any server. `BAPSANG_ISSUER` is `issuer`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: Annotated[str, *forms.DATABASE] = "sqlite:///./bapsang.sqlite3"
    database_reader_url: Annotated[str | None, *forms.DATABASE] = None
    database_tls_ca: Annotated[str | None, *forms.AUTHORITY] = None
    database_pool_size: Annotated[int, *whole(1, 64)] = DEFAULT_LIMITS.connections
    database_queue_size: Annotated[int, *whole(0, 1000)] = DEFAULT_LIMITS.queue
    database_connect_seconds: Annotated[int, *whole(1, 10)] = DEFAULT_LIMITS.connect_seconds
    database_statement_seconds: Annotated[int, *whole(3, 60)] = DEFAULT_LIMITS.statement_seconds
    redis_url: Annotated[str, *forms.REDIS] = EMBEDDED
    redis_tls_ca: Annotated[str | None, *forms.AUTHORITY] = None
    redis_replica_ms: Annotated[int, *whole(0, 800, "the milliseconds that a like may wait for a replica,")] = 0
    signing_key_file: Path | None = None
    issuer: Annotated[str, *forms.HTTP] = "http://localhost:8000"
    audience: str = "bapsang"
    public_url: Annotated[str | None, *forms.HTTP] = None
    cors_origins: Annotated[tuple[str, ...], *forms.ORIGINS] = ("http://localhost:3000", "http://127.0.0.1:3000")
    admin_port: Annotated[int, *whole(0, 65535, "a port (0 picks a free one)")] = 9000
    log_level: Annotated[Literal["debug", "info", "warning", "error"], *forms.LEVEL] = "info"
    hold_posts: Annotated[Literal["on", "off"], *forms.SWITCH] = "on"
    rate_limits: Annotated[dict[Limit, Rate], *forms.RATES] = DEFAULTS
    trusted_hops: Annotated[int, *whole(0, 10, "how many proxies of yours each request passes,")] = 1
    max_in_flight: Annotated[int, *whole(4, 100_000, "the most reads to be worked on at once,")] = 512
    operator_name: str = "밥상 운영팀"
    contact_email: Annotated[str, *forms.EMAIL] = "privacy@example.com"
    s3_bucket: Annotated[str | None, *forms.BUCKET] = None
    s3_region: Annotated[str, *forms.REGION] = "ap-northeast-2"
    s3_endpoint: Annotated[str | None, *forms.ORIGIN] = None
    s3_upload_url: Annotated[str | None, *forms.ORIGIN] = None
    s3_public_url: Annotated[str | None, *forms.HTTP] = None
    smtp_url: Annotated[str | None, *forms.SMTP] = None
    smtp_tls_ca: Annotated[str | None, *forms.AUTHORITY] = None
    mail_from: Annotated[str | None, *forms.SENDER] = None
    originals_days: Annotated[int, *whole(1, 3650, "the days for which uploads are kept as they were,")] = 30
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
    def mail(self) -> MailServer | None:
        """Where letters go, None where there is no mail. Raises SettingsError for a server without what belongs to it."""
        if self.smtp_url is None:
            return None
        if self.mail_from is None:
            raise SettingsError("BAPSANG_MAIL_FROM", "is not set", "give the address that letters come from")
        server = MailServer.of(self.smtp_url, self.mail_from, self.smtp_tls_ca or tls.SYSTEM)
        if self.smtp_tls_ca and server.security is Security.NONE:
            raise SettingsError(SMTP_CA, "is set beside tls=none in BAPSANG_SMTP_URL", "give one of them alone")
        return server

    @property
    def stationery(self) -> Stationery:
        """What stands in every letter."""
        return Stationery(self.mail_from or "", self.site, self.contact_email)

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
        f"{PREFIX}{field.upper()}", first["msg"] if first["type"] == forms.FAULT else said.problem, said.remedy
    )


VARIABLES: Final = {f"{PREFIX}{field.upper()}": field for field in Settings.model_fields}
