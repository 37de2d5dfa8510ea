"""What an error of the database means: try again, an outage that passes, or a bug."""

import sqlite3
from typing import Any, Final, NoReturn

import pymysql
from sqlalchemy.exc import DBAPIError, OperationalError

from bapsang_api.kit.problem import Unavailable

# Rolled back as a whole by the server, so the transaction may be tried again: deadlock, lock wait timeout.
RETRY_WRITE: Final = frozenset({1205, 1213})
OUT_OF_TIME: Final = 3024
# What passes without a change of the program: cannot connect, gone away, lost, too many connections, shutting down, offline,
# no TLS, too many broken connections from here, access denied or unknown database (a rotated password, a server still being
# set up), read-only (a failover), query out of time.
# fmt: off
_OUTAGE: Final = RETRY_WRITE | frozenset({
    1040, 1042, 1044, 1045, 1049, 1053, 1129, 1158, 1159, 1160, 1161, 1203, 1290, 1317, 1836, 2002, 2003, 2006, 2013, 2026,
    2055, OUT_OF_TIME, 3032, 3169, 4031,
})
# fmt: on
_SQLITE_OUTAGE: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN})


def code_of(error: DBAPIError) -> int:
    """Return MySQL's error number or SQLite's primary result code, 0 when there is none."""
    original: Any = error.orig
    if isinstance(original, sqlite3.Error):
        return int(getattr(original, "sqlite_errorcode", 0)) & 0xFF
    if isinstance(original, pymysql.err.Error) and original.args and isinstance(original.args[0], int):
        return original.args[0]
    return 0


def translated(error: DBAPIError) -> Exception:
    """Return Unavailable for an outage, the error itself for what is a bug or a constraint."""
    if isinstance(error.orig, sqlite3.Error):
        return Unavailable() if code_of(error) in _SQLITE_OUTAGE else error
    known = isinstance(error, OperationalError) and code_of(error) in _OUTAGE
    return Unavailable() if known or error.connection_invalidated else error


def reraise(error: DBAPIError) -> NoReturn:
    """Raise what an error means, from the error.

    Never the error from itself: whoever then follows its causes to their end, as `endings.of` does, never comes back.
    """
    found = translated(error)
    if found is error:
        raise error
    raise found from error
