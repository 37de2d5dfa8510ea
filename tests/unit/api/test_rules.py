"""Rules for what people type, times, ids and cursors."""

import string
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bapsang_api.http.paging import parse_cursor
from bapsang_api.http.request import Request
from bapsang_api.http.validation import invalid_input
from bapsang_api.kit.clock import from_wire, to_wire
from bapsang_api.kit.db.keyset import Keyset
from bapsang_api.kit.ids import Ids, is_ulid
from bapsang_api.kit.problem import FieldError, InvalidInput
from bapsang_api.posts.schemas import PostCreate, Title
from bapsang_api.users.schemas import Email, Nickname, Password

ID = "01JD0000000000000000000000"


def accepts(kind: Any, value: str) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("value", ["a", "가", "힣", "밥상2026abc", "ABCdef1234"])
def test_good_nicknames(value: str) -> None:
    assert accepts(Nickname, value)


@pytest.mark.parametrize("value", ["", "a" * 11, "a b", "a-b", "ㄱ", "밥🍚", "é", "a\n", "한글자모ㅏ"])
def test_bad_nicknames(value: str) -> None:
    assert not accepts(Nickname, value)


def test_decomposed_nickname_is_composed_before_it_is_checked() -> None:
    assert TypeAdapter(Nickname).validate_python(unicodedata.normalize("NFD", "밥상")) == "밥상"


@pytest.mark.parametrize("value", ["Bapsang-2026!", "abcdef1 ", "aaaaaa1~", "1234567a@", "aA1" + "!" * 17])
def test_good_passwords(value: str) -> None:
    assert accepts(Password, value)


@pytest.mark.parametrize("special", [" ", *string.punctuation])
def test_space_and_every_ascii_punctuation_make_a_password_special(special: str) -> None:
    assert accepts(Password, f"abcdef1{special}")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "short1!",
        "a1!" + "x" * 18,
        "nodigits!",
        "12345678!",
        "noSpecial1",
        "한글암호1!ab",
        "tab\tab12!",
        "abcd123!\n",
    ],
)
def test_bad_passwords(value: str) -> None:
    assert not accepts(Password, value)


@pytest.mark.parametrize("value", ["a@b.co", "first.last+tag@sub.example.com", "a" * 64 + "@example.com"])
def test_good_emails(value: str) -> None:
    assert accepts(Email, value)


@pytest.mark.parametrize(
    "value",
    ["", "a", "a@b", "@b.co", "a@.co", "a b@c.de", "a@b.co\n", "a@-b.co", "a" * 65 + "@b.co", "a@" + "b." * 130 + "co"],
)
def test_bad_emails(value: str) -> None:
    assert not accepts(Email, value)


@pytest.mark.parametrize(
    ("value", "good"), [("x", True), ("x" * 255, True), ("x" * 256, False), ("", False), (" ", False)]
)
def test_title_length(value: str, good: bool) -> None:
    assert accepts(Title, value) == good


def test_refusal_says_which_field_and_why_without_repeating_the_input() -> None:
    with pytest.raises(ValidationError) as refused:
        PostCreate.model_validate({"title": "", "content": 5})
    errors = [{**error, "loc": ("body", *error["loc"])} for error in refused.value.errors()]
    problem = invalid_input(errors)
    assert [(error.field, error.message) for error in problem.errors] == [
        ("title", "1자 이상 255자 이하여야 합니다."),
        ("content", "문자열이어야 합니다."),
    ]
    assert problem.detail == "title: 1자 이상 255자 이하여야 합니다."


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_wire_time_round_trips_exactly(moment: datetime) -> None:
    assert from_wire(to_wire(moment)) == moment


@pytest.mark.parametrize(
    "text",
    ["2026-11-23T10:10:12.781554", "2026-11-23T01:10:12.781554Z", "2026-11-23T02:10:12.781554 01:00"],
)
def test_wire_time_is_seoul_time_unless_it_names_a_zone(text: str) -> None:
    assert from_wire(text) == datetime(2026, 11, 23, 1, 10, 12, 781554, UTC)


@pytest.mark.parametrize("text", ["", "now", "2026-11-23", "2026-13-01T00:00:00", "0001-01-01T00:00:00", "T"])
def test_bad_wire_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any is the contract
        from_wire(text)


def test_cursor_id_alone_is_ignored_and_a_time_alone_is_enough() -> None:
    assert parse_cursor(ID, None) is None
    assert parse_cursor("junk", "") is None
    moment = datetime(2026, 11, 23, 1, 10, 12, tzinfo=UTC)
    assert parse_cursor(None, "2026-11-23T10:10:12") == Keyset(moment, None)
    assert parse_cursor(ID, "2026-11-23T10:10:12") == Keyset(moment, ID)


@given(st.text(max_size=40), st.text(min_size=1, max_size=40))
def test_any_cursor_is_parsed_or_refused_as_input(cursor_id: str, created_at: str) -> None:
    refused: list[FieldError] = []
    try:
        parse_cursor(cursor_id, created_at)
    except InvalidInput as problem:
        refused = list(problem.errors)
    assert {error.field for error in refused} <= {"cursorId", "cursorCreatedAt"}


def test_ids_are_ulids_in_the_order_of_time() -> None:
    class Clock:
        time = 1_800_000_000.0

        def now(self) -> datetime:
            self.time += 0.001
            return datetime.fromtimestamp(self.time, UTC)

        def seconds(self) -> float:
            return self.time

    ids = Ids(Clock())
    made = [ids.new() for _ in range(100)]
    assert all(is_ulid(item) for item in made)
    assert made == sorted(made)


@pytest.mark.parametrize("text", ["", ID.lower(), ID[:-1], ID + "0", "8" + ID[1:], ID[:-1] + "U", ID[:-1] + "\n"])
def test_what_is_no_ulid(text: str) -> None:
    assert not is_ulid(text)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [(None, "192.0.2.1"), ("", "192.0.2.1"), ("203.0.113.7", "203.0.113.7"), ("1.1.1.1, 203.0.113.7", "203.0.113.7")],
)
def test_client_address_is_what_the_nearest_proxy_saw(forwarded: str | None, address: str) -> None:
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    assert Request({**scope, "client": ("192.0.2.1", 5)}, hops=1).address == address
