"""URLs that hold passwords: operator and API give one verdict, and nobody repeats any part of one."""

from __future__ import annotations

import io
import json
import logging
import string
from urllib.parse import quote

import pymysql
import pytest
import redis.exceptions
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from bapsang_api import endings
from bapsang_api import urls as api
from bapsang_api.kit.logs import JsonFormatter, describe
from bapsang_api.settings import VARIABLES, Settings, SettingsError
from bapsang_operator.build import urls

PARTS = st.text(alphabet=string.ascii_letters + string.digits + "@:/?#%&=[].-_ ~é", min_size=1, max_size=12)
O7 = "mysql+pymysql://bapsang:Wonderland@2026@db:3306/bapsang"
SENTINEL = "Wonderland"


@pytest.mark.parametrize(
    "text",
    [
        "mysql+pymysql://bapsang:geheim@db:3306/bapsang",
        "mysql+pymysql://root:@127.0.0.1:3306/bapsang?charset=utf8mb4&ssl_check_hostname=false",
        "mysql+pymysql://u:a/b?c#d:e%40f@db.example.com/name",
        "mysql+pymysql://db_1/name",
        "mysql+pymysql://u:p@[fd00::1]:3306/name",
    ],
)
def test_url_of_a_database_is_taken_where_all_read_it_alike(text: str) -> None:
    assert urls.mysql_fault(text) is api.mysql_fault(text) is None
    assert urls.mysql_fault(f"{text}\n") is None
    assert make_url(text).host in {"db", "127.0.0.1", "db.example.com", "db_1", "fd00::1"}


@pytest.mark.parametrize(
    "text",
    [
        O7,
        "mysql+pymysql://user@server:geheim@db/bapsang",
        "mysql+pymysql://u:p@db/name@x",
        "mysql+pymysql://u:p@db/name?a=b@c",
        "mysql+pymysql://u:p@db",
        "mysql+pymysql://u:p@db/na%6De",
        "mysql+pymysql://u:p@db:70000/name",
        "mysql+pymysql://u:p@d b/name",
        "mysql+pymysql://bapsang:Wonderland",
        "mysql://u:p@db/name",
        "sqlite:///x",
        "",
    ],
)
def test_url_that_can_be_read_in_two_ways_or_in_none_is_refused(text: str) -> None:
    assert urls.mysql_fault(text) is not None
    assert urls.mysql_fault(text) == api.mysql_fault(text)
    assert urls.fault(urls.Form.MYSQL, text.encode()) == f"{api.mysql_fault(text)}: {api.MYSQL_FORM}"


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        ("redis://:geheim@redis:6379/0", True),
        ("rediss://user:p%40ss@cache.example.com:6380/1?ssl_cert_reqs=none", True),
        ("redis://redis", True),
        ("redis://:Wonder@land@redis:6379/0", False),
        ("redis://:Wonder/land@redis:6379/0", False),
        ("redis://:Wonder#land@redis:6379/0", False),
        ("redis://redis:70000/0", False),
        ("redis://", False),
    ],
)
def test_url_of_a_redis_is_held_to_the_same(text: str, is_good: bool) -> None:
    assert (urls.redis_fault(text) is None) is is_good
    assert urls.redis_fault(text) == api.redis_fault(text)


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        ("smtp://mail.example.com", True),
        ("smtps://user:p%40ss@mail.example.com:465/", True),
        ("smtp://mailpit:1025?tls=none", True),
        ("smtp://u:p@mailpit.mailbox.svc.cluster.local?tls=none", True),
        ("smtp://mail.example.com?tls=none", False),
        ("smtps://mailpit?tls=none", False),
        ("smtp://user:Wonder@land@mail.example.com", False),
        ("smtp://user:Wonder/land@mail.example.com", False),
        ("smtp://mail.example.com?tls=maybe", False),
        ("smtp://", False),
    ],
)
def test_url_of_a_mail_server_is_held_to_the_same(text: str, is_good: bool) -> None:
    assert (urls.smtp_fault(text) is None) is is_good
    assert urls.smtp_fault(text) == api.smtp_fault(text)
    assert urls.SMTP_FORM == api.SMTP_FORM


