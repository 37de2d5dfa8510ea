"""What users do to their own account: profile, password, devices, leaving."""

import asyncio
from datetime import timedelta

import pytest

from bapsang_api.auth.purge import purge_sessions
from bapsang_api.users.service import forget_withdrawn

from .world import API, PASSWORD, Backend, Person, World, assert_problem, eventually, open_world, refresh_cookie

NEW_PASSWORD = "Bapsang-2027?"


async def login_status(world: World, email: str, password: str) -> int:
    answer = await world.http.post(f"{API}/auth/tokens", json={"email": email, "password": password})
    return answer.status_code


async def leave(person: Person, path: str = "/users/me/withdraw", password: str = PASSWORD) -> int:
    return (await person.send("PATCH", path, json={"password": password})).status_code


async def test_what_a_profile_change_leaves_out_stays(world: World, subtests: pytest.Subtests) -> None:
    alice = await world.person()
    before = (await alice.get("/users/me")).json()
    for body in ({}, {"profileImageKey": None}, {"nickname": None}, {"profileImageKey": ""}):
        with subtests.test(body=body):
            answer = await alice.send("PATCH", "/users/me", json=body)
            assert (answer.status_code, answer.content) == (204, b"")
            assert (await alice.get("/users/me")).json() == before


async def test_picture_stays_on_null_and_goes_on_an_empty_key(world: World) -> None:
    alice = await world.person()
    await world.change("UPDATE users SET profile_image_key = 'k' WHERE id = :u", u=alice.user_id)
    await alice.send("PATCH", "/users/me", json={"profileImageKey": None})
    assert await world.rows("SELECT profile_image_key FROM users") == [("k",)]
    await alice.send("PATCH", "/users/me", json={"profileImageKey": ""})
    assert await world.rows("SELECT profile_image_key FROM users") == [(None,)]
    assert_problem(await alice.send("PATCH", "/users/me", json={"profileImageKey": "users/x/y"}), 400, "E400-1")


