"""What clients may write at most, and that nothing of what is refused stays in a process's memory."""

import gc
import itertools
import json
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from . import hostile
from .process import BARE
from .world import API, PASSWORD, UNKNOWN, Backend, World, assert_problem

MOST_GROWTH = 10 * 1024 * 1024  # bytes


@pytest.mark.nightly("api")
def test_ten_thousand_hostile_requests_leave_next_to_nothing_in_memory(files: Backend, empty_redis: str) -> None:
    limits = "ip=1000000/60,search=1000000/60,write=off,signup=off"
    environment = {
        **BARE,
        **files.environment,
        "BAPSANG_REDIS_URL": empty_redis,  # the stand-in would keep its keys in the memory that is counted
        "BAPSANG_RATE_LIMITS": limits,
        "BAPSANG_LOG_LEVEL": "error",
    }
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", hostile.__name__]
    ended = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = json.loads(ended.stdout)
    statuses = found["statuses"]
    assert sum(sum(counts.values()) for counts in statuses.values()) == 10_000
    assert "500" not in {status for counts in statuses.values() for status in counts}, statuses
    assert found["after"] - found["before"] < MOST_GROWTH


async def test_a_refused_body_is_freed_at_once_not_by_the_garbage_collector(file_world: World) -> None:
    headers = {"Content-Type": "application/json"}
    gc.collect()
    gc.disable()
    try:
        for body in (b'{"email": 1}', b'{"email"', b"[" * 100_000, b'{"email":' + b"9" * 5_000 + b"}"):
            answer = await file_world.http.post(f"{API}/auth/tokens", content=body, headers=headers)
            assert_problem(answer, 400, "E400-1")
        errors = (RequestValidationError, HTTPException, json.JSONDecodeError, RecursionError)
        assert [found for found in gc.get_objects() if isinstance(found, errors)] == []
    finally:
        gc.enable()


@dataclass(frozen=True)
class Field:
    """A text field of a request: where it is sent, and how long it may be (`most`: even before it is normalised)."""

    method: str
    path: str
    body: dict[str, Any]
    name: str
    most: int

    def holding(self, value: str) -> dict[str, Any]:
        """Return the body with this text in the field, which may lie within a list: `images.0.alt`."""
        body: Any = json.loads(json.dumps(self.body))
        *way, last = (int(part) if part.isdigit() else part for part in self.name.split("."))
        place = body
        for part in way:
            place = place[part]
        place[last] = value
        return dict(body)


SIGN_UP = {"email": "bob@example.com", "password": PASSWORD, "nickname": "bob", "profileImageKey": None}
POST = {"title": "밥", "content": "국", "images": [{"key": "x", "alt": "y"}], "tags": ["a"]}
UPLOAD = {"fileName": "a.png", "contentType": "image/png", "fileSizeByte": 1, "category": "OTHER"}
# `{post}` and `{report}` are another's, so that nothing else is wrong with the request.
FIELDS = (
    *(
        Field("POST", "/auth/tokens", {"email": "a", "password": "b"}, *rule)
        for rule in (("email", 1016), ("password", 80))
    ),
    *(
        Field("POST", "/auth/users", SIGN_UP, *rule)
        for rule in (("email", 254), ("password", 20), ("nickname", 40), ("profileImageKey", 255))
    ),
    Field("POST", "/auth/password", {}, "password", 80),
    Field("PATCH", "/auth/password", {}, "password", 20),
    Field("PATCH", "/users/me/withdraw", {}, "password", 80),
    *(Field("PATCH", "/users/me", {}, *rule) for rule in (("nickname", 40), ("profileImageKey", 255))),
    *(
        Field("POST", "/posts", POST, *rule)
        for rule in (("title", 1020), ("content", 40_000), ("images.0.alt", 800), ("images.0.key", 255), ("tags.0", 80))
    ),
    *(Field("PATCH", "/posts/{own}", {}, *rule) for rule in (("title", 1020), ("postImageKey", 255))),
    *(
        Field("POST", "/posts/{post}/comments", {"content": "국"}, *rule)
        for rule in (("content", 4_000), ("parentId", 26))
    ),
    Field("POST", "/posts/{post}/reports", {"reason": "OTHER"}, "detail", 2_000),
    Field("POST", "/uploads/presign", UPLOAD, "fileName", 1_020),
)
# What is only blank looks like nothing in each of these.
TEXTS = [field for field in FIELDS if field.name in ("title", "content", "images.0.alt", "detail", "fileName")]


async def test_text_that_is_too_long_is_refused_by_field_and_leaves_nothing_behind(file_world: World) -> None:
    alice, bob = await file_world.person(), await file_world.person()
    places = {"own": await alice.write_post(), "post": await bob.write_post()}
    counts = (
        "SELECT (SELECT COUNT(*) FROM posts), (SELECT COUNT(*) FROM comments), (SELECT COUNT(*) FROM reports),"
        " (SELECT COUNT(*) FROM user_auth), (SELECT COUNT(*) FROM images)"
    )
    rows = await file_world.rows(counts)
    for field in FIELDS:
        path = field.path.format(**places)
        for value in ("a" * (field.most + 1), "a" + "\u0300" * 6_000 + "\u0316" * 6_000):
            answer = await alice.send(field.method, path, json=field.holding(value))
            body = assert_problem(answer, 400, "E400-1")
            assert [error["field"] for error in body["errors"]] == [field.name], field
    assert await file_world.rows(counts) == rows
    assert await file_world.log_in(alice.email)  # as it was


