"""How a process ended, for people who look at its pod: a code of a fixed list, with an error number or a setting's name.

It is the container's termination message. Nothing else is: texts of errors hold hosts, and with a mistyped URL parts of
passwords; the operator copies what it finds there into conditions and Events, which far more people read than logs.
"""

import contextlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import redis.exceptions
from sqlalchemy.exc import DBAPIError

from bapsang_api.kit import tls
from bapsang_api.kit.db.errors import RETRY_WRITE, code_of
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.client import REDIS_CA, EmbeddedRedisMissingError

TERMINATION_LOG: Final = "BAPSANG_TERMINATION_LOG"
DEFAULT_TERMINATION_LOG: Final = "/dev/termination-log"
# MySQL answered, and will not have this user: no right, wrong password, unknown database, locked, expired, TLS demanded.
_REFUSED: Final = frozenset({1044, 1045, 1049, 1142, 1143, 1227, 1251, 1396, 1698, 1820, 1862, 2059, 3118, 3159})
# It has no connection, lock or time left for this one.
_BUSY: Final = RETRY_WRITE | {1040, 1203, 1226, 3024}
_UNREACHABLE: Final = frozenset({1053, 1129, 1130, *range(2000, 2059)})


class Code(StrEnum):
    """The fixed list. The operator has a sentence for each (`bapsang_operator.problems.endings`); a test compares both."""

    SETTING_REFUSED = "SETTING_REFUSED"
    DATABASE_REFUSED = "DATABASE_REFUSED"
    DATABASE_TLS = "DATABASE_TLS"
    DATABASE_UNREACHABLE = "DATABASE_UNREACHABLE"
    DATABASE_BUSY = "DATABASE_BUSY"
    DATABASE_FAILED = "DATABASE_FAILED"
    SCHEMA_BEHIND = "SCHEMA_BEHIND"
    SCHEMA_FOREIGN = "SCHEMA_FOREIGN"
    REDIS_REFUSED = "REDIS_REFUSED"
    REDIS_TLS = "REDIS_TLS"
    REDIS_UNREACHABLE = "REDIS_UNREACHABLE"
    REDIS_FAILED = "REDIS_FAILED"
    STORAGE_FAILED = "STORAGE_FAILED"
    WRITE_BACK_STUCK = "WRITE_BACK_STUCK"
    UNAVAILABLE = "UNAVAILABLE"
    SYSTEM_ERROR = "SYSTEM_ERROR"
    INTERNAL_ERROR = "INTERNAL_ERROR"


@dataclass(frozen=True)
class Ending:
    """`number`: of MySQL's error or of the system's, after `…_TLS` one of `kit.tls.WORDS`, 0 for none. `setting`: the
    variable that was refused, or that the server was refused by; or empty."""

    code: Code
    number: int = 0
    setting: str = ""

    def __str__(self) -> str:
        return " ".join(
            [self.code, *([str(self.number)] if self.number else []), *([self.setting] * bool(self.setting))]
        )


class EndingError(Exception):
    """An error that knows how the process has to end."""

    def __init__(self, ending: Ending, text: str) -> None:
        super().__init__(text)
        self.ending = ending


def of(error: BaseException) -> Ending:
    """Return how a process ends that `error` has ended: by the first of its causes that is on the list."""
    if (refusal := tls.refusal_in(error)) is not None:  # whatever a driver has made of it
        code = Code.REDIS_TLS if refusal.setting == REDIS_CA else Code.DATABASE_TLS
        return Ending(code, refusal.number, refusal.setting)
    cause: BaseException | None = error
    is_outage = False
    while cause is not None:
        found = _known(cause)
        if found is not None:
            return found
        is_outage = is_outage or isinstance(cause, Unavailable)
        cause = cause.__cause__
    return Ending(Code.UNAVAILABLE if is_outage else Code.INTERNAL_ERROR)


def write(ending: Ending | None) -> None:
    """Put the ending where Kubernetes looks for it; None takes away what was written. Elsewhere there is no such file."""
    log = Path(os.environ.get(TERMINATION_LOG) or DEFAULT_TERMINATION_LOG)
    with contextlib.suppress(OSError):
        if log.is_file():
            log.write_text("" if ending is None else str(ending), "ascii")


def _known(error: BaseException) -> Ending | None:
    if isinstance(error, EndingError):
        return error.ending
    if isinstance(error, EmbeddedRedisMissingError):
        return Ending(Code.SETTING_REFUSED, setting="BAPSANG_REDIS_URL")
    if isinstance(error, DBAPIError):
        return Ending(_database(code_of(error)), code_of(error))
    if isinstance(error, redis.exceptions.RedisError):
        return Ending(_redis(error))
    if type(error).__module__.partition(".")[0] in {"boto3", "botocore"}:
        return Ending(Code.STORAGE_FAILED)
    if isinstance(error, OSError):
        return Ending(Code.SYSTEM_ERROR, abs(error.errno or 0)) if error.errno or error.__cause__ is None else None
    return None


def _database(number: int) -> Code:
    if number in _REFUSED:
        return Code.DATABASE_REFUSED
    if number in _BUSY:
        return Code.DATABASE_BUSY
    return Code.DATABASE_UNREACHABLE if number in _UNREACHABLE else Code.DATABASE_FAILED


def _redis(error: redis.exceptions.RedisError) -> Code:
    refused = (
        redis.exceptions.AuthenticationError,
        redis.exceptions.AuthorizationError,
        redis.exceptions.NoPermissionError,
    )
    if isinstance(error, refused):
        return Code.REDIS_REFUSED
    outage = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)
    return Code.REDIS_UNREACHABLE if isinstance(error, outage) else Code.REDIS_FAILED
