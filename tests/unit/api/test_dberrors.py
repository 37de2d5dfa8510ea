"""Which errors of MySQL are an outage that passes: 503, where a bug is 500."""

from pathlib import Path

import pymysql
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.errors import translated
from bapsang_api.kit.problem import Unavailable


def _error(code: int) -> OperationalError:
    return OperationalError("SELECT 1", {}, pymysql.err.OperationalError(code, "told by the server"))


# Too many connections, shutting down, read-only, offline mode, killed by the server, gone away, lost, idle for too long.
@pytest.mark.parametrize("code", [1040, 1053, 1290, 1836, 3032, 3169, 2006, 2013, 4031])
def test_what_a_server_says_on_its_way_out_is_an_outage(code: int) -> None:
    assert isinstance(translated(_error(code)), Unavailable)


def test_an_unknown_column_is_a_bug() -> None:
    error = _error(1054)
    assert translated(error) is error


@pytest.mark.parametrize("code", [1054, 2006])
async def test_an_error_is_never_its_own_cause(tmp_path: Path, code: int) -> None:
    database = Database(f"sqlite:///{tmp_path}/test.sqlite3")
    error = _error(code)

    def fail(_: Connection) -> None:
        raise error

    for job in (database.read, database.write):
        with pytest.raises((OperationalError, Unavailable)) as raised:
            await job(fail)
        causes, cause = list[BaseException](), raised.value
        while cause is not None and cause not in causes:
            causes.append(cause)
            cause = cause.__cause__  # type: ignore[assignment]
        assert cause is None, "whoever looks for the first of its causes never comes back"
    await database.close()