@settings(max_examples=300, deadline=None)
@given(PARTS, PARTS, PARTS, PARTS)
@example("bapsang", "Wonderland@2026", "bapsang", "charset")
def test_what_is_accepted_has_the_host_that_was_meant(user: str, password: str, name: str, option: str) -> None:
    text = f"mysql+pymysql://{user}:{password}@db.internal:3306/{name}?{option}=1"
    assert urls.mysql_fault(text) == api.mysql_fault(text)
    if api.mysql_fault(text) is None:
        read = make_url(text)
        assert (read.host, read.port, read.database) == ("db.internal", 3306, name)
    encoded = f"mysql+pymysql://{quote(user, safe='')}:{quote(password, safe='')}@db.internal:3306/name"
    assert api.mysql_fault(encoded) is None
    assert (make_url(encoded).username, make_url(encoded).password) == (user, password)


@given(st.sampled_from(sorted(VARIABLES)), PARTS, PARTS)
def test_no_setting_that_is_refused_is_repeated(variable: str, before: str, after: str) -> None:
    for text in (f"{before}{SENTINEL}{after}", f"mysql+pymysql://u:{before}@{SENTINEL}{after}@db/x"):
        said = ""
        try:
            Settings.from_environment({variable: text})
        except SettingsError as error:
            said = f"{error} {endings.of(error)}"
        assert SENTINEL not in said


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("mysql+pymysql://u:a?ssl_disabled=1@db/x", None),
        ("mysql+pymysql://u:p@db/x?charset=utf8mb4&local_infile=0", None),
        ("mysql+pymysql://u:p@db/x?charset=utf8mb4&ssl_verify_identity=0", "ssl_verify_identity"),
        ("redis://db?ssl_ca_certs=x", "ssl_ca_certs"),
        ("redis://db?db=1&tls_ca=x", "tls_ca"),
    ],
)
def test_option_for_tls_is_found_by_operator_and_api(text: str, option: str | None) -> None:
    said = api.tls_fault(text)
    assert said == urls.tls_fault(text)
    assert (said is not None and f"the option {option}," in said) is (option is not None)


def _chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said", "ending"),
    [
        (
            OperationalError("SELECT 1", {}, pymysql.err.OperationalError(2003, f"Can't connect to '{SENTINEL}@db'")),
            "OperationalError 2003 CR_CONN_HOST_ERROR",
            "DATABASE_UNREACHABLE 2003",
        ),
        (
            OperationalError("SELECT 1", {}, pymysql.err.OperationalError(1045, f"Access denied for '{SENTINEL}'")),
            "OperationalError 1045 ACCESS_DENIED_ERROR",
            "DATABASE_REFUSED 1045",
        ),
        (
            _chained(
                redis.exceptions.ConnectionError(f"Error -2 connecting to {SENTINEL}:6379."),
                ConnectionRefusedError(111, f"Connect call failed ('{SENTINEL}', 6379)"),
            ),
            "ConnectionError <- ConnectionRefusedError 111: Connection refused",
            "REDIS_UNREACHABLE",
        ),
        (redis.exceptions.AuthenticationError(SENTINEL), "AuthenticationError", "REDIS_REFUSED"),
        (
            FileNotFoundError(2, "No such file", SENTINEL),
            "FileNotFoundError 2: No such file or directory",
            "SYSTEM_ERROR 2",
        ),
        (ValueError(f"Port could not be cast to integer value as '{SENTINEL}'"), "ValueError", "INTERNAL_ERROR"),
    ],
)
def test_errors_are_told_by_number_and_name_not_by_their_text(error: Exception, said: str, ending: str) -> None:
    assert describe(error) == said
    assert str(endings.of(error)) == ending
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), (type(error), error, None))
    handler.emit(record)
    assert json.loads(out.getvalue())["error"] == said
    assert SENTINEL not in out.getvalue()
