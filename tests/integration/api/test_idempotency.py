"""`Idempotency-Key`: what is done once, who gets which answer, and what is never kept."""

import asyncio
from typing import Any

import httpx
import pytest

from .world import API, PASSWORD, Backend, Person, World, assert_problem, open_world

POST = {"title": "오늘의 밥상", "content": "된장찌개"}


async def publish(person: Person, key: str, body: dict[str, Any] | None = None) -> httpx.Response:
    headers = {**person.headers, "Idempotency-Key": key}
    return await person.http.post(f"{API}/posts", json=body or POST, headers=headers)


async def posts(world: World) -> int:
    return int((await world.rows("SELECT COUNT(*) FROM posts"))[0][0])


async def test_fifty_duplicates_at_once_make_one_post(world: World) -> None:
    alice = await world.person()
    answers = await asyncio.gather(*(publish(alice, "key-1") for _ in range(50)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["postId"] for answer in answers if answer.status_code == 201}) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "E409-1")
            assert answer.headers["Retry-After"] == "1"
    assert await posts(world) == 1


async def test_a_repeat_gets_the_first_answer_and_says_so(world: World) -> None:
    alice = await world.person()
    first, again = [await publish(alice, "key-1") for _ in range(2)]
    assert (again.status_code, again.content) == (201, first.content)
    for name in ("Content-Type", "Location"):
        assert again.headers[name] == first.headers[name]
    assert (await world.http.get(first.headers["Location"])).json()["postId"] == first.json()["postId"]
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert await posts(world) == 1


