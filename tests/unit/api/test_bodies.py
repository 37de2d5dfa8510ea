"""Bodies of requests: how many bytes are held, and how many values are read."""

import json

import pytest
from starlette.types import Message

from bapsang_api.http import bodies
from bapsang_api.http.bodies import MOST_VALUES, Bodies, JsonRequest
from bapsang_api.kit.problem import InvalidInput, TooManyRequests, Unavailable

MEGABYTE = 1024 * 1024
NESTED = b"[" * 300 + b"]" * 300


def test_one_sender_cannot_use_up_what_is_for_all() -> None:
    counted = Bodies(most=10, most_of_one=4)
    counted.hold("a", 4)
    with pytest.raises(TooManyRequests):
        counted.hold("a", 1)
    counted.hold("b", 4)
    with pytest.raises(Unavailable):
        counted.hold("c", 3)
    counted.hold("c", 2)
    for sender, size in (("a", 4), ("b", 4), ("c", 2)):
        counted.release(sender, size)
    assert (counted.held, len(counted._held)) == (0, 0)
    counted.hold("a", 4)


def request(body: bytes) -> JsonRequest:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return JsonRequest({"type": "http", "headers": []}, receive)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"x":[' + b",".join([NESTED] * (MEGABYTE // len(NESTED))) + b"]}", id="nested"),
        pytest.param(b"[" * MEGABYTE, id="brackets"),
        pytest.param(b'{"x":[' + b"1," * 500_000 + b"1]}", id="numbers"),
        pytest.param(b"{" + b",".join(b'"%d":0' % number for number in range(90_000)) + b"}", id="names"),
        pytest.param(b'{"x":[' + b'"",' * 300_000 + b'""]}', id="texts"),
        pytest.param(b'{"\\"":[' + b"{}," * 2_000 + b'{}], "\\"":0}', id="behind an escaped quote"),
        pytest.param(b'{"\\\\":[' + b"{}," * 2_000 + b'{}], "\\\\":0}', id="behind an escaped backslash"),
        pytest.param(b'{"\\\\\\"":[' + b"{}," * 2_000 + b"{}]}", id="behind both"),
        pytest.param(json.dumps({"x": [[]] * 5}).encode("utf-16"), id="UTF-16"),
        pytest.param(json.dumps({"x": [[]] * 5}).encode("utf-32-be"), id="UTF-32"),
    ],
)
async def test_a_body_of_too_many_values_is_refused_before_it_is_read(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("was read")

    monkeypatch.setattr(json, "loads", read)
    with pytest.raises(InvalidInput) as refused:
        await request(body).json()
    assert [error.field for error in refused.value.errors] == ["body"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"content": ",[{" * 13_333}, id="a text of punctuation"),
        pytest.param({"content": '"\\' * 20_000 + "[" * 2_000}, id="a text of quotes and backslashes"),
        pytest.param({"tags": [""] * (MOST_VALUES - 2), "x": ","}, id="as many values as may be"),
        pytest.param(None, id="nothing"),
    ],
)
async def test_a_body_may_hold_what_it_likes_within_texts(value: object) -> None:
    assert await request(json.dumps(value).encode()).json() == value
    assert await request(b"\xef\xbb\xbf" + json.dumps(value, ensure_ascii=False).encode()).json() == value


def test_the_limits_leave_room_for_what_a_process_needs() -> None:
    """A pod has 384 MiB, of which a process that has just started uses about 160."""
    assert bodies.MOST_HELD <= 24 * MEGABYTE
    assert bodies.MOST_OF_ONE * 4 <= bodies.MOST_HELD
