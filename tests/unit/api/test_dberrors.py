"""Which errors of MySQL are an outage that passes: 503, where a bug is 500."""

import pymysql
import pytest
from sqlalchemy.exc import OperationalError

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
