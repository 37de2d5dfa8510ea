"""Structured logs: one JSON object a line on standard error.

Nothing personal and no secret may reach a log. The formatter therefore leaves out the text of errors of database, Redis,
S3 and validation, which quote rows and input or name a host, and keeps their types, numbers and stack frames.
"""

import json
import logging
import os
import sqlite3
import ssl
import sys
import traceback
from datetime import UTC, datetime
from typing import Final

import pymysql
from pymysql.constants import CR, ER
from sqlalchemy.exc import DBAPIError

from bapsang_api.kit.context import current_request_id

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OURS: Final = __name__.partition(".")[0]
# They quote what they were given: a port, a header, a piece of a URL.
_QUOTES: Final = (ValueError, sqlite3.Error)
# Clients of servers whose URLs hold passwords, and what checks requests.
_FOREIGN: Final = frozenset({"boto3", "botocore", "pydantic", "pydantic_core", "redis", "sqlalchemy", "urllib3"})
_MYSQL_NAMES: Final = {
    number: name for codes in (ER, CR) for name, number in vars(codes).items() if isinstance(number, int)
}


class JsonFormatter(logging.Formatter):
    """Renders a record as one JSON object: time (UTC), level, logger, event, request_id and the record's extras."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if request_id := current_request_id():
            line["request_id"] = request_id
        line.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
        if record.exc_info and (error := record.exc_info[1]) is not None:
            line["error"] = describe(error)
            line["stack"] = [frame.strip() for frame in traceback.format_tb(error.__traceback__)]
        return json.dumps(line, ensure_ascii=False, default=str)


def describe(error: BaseException) -> str:
    """Return an error's type, its text unless that may quote input or hold a part of a URL, and its cause."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        # The wrapper adds only the statement; a cause is ours (`kit.tls`).
        cause = error.orig.__cause__
        return _driver_error(error.orig) + (f" <- {describe(cause)}" if cause is not None else "")
    text = type(error).__name__
    if isinstance(error, pymysql.err.Error):
        text = _driver_error(error)
    elif type(error).__module__.partition(".")[0] == _OURS:
        text += f": {error}" if str(error) else ""
    elif isinstance(error, ssl.SSLError):
        text += (
            f" {error.reason}" if error.reason else ""
        )  # its number is none of the system's, its text names the host
    elif isinstance(error, OSError):
        text += f" {error.errno}: {os.strerror(error.errno)}" if error.errno and error.errno > 0 else ""
    elif not isinstance(error, _QUOTES) and type(error).__module__.partition(".")[0] not in _FOREIGN and str(error):
        text += f": {error}"
    return text + (f" <- {describe(error.__cause__)}" if error.__cause__ is not None else "")


def _driver_error(error: BaseException) -> str:
    """Return a database driver's error by number and name; its text quotes rows and statements, or names the host."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    name = _MYSQL_NAMES.get(number, "") if number is not None else ""
    return " ".join([type(error).__name__, *([] if number is None else [str(number)]), *([name] if name else [])])


def configure(level: str) -> None:
    """Send every logger of the process through the JSON formatter at `level` (debug, info, warning, error)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Their start-up and shut-down chatter repeats what this service says itself. At `debug`, those of S3 write down the
    # headers that sign a request.
    for noisy in ("uvicorn", "uvicorn.error", "alembic", "asyncio", "boto3", "botocore", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
