"""Sign-up, login, refresh and logout, as the contract has them."""

import asyncio
import statistics
import time
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bapsang_api.auth import service
from bapsang_api.auth.service import GRACE
from bapsang_api.auth.store import REVOKED_STREAM

from .world import API, PASSWORD, Backend, World, assert_problem, eventually, open_world, refresh_cookie


def signup(**changes: object) -> dict[str, object]:
    return {"email": "alice@example.com", "password": PASSWORD, "nickname": "alice", "profileImageKey": None, **changes}


async def test_signup_gives_the_id_and_login_gives_token_and_cookie(world: World) -> None:
    created = await world.http.post(f"{API}/auth/users", json=signup())
    assert created.status_code == 201
    assert len(created.json()["userId"]) == 26
    login = await world.http.post(f"{API}/auth/tokens", json={"email": "Alice@Example.com", "password": PASSWORD})
    assert login.status_code == 201
    assert login.json() == {"nickname": "alice"}
    assert login.headers["Authorization"].startswith("Bearer ey")
    assert login.headers["Cache-Control"] == "no-store"
    attributes = login.headers["Set-Cookie"].split("; ")[1:]
    assert attributes == ["Max-Age=1209600", "Path=/api/v1/auth", "HttpOnly", "Secure", "SameSite=None"]
    me = await world.http.get(f"{API}/users/me", headers={"Authorization": login.headers["Authorization"]})
    assert me.json() == {
        "nickname": "alice",
        "email": "alice@example.com",
        "emailVerified": False,
        "presignedProfileImageUrl": None,
        "profileImage": None,
    }


async def test_taken_email_and_nickname_conflict_whatever_their_case(world: World) -> None:
    await world.http.post(f"{API}/auth/users", json=signup())
    free = await world.http.get(f"{API}/auth/email", params={"email": "bob@example.com"})
    assert (free.status_code, free.text) == (200, "사용 가능한 이메일입니다.")
    assert free.headers["content-type"] == "text/plain; charset=utf-8"
    free = await world.http.get(f"{API}/auth/nickname", params={"nickname": "밥상차림"})
    assert (free.status_code, free.text) == (200, "사용 가능한 닉네임입니다.")
    for path, params in (("email", {"email": "ALICE@example.com"}), ("nickname", {"nickname": "Alice"})):
        assert_problem(await world.http.get(f"{API}/auth/{path}", params=params), 409, "E409-1")
    for taken in (signup(nickname="bob"), signup(email="bob@example.com", nickname="ALICE")):
        assert_problem(await world.http.post(f"{API}/auth/users", json=taken), 409, "E409-1")