async def test_a_repeat_shows_the_post_as_it_is_now_and_its_id_alone_when_it_is_gone(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = (await publish(alice, "key-1")).json()["postId"]
    await alice.send("PATCH", f"/posts/{post_id}", json={"title": "어제의 밥상"})
    await bob.toggle(post_id)
    await alice.toggle(post_id)
    now = await publish(alice, "key-1")
    assert (now.status_code, now.json()["title"]) == (201, "어제의 밥상")
    assert now.json()["stats"] == {"likeCount": 2, "commentCount": 0, "viewCount": 0, "isLiked": True}
    seen = (await alice.get(f"/posts/{post_id}")).json()
    assert now.json() == {**seen, "stats": {**seen["stats"], "viewCount": 0}}
    await alice.send("DELETE", f"/posts/{post_id}")
    gone = await publish(alice, "key-1")
    assert (gone.status_code, gone.json()) == (201, {"postId": post_id})
    assert gone.headers["Location"] == now.headers["Location"]
    assert gone.headers["Idempotency-Replayed"] == "true"


async def test_a_repeat_shows_the_comment_as_it_is_now_and_its_id_alone_when_it_is_gone(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()

    async def comment() -> httpx.Response:
        headers = {**alice.headers, "Idempotency-Key": "key-1"}
        return await world.http.post(f"{API}/posts/{post_id}/comments", json={"content": "맛있겠다"}, headers=headers)

    first, again = [await comment() for _ in range(2)]
    assert (again.status_code, again.content) == (201, first.content)
    comment_id = first.json()["commentId"]
    await alice.write_comment(post_id, parent=comment_id)
    now = await comment()
    assert now.json() == (await world.http.get(f"{API}/posts/{post_id}/comments")).json()["items"][0]
    assert len(now.json()["replies"]) == 1
    await alice.send("DELETE", f"/posts/{post_id}/comments/{comment_id}")
    gone = await comment()
    assert (gone.status_code, gone.json()) == (201, {"commentId": comment_id})
    assert gone.headers["Idempotency-Replayed"] == "true"


async def test_a_repeated_toggle_does_not_turn_the_like_back(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    for _ in range(2):
        headers = {**alice.headers, "Idempotency-Key": "key-1"}
        answer = await world.http.post(f"{API}/posts/{post_id}/likes", headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert await world.shown_likes(post_id) == 1


async def test_a_key_counts_for_one_person_and_one_path(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    assert (await publish(alice, "key-1")).json()["postId"] != (await publish(bob, "key-1")).json()["postId"]
    post_id = await alice.write_post()
    headers = {**alice.headers, "Idempotency-Key": "key-1"}
    assert (await world.http.post(f"{API}/posts/{post_id}/likes", headers=headers)).status_code == 204


async def test_a_key_used_for_another_body_is_refused(world: World) -> None:
    alice = await world.person()
    await publish(alice, "key-1")
    refused = assert_problem(await publish(alice, "key-1", {**POST, "title": "다른 밥상"}), 400, "E400-1")
    assert [error["field"] for error in refused["errors"]] == ["Idempotency-Key"]


async def test_a_refusal_is_not_kept(world: World) -> None:
    alice = await world.person()
    assert_problem(await publish(alice, "key-1", {"title": ""}), 400, "E400-1")
    assert (await publish(alice, "key-1")).status_code == 201
    alice.token = "expired"
    assert_problem(await publish(alice, "key-1"), 401, "T003")


async def test_a_key_that_is_not_printable_ascii_or_too_long_is_refused(
    file_world: World, subtests: pytest.Subtests
) -> None:
    alice = await file_world.person()
    for key in ("", "x" * 256, "키".encode().decode("latin-1"), "tab\tinside"):
        with subtests.test(key=key):
            headers = {**alice.headers, "Idempotency-Key": key.encode("latin-1").decode("latin-1")}
            answer = await file_world.http.post(
                f"{API}/posts",
                json=POST,
                headers=[(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
            )
            body = assert_problem(answer, 400, "E400-1")
            assert [error["field"] for error in body["errors"]] == ["Idempotency-Key"]


async def test_a_repeated_sign_up_gives_the_same_account(world: World) -> None:
    body = {"email": "a@example.com", "password": PASSWORD, "nickname": "앨리스"}
    headers = {"Idempotency-Key": "key-1"}
    first, again = [await world.http.post(f"{API}/auth/users", json=body, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert_problem(await world.http.post(f"{API}/auth/users", json=body), 409, "E409-1")


async def test_tokens_and_passwords_never_reach_redis(world: World) -> None:
    alice = await world.person()
    headers = {"Idempotency-Key": "key-1"}
    login = {"email": alice.email, "password": PASSWORD}
    tokens = set()
    for _ in range(2):
        answer = await world.http.post(f"{API}/auth/tokens", json=login, headers=headers)
        tokens.add(answer.headers["Authorization"])
    assert len(tokens) == 2
    cookie = {"Cookie": f"refreshToken={alice.refresh_token}", **headers}
    refreshed = [await world.http.post(f"{API}/auth/refresh", headers=cookie) for _ in range(2)]
    assert [answer.status_code for answer in refreshed] == [204, 204]
    assert (await world.http.post(f"{API}/auth/logout", headers=cookie)).status_code == 204
    alice.token, _ = await world.log_in(alice.email)
    check = {**alice.headers, **headers}
    assert (
        await world.http.post(f"{API}/auth/password", json={"password": PASSWORD}, headers=check)
    ).status_code == 200
    assert await world.runtime.redis.keys("idempotency:*") == []


async def test_a_record_is_kept_for_an_hour_and_holds_nothing_of_the_text(world: World) -> None:
    alice = await world.person()
    post_id = (await publish(alice, "key-1", {**POST, "content": "밥" * 10_000})).json()["postId"]
    (name,) = await world.runtime.redis.keys("idempotency:*")
    assert 3_500 < await world.runtime.redis.ttl(name) <= 3_600
    record = str(await world.runtime.redis.get(name)).split(" ")
    assert record[1:] == ["201", f"postId:{post_id}", f"{API}/posts/{post_id}"]
    await world.runtime.redis.delete(name)
    await publish(alice, "key-1", {**POST, "content": "밥" * 10_000})
    assert await posts(world) == 2


async def test_without_redis_only_requests_that_ask_for_once_are_refused(files: Backend) -> None:
    environment = {**files.environment, "BAPSANG_REDIS_URL": "redis://127.0.0.1:1/0"}
    async with open_world(Backend("sqlite only", environment)) as world:
        alice = await world.person()
        assert_problem(await publish(alice, "key-1"), 503, "E503-1")
        assert await posts(world) == 0
        assert (await alice.send("POST", "/posts", json=POST)).status_code == 201