async def test_new_nickname_shows_everywhere_and_anothers_is_a_conflict(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    assert (await alice.send("PATCH", "/users/me", json={"nickname": "Alice"})).status_code == 204
    assert (await alice.send("PATCH", "/users/me", json={"nickname": "alice"})).status_code == 204
    assert (await world.http.get(f"{API}/posts/{post_id}")).json()["author"]["nickname"] == "alice"
    assert_problem(await bob.send("PATCH", "/users/me", json={"nickname": "ALICE"}), 409, "E409-1")
    assert_problem(await bob.send("PATCH", "/users/me", json={"nickname": "a b"}), 400, "E400-1")


async def test_password_check_answers_200_or_409_never_401(world: World) -> None:
    alice = await world.person()
    right = await alice.send("POST", "/auth/password", json={"password": PASSWORD})
    assert (right.status_code, right.text) == (200, "비밀번호가 일치합니다.")
    assert_problem(await alice.send("POST", "/auth/password", json={"password": "no"}), 409, "E409-1")
    assert_problem(await world.http.post(f"{API}/auth/password", json={"password": PASSWORD}), 401, "T001")


async def test_password_change_ends_every_session_and_the_old_password(world: World) -> None:
    alice = await world.person()
    other_token, other_refresh = await world.log_in(alice.email)
    assert_problem(await alice.send("PATCH", "/auth/password", json={"password": "weak"}), 400, "E400-1")
    changed = await alice.send("PATCH", "/auth/password", json={"password": NEW_PASSWORD})
    assert (changed.status_code, changed.text) == (200, "비밀번호가 변경되었습니다.")
    assert changed.headers["Set-Cookie"].startswith("refreshToken=; Max-Age=0;")
    for token in (alice.token, other_token):
        me = await world.http.get(f"{API}/users/me", headers={"Authorization": f"Bearer {token}"})
        assert_problem(me, 401, "T003")
    for refresh in (alice.refresh_token, other_refresh):
        assert_problem(await world.refresh(refresh), 401, "E401-1")
    assert await login_status(world, alice.email, PASSWORD) == 401
    assert await login_status(world, alice.email, NEW_PASSWORD) == 201


@pytest.mark.usefixtures("usual_passwords")
async def test_no_login_with_the_old_password_survives_a_change_at_the_same_moment(world: World) -> None:
    alice = await world.person()
    logins = [world.http.post(f"{API}/auth/tokens", json={"email": alice.email, "password": PASSWORD}) for _ in "12345"]
    changed, *answers = await asyncio.gather(
        alice.send("PATCH", "/auth/password", json={"password": NEW_PASSWORD}), *logins
    )
    assert changed.status_code == 200
    for answer in answers:
        if answer.status_code == 201:
            assert_problem(await world.refresh(refresh_cookie(answer)), 401, "E401-1")
        else:
            assert_problem(answer, 401, "E401-1")


@pytest.mark.parametrize("path", ["/users/me/withdraw", "/user/me"])
async def test_withdrawal_frees_email_and_nickname_and_leaves_the_posts(world: World, path: str) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    assert await leave(alice, path, "Wrong-2026!") == 409
    assert await leave(alice, path) == 204
    assert_problem(await alice.get("/users/me"), 401, "T003")
    assert_problem(await world.refresh(alice.refresh_token), 401, "E401-1")
    for answer in (
        (await world.http.get(f"{API}/posts/{post_id}")).json(),
        (await world.http.get(f"{API}/posts")).json()["items"][0],
    ):
        assert answer["author"]["nickname"] == "탈퇴한 사용자"
    kept = repr(await world.rows("SELECT * FROM users JOIN user_auth ON user_auth.user_id = users.id"))
    assert alice.email not in kept
    assert alice.nickname not in kept
    body = {"email": alice.email, "password": NEW_PASSWORD, "nickname": alice.nickname}
    assert (await world.http.post(f"{API}/auth/users", json=body)).status_code == 201
    assert await login_status(world, alice.email, NEW_PASSWORD) == 201


async def test_withdrawn_user_is_told_so_only_with_the_right_password_and_not_for_ever(world: World) -> None:
    alice = await world.person()
    await leave(alice)
    assert await login_status(world, alice.email.upper(), PASSWORD) == 403
    assert await login_status(world, alice.email, "Wrong-2026!") == 401
    world.clock.passed += timedelta(days=31)
    assert await forget_withdrawn(world.runtime.database, world.clock) == 1
    assert await forget_withdrawn(world.runtime.database, world.clock) == 0
    assert await login_status(world, alice.email, PASSWORD) == 401


async def test_devices_are_listed_and_ended_one_by_one(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    login = {"email": alice.email, "password": PASSWORD}
    phone = await world.http.post(f"{API}/auth/tokens", json=login, headers={"User-Agent": b"Phone/1\xff"})
    token = phone.headers["Authorization"]
    items = (await alice.get("/users/me/sessions")).json()["items"]
    assert items[0]["userAgent"] == "Phone/1?"
    assert [item["isCurrent"] for item in items] == [False, True]
    assert set(items[0]) == {"sessionId", "createdAt", "lastUsedAt", "userAgent", "isCurrent"}
    path = f"/users/me/sessions/{items[0]['sessionId']}"
    assert_problem(await bob.send("DELETE", path), 404, "E404-1")
    assert (await world.http.get(f"{API}/users/me", headers={"Authorization": token})).status_code == 200
    assert (await alice.send("DELETE", path)).status_code == 204
    assert_problem(await world.http.get(f"{API}/users/me", headers={"Authorization": token}), 401, "T003")
    assert len((await alice.get("/users/me/sessions")).json()["items"]) == 1
    assert_problem(await alice.send("DELETE", "/users/me/sessions/nope"), 404, "E404-1")


async def test_purge_deletes_what_nobody_can_refresh_and_nothing_else(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    world.clock.passed += timedelta(days=10)
    kept = refresh_cookie(await world.refresh(bob.refresh_token))
    world.clock.passed += timedelta(days=5)
    assert await purge_sessions(world.runtime.database, world.clock) == 1
    assert await world.rows("SELECT user_id FROM auth_sessions") == [(bob.user_id,)]
    assert (await world.refresh(kept)).status_code == 204
    assert_problem(await world.refresh(alice.refresh_token), 401, "E401-1")


async def test_a_hundred_parallel_refreshes_on_two_replicas_leave_one_live_successor(servers: Backend) -> None:
    async with open_world(servers, queue_seconds=60) as here, open_world(servers, queue_seconds=60) as there:
        alice = await here.person()
        refreshes = [world.refresh(alice.refresh_token) for world in (here, there) for _ in range(50)]
        answers = await asyncio.gather(*refreshes)
        assert {answer.status_code for answer in answers} == {204}
        assert len({refresh_cookie(answer) for answer in answers}) == 1
        assert await here.rows("SELECT COUNT(*) FROM refresh_tokens WHERE rotated_at IS NULL") == [(1,)]


async def test_password_change_reaches_another_replica(servers: Backend) -> None:
    async with open_world(servers) as here, open_world(servers) as there:
        alice = await here.person()
        assert (await there.http.get(f"{API}/users/me", headers=alice.headers)).status_code == 200
        await alice.send("PATCH", "/auth/password", json={"password": NEW_PASSWORD})

        async def refused() -> bool:
            return (await there.http.get(f"{API}/users/me", headers=alice.headers)).status_code == 401

        await eventually(refused)