@pytest.mark.usefixtures("usual_passwords")
async def test_two_parallel_signups_with_one_nickname_give_one_account(world: World) -> None:
    bodies = [signup(email=f"a{n}@example.com", nickname="Same" if n else "same") for n in range(2)]
    answers = await asyncio.gather(*(world.http.post(f"{API}/auth/users", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert await world.rows("SELECT COUNT(*) FROM user_auth") == [(1,)]


async def test_bad_signup_names_the_field(world: World, subtests: pytest.Subtests) -> None:
    for changes, field in (
        ({"email": "not-an-email"}, "email"),
        ({"password": "short1!"}, "password"),
        ({"nickname": "has space"}, "nickname"),
        ({"nickname": None}, "nickname"),
        ({"profileImageKey": "users/x/profile/y.png"}, "profileImageKey"),
    ):
        with subtests.test(changes=changes, field=field):
            answer = await world.http.post(f"{API}/auth/users", json=signup(**changes))
            body = assert_problem(answer, 400, "E400-1")
            assert [error["field"] for error in body["errors"]] == [field]
            assert body["detail"] == f"{field}: {body['errors'][0]['message']}"


async def test_unknown_email_and_wrong_password_look_the_same(world: World) -> None:
    await world.http.post(f"{API}/auth/users", json=signup())
    bodies = []
    for email, password in (("alice@example.com", "Wrong-2026!"), ("nobody@example.com", PASSWORD), ("x", "y")):
        answer = await world.http.post(f"{API}/auth/tokens", json={"email": email, "password": password})
        bodies.append({**assert_problem(answer, 401, "E401-1"), "requestId": ""})
    assert bodies[0] == bodies[1] == bodies[2]


async def test_blocked_user_is_told_so_only_with_the_right_password(world: World) -> None:
    alice = await world.person()
    await world.change("UPDATE users SET user_status = 'BLOCKED' WHERE id = :u", u=alice.user_id)
    right = {"email": alice.email, "password": PASSWORD}
    assert_problem(await world.http.post(f"{API}/auth/tokens", json=right), 403, "E403-1")
    assert_problem(await world.http.post(f"{API}/auth/tokens", json=right | {"password": "no"}), 401, "E401-1")
    assert_problem(await world.refresh(alice.refresh_token), 401, "E401-1")


async def test_refresh_rotates_and_any_body_will_do(world: World) -> None:
    alice = await world.person()
    answer = await world.http.post(
        f"{API}/auth/refresh", content=b"null", headers={"Cookie": f"a=b; refreshToken={alice.refresh_token}"}
    )
    assert answer.status_code == 204
    successor = refresh_cookie(answer)
    assert successor != alice.refresh_token
    me = await world.http.get(f"{API}/users/me", headers={"Authorization": answer.headers["Authorization"]})
    assert me.status_code == 200
    assert (await world.refresh(successor)).status_code == 204


async def test_rotated_token_gives_the_same_successor_within_the_grace(world: World) -> None:
    world.clock.stop()
    alice = await world.person()
    first = refresh_cookie(await world.refresh(alice.refresh_token))
    world.clock.passed += timedelta(seconds=9)
    again = await world.refresh(alice.refresh_token)
    assert (again.status_code, refresh_cookie(again)) == (204, first)


async def test_tabs_that_refresh_one_after_the_other_all_get_the_newest_successor(world: World) -> None:
    world.clock.stop()
    alice = await world.person()
    second = refresh_cookie(await world.refresh(alice.refresh_token))
    third = refresh_cookie(await world.refresh(second))
    # A third tab sends what it had when it was opened; two more send what the others got, all at the same time.
    answers = await asyncio.gather(*(world.refresh(token) for token in (alice.refresh_token, second) * 5))
    assert {(answer.status_code, refresh_cookie(answer)) for answer in answers} == {(204, third)}
    answers = await asyncio.gather(*(world.refresh(token) for token in (alice.refresh_token, third, second) * 5))
    assert {answer.status_code for answer in answers} == {204}
    # Whoever came before the one that rotated it was given the third itself, everybody else what came of it.
    (fourth,) = {refresh_cookie(answer) for answer in answers} - {third}
    assert await world.rows("SELECT COUNT(*) FROM refresh_tokens WHERE rotated_at IS NULL") == [(1,)]
    world.clock.passed += timedelta(seconds=12)
    assert (await world.refresh(fourth)).status_code == 204
    assert (await alice.get("/users/me")).status_code == 200


async def test_a_chain_is_only_so_long_within_the_grace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for the newest takes a step a link, so a client that rotates for ever would make each refresh dearer."""
    monkeypatch.setattr(service, "MOST_ROTATIONS", 3)
    alice = await world.person()
    newest = alice.refresh_token
    for _ in range(3):
        newest = refresh_cookie(await world.refresh(newest))
    refused = await world.refresh(newest)
    assert_problem(refused, 429, "E429-1")
    assert refused.headers["Retry-After"] == "10"
    with world.statements() as asked:
        assert refresh_cookie(await world.refresh(alice.refresh_token)) == newest
    assert len([statement for statement in asked if statement.startswith("SELECT")]) <= 4, asked
    world.clock.passed += timedelta(seconds=11)
    assert (await world.refresh(newest)).status_code == 204


# Each step lets this many tenths of a second pass and then sends one of the tokens handed out so far.
_STEPS = st.lists(st.tuples(st.sampled_from([0, 1, 30, 60, 99, 100, 101]), st.integers(0, 5)), min_size=3, max_size=14)


@settings(max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=_STEPS)
async def test_whoever_refreshes_is_logged_out_only_by_a_link_that_is_out_of_its_grace(
    file_world: World, program: list[tuple[int, int]]
) -> None:
    """Tabs send any of the tokens they were given, at any time."""
    email = "tabs@example.com"
    file_world.clock.stop()
    if not await file_world.rows("SELECT 1 FROM user_auth"):
        await file_world.http.post(f"{API}/auth/users", json=signup(email=email))
    _, first = await file_world.log_in(email)
    # The model: the chain of the family's tokens, and when each but the last was rotated out.
    chain, rotated = [first], list[timedelta]()
    for tenths, back in program:
        file_world.clock.passed += timedelta(seconds=tenths / 10)
        sent = max(0, len(chain) - 1 - back)
        passed = file_world.clock.passed
        answer = await file_world.refresh(chain[sent])
        if any(passed - left > GRACE for left in rotated[sent:]):
            assert_problem(answer, 401, "E401-1")
            assert_problem(await file_world.refresh(chain[-1]), 401, "E401-1")
            return
        assert answer.status_code == 204
        if sent == len(chain) - 1:
            rotated.append(passed)
            chain.append(refresh_cookie(answer))
            assert len(set(chain)) == len(chain)
        assert refresh_cookie(answer) == chain[-1]


async def test_a_token_exchanged_in_its_last_second_can_be_sent_again(world: World) -> None:
    world.clock.stop()
    alice = await world.person()
    world.clock.passed += timedelta(days=14) - timedelta(seconds=2)
    second = refresh_cookie(await world.refresh(alice.refresh_token))
    world.clock.passed += timedelta(seconds=4)
    third = refresh_cookie(await world.refresh(second))
    assert refresh_cookie(await world.refresh(alice.refresh_token)) == third


async def test_reuse_after_the_grace_revokes_the_family_and_only_it(world: World) -> None:
    alice = await world.person()
    other_token, other_refresh = await world.log_in(alice.email)
    rotated = await world.refresh(alice.refresh_token)
    world.clock.passed += timedelta(seconds=11)
    assert_problem(await world.refresh(alice.refresh_token), 401, "E401-1")
    assert_problem(await world.refresh(refresh_cookie(rotated)), 401, "E401-1")
    assert_problem(await alice.get("/users/me"), 401, "T003")
    me = await world.http.get(f"{API}/users/me", headers={"Authorization": f"Bearer {other_token}"})
    assert me.status_code == 200
    assert (await world.refresh(other_refresh)).status_code == 204


async def test_refresh_token_dies_after_fourteen_days_and_is_stored_only_as_a_hash(world: World) -> None:
    alice = await world.person()
    successor = refresh_cookie(await world.refresh(alice.refresh_token))
    stored = repr(await world.rows("SELECT token_hash, sealed_successor FROM refresh_tokens"))
    assert alice.refresh_token not in stored
    assert successor not in stored
    world.clock.passed += timedelta(days=14)
    assert_problem(await world.refresh(successor), 401, "E401-1")


async def test_refresh_without_a_good_token_is_refused(world: World, subtests: pytest.Subtests) -> None:
    for token in (None, "", "nonsense", "a" * 5000):
        with subtests.test(token=token):
            cookies = {"Cookie": f"refreshToken={token}"} if token is not None else {}
            assert_problem(await world.http.post(f"{API}/auth/refresh", headers=cookies), 401, "E401-1")


async def test_logout_revokes_the_session_and_expires_the_cookie(world: World) -> None:
    alice = await world.person()
    answer = await world.log_out(cookie=alice.refresh_token)
    assert answer.status_code == 204
    assert answer.headers["Set-Cookie"].startswith("refreshToken=; Max-Age=0; Path=/api/v1/auth;")
    assert_problem(await alice.get("/users/me"), 401, "T003")
    assert_problem(await world.refresh(alice.refresh_token), 401, "E401-1")


async def test_logout_with_only_the_access_token_ends_its_session(world: World) -> None:
    alice = await world.person()
    assert (await world.log_out(token=alice.token)).status_code == 204
    assert_problem(await alice.get("/users/me"), 401, "T003")
    assert_problem(await world.refresh(alice.refresh_token), 401, "E401-1")


async def test_logout_always_succeeds(world: World, subtests: pytest.Subtests) -> None:
    for junk in ({}, {"cookie": "junk"}, {"token": "junk"}, {"cookie": "", "token": "a.b.c"}):
        with subtests.test(junk=junk):
            assert (await world.log_out(**junk)).status_code == 204


async def test_expired_token_is_t002_and_missing_or_other_schemes_t001(world: World) -> None:
    alice = await world.person()
    me = f"{API}/users/me"
    assert_problem(await world.http.get(me), 401, "T001")
    for header in ("Basic YTpi", "Bearer", "Bearer ", alice.token):
        assert_problem(await world.http.get(me, headers={"Authorization": header}), 401, "T001")
    assert_problem(await world.http.get(me, headers={"Authorization": "Bearer junk"}), 401, "T003")
    world.clock.passed += timedelta(minutes=30)
    assert_problem(await alice.get("/users/me"), 401, "T002")
    assert (await world.refresh(alice.refresh_token)).status_code == 204


async def test_bad_token_is_refused_even_where_none_is_needed_but_never_at_login(world: World) -> None:
    alice = await world.person()
    bad = {"Authorization": "Bearer junk"}
    assert_problem(await world.http.get(f"{API}/posts", headers=bad), 401, "T003")
    login = {"email": alice.email, "password": PASSWORD}
    assert (await world.http.post(f"{API}/auth/tokens", json=login, headers=bad)).status_code == 201
    refreshed = await world.http.post(
        f"{API}/auth/refresh", headers={**bad, "Cookie": f"refreshToken={alice.refresh_token}"}
    )
    assert refreshed.status_code == 204


async def test_revocation_reaches_another_replica_within_a_second(servers: Backend) -> None:
    seconds = []
    async with open_world(servers) as here, open_world(servers) as there:
        for _ in range(5):
            alice = await here.person()
            look = partial(there.http.get, f"{API}/users/me", headers=alice.headers)
            assert (await look()).status_code == 200
            await here.log_out(cookie=alice.refresh_token)
            started = time.monotonic()
            async with asyncio.timeout(20):
                while (await look()).status_code == 200:  # noqa: ASYNC110 - the other process is looked at
                    await asyncio.sleep(0.005)
            seconds.append(time.monotonic() - started)
    # The contract's promise. A machine that stands still for a moment spoils one of them.
    assert statistics.median(seconds) < 1.0, seconds


async def test_a_replica_started_later_knows_earlier_revocations(servers: Backend) -> None:
    async with open_world(servers) as here:
        alice = await here.person()
        await here.log_out(cookie=alice.refresh_token)
        assert await here.runtime.redis.xlen(REVOKED_STREAM) == 1
    async with open_world(servers) as later:

        async def refused() -> bool:
            return (await later.http.get(f"{API}/users/me", headers=alice.headers)).status_code == 401

        await eventually(refused)
