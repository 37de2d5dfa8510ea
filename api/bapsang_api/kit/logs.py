"""Structured logs: one JSON object a line on standard error.

Nothing personal may reach a log. The formatter therefore leaves out the text of database and validation errors, which
quote rows and input, and keeps their types and stack frames.
"""

import json
import logging
import sqlite3
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime

import pymysql
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUOTES_INPUT = (SQLAlchemyError, ValidationError, sqlite3.Error)
_CLIENT_ERRORS = 2000


def current_request_id() -> str:
    """Return the id of the request being served, or an empty string outside of one."""
    return _request_id.get()


def set_request_id(request_id: str) -> None:
    _request_id.set(request_id)


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
    """Return an error's type, its text unless that may quote user input, and its cause."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return _driver_error(error.orig)  # the wrapper adds only the statement
    text = type(error).__name__
    if isinstance(error, pymysql.err.Error):
        text = _driver_error(error)
    elif not isinstance(error, _QUOTES_INPUT) and str(error):
        text += f": {error}"
    return text + (f" <- {describe(error.__cause__)}" if error.__cause__ is not None else "")


def _driver_error(error: BaseException) -> str:
    """Return a database driver's error with its number, and with its text if that is about the connection only."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    text = type(error).__name__ + ("" if number is None else f" {number}")
    # From 2000 on these are the client's own errors; the server's quote rows and statements.
    return f"{text}: {error.args[-1]}" if number is not None and number >= _CLIENT_ERRORS else text


def configure(level: str) -> None:
    """Send every logger of the process through the JSON formatter at `level` (debug, info, warning, error)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Their start-up and shut-down chatter repeats what this service says itself.
    for noisy in ("uvicorn", "uvicorn.error", "alembic", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