async def test_a_text_may_be_as_long_decomposed_as_composed(world: World) -> None:
    alice = await world.person()
    for title, content in (("각" * 255, "각" * 10_000), ("é" + "e" + "\u0301" * 30, "의\u0301" * 5_000)):
        given = [unicodedata.normalize("NFD", text) for text in (title, content)]
        detail = (await alice.get(f"/posts/{await alice.write_post(*given)}")).json()
        wanted = [unicodedata.normalize("NFC", text) for text in (title, content)]
        assert [detail["title"], detail["contentDetail"]["content"]] == wanted
    answer = await alice.send("POST", "/posts", json={"title": "각" * 256, "content": "e" + "\u0301" * 31})
    errors = {error["field"]: error["message"] for error in assert_problem(answer, 400, "E400-1")["errors"]}
    assert errors.keys() == {"title", "content"}
    assert "30개" in errors["content"]


async def test_text_that_nobody_can_see_is_refused_as_blank(file_world: World) -> None:
    alice, bob = await file_world.person(), await file_world.person()
    places = {"own": await alice.write_post(), "post": await bob.write_post()}
    for field, value in itertools.product(TEXTS, ("\u3164", "\u200b\u200b", "\u00ad", " \u2800\ufe0f\u0301", "\u115f")):
        answer = await alice.send(field.method, field.path.format(**places), json=field.holding(value))
        body = assert_problem(answer, 400, "E400-1")
        assert [error["field"] for error in body["errors"]] == [field.name], (field, value)
        if field.method == "POST" and field.path == "/posts" and "." not in field.name:
            shown = await alice.write_post(**{"title": "밥", "content": "국", field.name: f"{value}👩‍👧\u00ad"})
            detail = (await alice.get(f"/posts/{shown}")).json()
            assert f"{value}👩‍👧\u00ad" in (detail["title"], detail["contentDetail"]["content"])


async def test_numbers_are_plain_digits_in_every_list(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    comments = f"/posts/{post_id}/comments"
    top = await alice.write_comment(post_id)
    lists = ["/posts", "/posts?tag=a", "/search/posts?q=밥상", comments, f"{comments}/{top}/replies", "/tags"]
    for path, size in itertools.product(
        (*lists, "/users/me/posts", "/users/me/likes"), ("9" * 4_301, "9" * 19, "0" * 4_301)
    ):
        answer = await alice.get(path + ("&" if "?" in path else "?") + f"size={size}")
        assert [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]] == ["size"], path
    for path, size in itertools.product(("/posts", comments), ("+5", "1_0", "5.0", "05", " 5", "５", "-1", "0", "101")):
        answer = await alice.get(path, params={"size": size})
        assert [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]] == ["size"], size
        assert (await alice.get(path, params={"size": "100"})).status_code == 200


async def test_a_number_of_thousands_of_digits_is_400_wherever_it_stands(file_world: World) -> None:
    """Python's int() raises an error of its own from 4,301 digits on."""
    alice = await file_world.person()
    comments = f"/posts/{await alice.write_post()}/comments"
    for digits in ("9" * 4_301, "9" * 9_000, "0" * 4_301):
        for path in ("/posts", comments, "/tags", "/users/me/posts"):
            assert_problem(await alice.get(f"{path}?size={digits}"), 400, "E400-1")
            if path != "/tags":
                cursor = f"2026-11-23T10:10:12.{digits}"
                assert_problem(await alice.get(f"{path}?cursorCreatedAt={cursor}"), 400, "E400-1")
        for body in (f'{{"fileSizeByte": {digits}}}', f'{{"title": "a", "content": "b", "x": 1{digits}}}'):
            for path in ("/uploads/presign", "/posts"):
                assert_problem(await alice.send("POST", path, content=body.encode()), 400, "E400-1")


async def test_a_content_length_that_is_no_number_is_400(file_world: World) -> None:
    requests = (("GET", "/posts"), ("POST", "/auth/tokens"), ("PUT", f"/posts/{UNKNOWN}/likes"))
    wrong = ("9" * 5_000, "0" * 5_000, "0" * 5_000 + "2", "02", "00", "-1", "+2", "2 2", "x", "")
    for length, (method, path) in itertools.product(wrong, requests):
        headers = {"Content-Length": length, "Content-Type": "application/json"}
        answer = await file_world.http.request(method, f"{API}{path}", content=b"{}", headers=headers)
        assert [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]] == ["Content-Length"]
    assert (await file_world.http.get(f"{API}/posts", headers={"Content-Length": "0"})).status_code == 200


async def test_a_long_header_is_ignored_and_one_beyond_all_reason_refused(file_world: World) -> None:
    for name in ("x-forwarded-for", "if-none-match", "user-agent", "x-request-id", "cookie", "origin"):
        assert (await file_world.http.get(f"{API}/posts", headers={name: "a" * 20_000})).status_code == 200
        refused = await file_world.http.get(f"{API}/posts", headers={name: "a" * 40_000})
        assert [error["field"] for error in assert_problem(refused, 400, "E400-1")["errors"]] == ["headers"]


async def test_long_tokens_cookies_and_addresses_are_refused_in_their_own_way(file_world: World) -> None:
    alice = await file_world.person()
    bearer = {"Authorization": f"Bearer {alice.token}{'a' * 4_096}"}
    assert_problem(await file_world.http.get(f"{API}/users/me", headers=bearer), 401, "T003")
    assert_problem(await file_world.refresh("a" * 20_000), 401, "E401-1")
    assert (await file_world.log_out(cookie="a" * 20_000)).status_code == 204
    key = {**alice.headers, "Idempotency-Key": "a" * 256}
    answer = await file_world.http.post(f"{API}/posts", json={"title": "밥", "content": "국"}, headers=key)
    assert_problem(answer, 400, "E400-1")
    answer = await file_world.http.get(f"{API}/posts?x={'a' * 9_000}")
    assert [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]] == ["url"]
