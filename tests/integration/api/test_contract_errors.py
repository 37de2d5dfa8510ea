"""The error table of the contract, row by row, and the one body that every error has."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from bapsang_api.http.gateway import BODY_LIMIT

from .world import API, PASSWORD, PROBLEMS, UNKNOWN, Backend, World, assert_problem, open_world

WRITTEN = {"title": "밥", "content": "국"}


def check(answer: httpx.Response, code: str, *fields: str) -> None:
    """Check that an answer is that row of the table and names those fields."""
    body = assert_problem(answer, PROBLEMS[code][0], code)
    assert [error["field"] for error in body["errors"]] == list(fields)
    assert all(set(error) == {"field", "message"} for error in body["errors"])
    assert body["detail"].startswith(f"{fields[0]}: {body['errors'][0]['message']}" if fields else "")


async def test_whatever_is_wrong_with_the_input_is_400_and_names_the_field(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    deepest = await alice.write_comment(post_id)
    for _ in range(3):
        deepest = await alice.write_comment(post_id, "답글", deepest)
    upload = {"fileName": "a.png", "contentType": "image/png", "fileSizeByte": 1, "category": "POST_IMAGE"}
    check(await alice.send("POST", "/posts", json={"title": "", "content": 1}), "E400-1", "title", "content")
    check(await alice.send("POST", "/posts", content=b"{"), "E400-1", "body")
    for path in ("/posts", "/users/me/posts", "/users/me/likes", f"/posts/{post_id}/comments"):
        check(await alice.get(path, params={"cursorCreatedAt": "?"}), "E400-1", "cursorCreatedAt")
    for parent in (UNKNOWN, deepest):
        body = {"content": "x", "parentId": parent}
        check(await alice.send("POST", f"/posts/{post_id}/comments", json=body), "E400-1", "parentId")
    for field, bad in (("contentType", "image/tiff"), ("fileSizeByte", 10 * 1024 * 1024 + 1)):
        check(await alice.send("POST", "/uploads/presign", json={**upload, field: bad}), "E400-1", field)


async def test_each_way_a_token_fails_has_its_own_code(world: World) -> None:
    alice = await world.person()
    me = f"{API}/users/me"
    check(await world.http.get(me), "T001")
    check(await world.http.get(me, headers={"Authorization": f"Basic {alice.token}"}), "T001")
    for bad in ("junk", alice.refresh_token, alice.token[:-4] + "AAAA", f"{alice.token}."):
        check(await world.http.get(me, headers={"Authorization": f"Bearer {bad}"}), "T003")
    world.clock.passed += timedelta(minutes=30)
    check(await alice.get("/users/me"), "T002")
    bob = await world.person()
    await world.log_out(token=bob.token)
    check(await bob.get("/users/me"), "T003")


async def test_a_refused_login_or_refresh_is_401(world: World) -> None:
    alice = await world.person()
    for email, password in ((alice.email, "Wrong-2026!"), ("nobody@example.com", PASSWORD)):
        login = {"email": email, "password": password}
        check(await world.http.post(f"{API}/auth/tokens", json=login), "E401-1")
    check(await world.http.post(f"{API}/auth/refresh"), "E401-1")
    check(await world.refresh("nonsense"), "E401-1")
    await world.refresh(alice.refresh_token)
    world.clock.passed += timedelta(seconds=11)
    check(await world.refresh(alice.refresh_token), "E401-1")


async def test_what_is_anothers_and_the_login_of_who_is_out_are_403(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    comment = f"/posts/{post_id}/comments/{await alice.write_comment(post_id)}"
    for method, path in (("PATCH", comment), ("DELETE", comment), ("PATCH", f"/posts/{post_id}")):
        check(await bob.send(method, path, json={"content": "x"}), "E403-1")
    check(await bob.send("DELETE", f"/posts/{post_id}"), "E403-1")
    await alice.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})
    await world.change("UPDATE users SET user_status = 'BLOCKED' WHERE id = :u", u=bob.user_id)
    for out in (alice, bob):
        login = {"email": out.email, "password": PASSWORD}
        check(await world.http.post(f"{API}/auth/tokens", json=login), "E403-1")


async def test_what_is_unknown_or_deleted_is_404(world: World) -> None:
    alice = await world.person()
    post_id, gone = await alice.write_post(), await alice.write_post()
    comment_id = await alice.write_comment(post_id)
    await alice.send("DELETE", f"/posts/{gone}")
    await alice.send("DELETE", f"/posts/{post_id}/comments/{comment_id}")
    for path in (f"/posts/{gone}", f"/posts/{UNKNOWN}", f"/posts/{gone}/comments", "/nope", "/posts/"):
        check(await alice.get(path), "E404-1")
    for comment in (comment_id, UNKNOWN):
        check(await alice.send("DELETE", f"/posts/{post_id}/comments/{comment}"), "E404-1")


async def test_what_is_taken_and_a_wrong_current_password_are_409(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    check(await world.http.get(f"{API}/auth/email", params={"email": alice.email}), "E409-1")
    check(await world.http.get(f"{API}/auth/nickname", params={"nickname": alice.nickname}), "E409-1")
    for taken in ({"email": alice.email, "nickname": "free"}, {"email": "f@example.com", "nickname": alice.nickname}):
        check(await world.http.post(f"{API}/auth/users", json={**taken, "password": PASSWORD}), "E409-1")
    check(await bob.send("PATCH", "/users/me", json={"nickname": alice.nickname}), "E409-1")
    for method, path in (("POST", "/auth/password"), ("PATCH", "/users/me/withdraw"), ("PATCH", "/user/me")):
        check(await bob.send(method, path, json={"password": "Wrong-2026!"}), "E409-1")


async def test_wrong_method_type_and_size_have_their_rows(world: World) -> None:
    alice = await world.person()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT // 65536 + 1):
            yield b" " * 65536

    check(await alice.send("PUT", "/posts", json={}), "E405-1")
    check(await world.http.post(f"{API}/posts", headers=alice.headers, data={"title": "밥"}), "E415-1")
    check(await alice.send("POST", "/posts", content=endless()), "E413-1")
    check(await alice.send("POST", "/posts", json={**WRITTEN, "pad": "x" * BODY_LIMIT}), "E413-1")


async def test_who_asks_too_often_is_told_when_to_come_back(backend: Backend) -> None:
    rates = {"BAPSANG_RATE_LIMITS": "ip=2/60"}
    async with open_world(Backend(backend.name, {**backend.environment, **rates})) as world:
        answers = [await world.http.get(f"{API}/posts") for _ in range(3)]
    check(answers[2], "E429-1")
    assert int(answers[2].headers["Retry-After"]) > 0
    for answer, remaining in zip(answers, ("1", "0", "0"), strict=True):
        assert (answer.headers["RateLimit-Limit"], answer.headers["RateLimit-Remaining"]) == ("2", remaining)
        assert int(answer.headers["RateLimit-Reset"]) > 0


async def test_a_bug_is_500_and_tells_nothing_but_the_request_id(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await world.person()
    await world.change("DROP TABLE comments")
    answer = await alice.send("POST", f"/posts/{UNKNOWN}/comments", json={"content": "x"})
    check(answer, "E404-1")  # nothing was asked of the table yet
    post_id = await alice.write_post()
    answer = await alice.send("POST", f"/posts/{post_id}/comments", json={"content": "x"})
    check(answer, "E500-1")
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None
    assert "Traceback" not in answer.text
    assert "SQL" not in answer.text.upper()
