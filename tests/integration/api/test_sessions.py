"""Login sessions as browsers and others use them: several cookies of one name, pages of other origins, wrong passwords of strangers."""

import asyncio
import threading
from collections.abc import Iterable
from datetime import timedelta

import httpx
import pytest
from argon2 import PasswordHasher, extract_parameters

from bapsang_api.auth import passwords

from .test_ratelimit import LOGIN, limited, log_in
from .world import API, PASSWORD, Backend, Person, World, assert_problem, eventually, open_world, refresh_cookie

pytestmark = pytest.mark.both_databases

OWN = "http://localhost:3000"  # an origin of BAPSANG_CORS_ORIGINS
JUNK = "o" * 43


async def post(world: World, path: str, headers: Iterable[tuple[str, str]]) -> httpx.Response:
    return await world.http.post(f"{API}/auth/{path}", headers=list(headers))


async def is_alive(person: Person) -> bool:
    return (await person.get("/users/me")).status_code == 200


async def test_of_several_refresh_cookies_the_good_one_counts(world: World, subtests: pytest.Subtests) -> None:
    """A browser sends all that were set for some path or domain, in an order of its own."""
    alice = await world.person()
    rotated = alice.refresh_token
    good = refresh_cookie(await world.refresh(rotated))
    world.clock.passed += timedelta(seconds=11)
    for values in ((JUNK, None), (None, JUNK), (rotated, None), (None, rotated), ("", None), (JUNK, rotated, None)):
        for in_one_line in (True, False):
            with subtests.test(values=values, in_one_line=in_one_line):
                pairs = [f"refreshToken={good if value is None else value}" for value in values]
                lines = ["a=b; " + "; ".join(pairs)] if in_one_line else pairs
                answer = await post(world, "refresh", [("Cookie", line) for line in lines])
                assert answer.status_code == 204
                good = refresh_cookie(answer)
                world.clock.passed += timedelta(seconds=11)
    assert await is_alive(alice)


async def test_a_rotated_cookie_without_its_successor_is_a_theft_as_before(world: World) -> None:
    alice = await world.person()
    await world.refresh(alice.refresh_token)
    world.clock.passed += timedelta(seconds=11)
    cookies = f"refreshToken={JUNK}; refreshToken={alice.refresh_token}"
    assert_problem(await post(world, "refresh", [("Cookie", cookies)]), 401, "E401-1")
    assert not await is_alive(alice)


async def test_a_log_out_ends_the_sessions_of_all_cookies(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    cookies = f"refreshToken={JUNK}; refreshToken={alice.refresh_token}; refreshToken={bob.refresh_token}"
    assert (await post(world, "logout", [("Cookie", cookies)])).status_code == 204
    assert (await is_alive(alice), await is_alive(bob)) == (False, False)


@pytest.mark.parametrize(
    "said",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Origin": f"{OWN}.evil.example"},
        {"Origin": "https://evil.example/?http://testserver"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_page_of_another_origin_does_nothing_by_cookie(file_world: World, said: dict[str, str]) -> None:
    alice = await file_world.person()
    headers = [("Cookie", f"refreshToken={alice.refresh_token}"), *said.items()]
    assert_problem(await post(file_world, "refresh", headers), 401, "E401-1")
    ended = await post(file_world, "logout", headers)
    assert (ended.status_code, "Set-Cookie" in ended.headers) == (204, False)  # which would end it as well
    assert await is_alive(alice)
    assert (await file_world.refresh(alice.refresh_token)).status_code == 204


@pytest.mark.parametrize(
    "said",
    [
        {"Origin": OWN, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
)
async def test_own_pages_and_programs_act_by_cookie(file_world: World, said: dict[str, str]) -> None:
    alice = await file_world.person()
    answer = await post(file_world, "refresh", [("Cookie", f"refreshToken={alice.refresh_token}"), *said.items()])
    assert answer.status_code == 204
    cookie = ("Cookie", f"refreshToken={refresh_cookie(answer)}")
    ended = await post(file_world, "logout", [cookie, *said.items()])
    assert refresh_cookie(ended) == ""
    assert not await is_alive(alice)


async def test_a_log_out_with_an_expired_token_ends_its_session(world: World) -> None:
    alice = await world.person()
    world.clock.passed += timedelta(minutes=31)
    assert (await world.log_out(token=alice.token)).status_code == 204
    assert_problem(await world.refresh(alice.refresh_token), 401, "E401-1")


async def test_wrong_passwords_of_others_keep_nobody_out(backend: Backend) -> None:
    async with open_world(limited(backend, "login_email=20/600")) as world:
        alice = await world.person()
        guesses = [await log_in(world, "203.0.113.1", email=alice.email, password="Wrong-2026!") for _ in range(21)]
        assert guesses == [401] * 20 + [429]
        assert await log_in(world, "203.0.113.1", email=alice.email) == 429
        assert await log_in(world, "203.0.113.2", email=alice.email) == 201


async def test_right_passwords_do_not_count(backend: Backend) -> None:
    async with open_world(limited(backend, "login_email=2/600,login_account=2/600")) as world:
        alice = await world.person()
        assert [await log_in(world, email=alice.email) for _ in range(5)] == [201] * 5
        wrong = [await log_in(world, email=alice.email, password="Wrong-2026!") for _ in range(3)]
        assert wrong == [401, 401, 429]


@pytest.mark.usefixtures("usual_passwords")
async def test_who_is_refused_for_want_of_room_has_not_guessed(servers: Backend) -> None:
    """Or an overload would keep people from their own accounts, who go on trying."""
    async with open_world(limited(servers, "login_email=40/600")) as world:
        statuses = list[int]()
        for _ in range(2):  # those on their way and those that were wrong are less than 40, all together are more
            tries = (log_in(world, email="nobody@example.com", password="Wrong-2026!") for _ in range(25))
            statuses += await asyncio.gather(*tries)
    assert set(statuses) == {401, 503}


async def test_nothing_is_read_of_whom_there_is_no_room_for(servers: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a flood would cost ten times as much: its bodies are as long as it likes."""
    go, usual = threading.Event(), passwords._matches
    monkeypatch.setattr(passwords, "_matches", lambda *given: go.wait() and usual(*given))
    async with open_world(servers) as world:
        logins = [asyncio.create_task(log_in(world, email=f"{n}@example.com")) for n in range(9)]
        junk = {"content": b"{", "headers": {"Content-Type": "application/json"}}

        async def refused() -> bool:
            return (await world.http.post(f"{API}/auth/tokens", **junk)).status_code == 503

        try:
            await eventually(refused)
            assert_problem(await world.http.post(f"{API}/auth/users", **junk), 503, "E503-1")
        finally:
            go.set()
        assert await asyncio.gather(*logins) == [401] * 9
        for path in ("tokens", "users"):
            assert_problem(await world.http.post(f"{API}/auth/{path}", **junk), 400, "E400-1")


async def test_guesses_at_the_same_time_are_all_counted(servers: Backend) -> None:
    async with open_world(limited(servers, "login_email=3/600")) as world:
        alice = await world.person()
        guesses = (log_in(world, email=alice.email, password=f"Wrong-2026!{n}") for n in range(6))
        assert sorted(await asyncio.gather(*guesses)) == [401] * 3 + [429] * 3


async def test_of_many_who_guess_together_only_known_devices_are_let_through(backend: Backend) -> None:
    async with open_world(limited(backend, "login_email=2/600,login_account=2/600")) as world:
        alice, bob = await world.person(), await world.person()
        devices = {}
        for person in (alice, bob):
            body = LOGIN | {"email": person.email}
            answer = await world.http.post(f"{API}/auth/tokens", json=body, headers={"Origin": OWN})
            (cookie,) = [one for one in answer.headers.get_list("Set-Cookie") if one.startswith("knownDevice=")]
            assert cookie.endswith("Path=/api/v1/auth; HttpOnly; Secure; SameSite=None")
            devices[person.user_id] = cookie.partition(";")[0]

        async def try_it(address: str, password: str = PASSWORD, device: str = "") -> int:
            headers = {"X-Forwarded-For": address, "Origin": OWN, **({"Cookie": device} if device else {})}
            body = {"email": alice.email, "password": password}
            return (await world.http.post(f"{API}/auth/tokens", json=body, headers=headers)).status_code

        assert [await try_it(f"203.0.113.{n}", "Wrong-2026!") for n in range(3)] == [401, 401, 429]
        assert await try_it("203.0.113.9") == 429
        assert await try_it("203.0.113.9", device=devices[bob.user_id]) == 429
        assert await try_it("203.0.113.9", device="knownDevice=junk") == 429
        assert await try_it("203.0.113.9", device=f"knownDevice={alice.token}") == 429
        mine = devices[alice.user_id]
        assert await try_it("203.0.113.9", device=mine) == 201
        assert [await try_it("203.0.113.9", "Wrong-2026!", mine) for _ in range(3)] == [401, 401, 429]
        assert_problem(await world.http.get(f"{API}/users/me", headers=_bearer(mine)), 401, "T003")


def _bearer(device: str) -> dict[str, str]:
    """A device's cookie taken for an access token."""
    return {"Authorization": f"Bearer {device.partition('=')[2]}"}


async def test_programs_and_known_devices_are_given_no_device_again(file_world: World) -> None:
    alice = await file_world.person()
    body = LOGIN | {"email": alice.email}
    for headers in ({}, {"Origin": "https://evil.example"}):
        answer = await file_world.http.post(f"{API}/auth/tokens", json=body, headers=headers)
        assert len(answer.headers.get_list("Set-Cookie")) == 1
    first = await file_world.http.post(f"{API}/auth/tokens", json=body, headers={"Origin": OWN})
    known = first.headers.get_list("Set-Cookie")[1].partition(";")[0]
    again = {"Origin": OWN, "Cookie": known}
    answer = await file_world.http.post(f"{API}/auth/tokens", json=body, headers=again)
    assert len(answer.headers.get_list("Set-Cookie")) == 1


async def test_a_login_renews_a_hash_that_was_made_with_other_parameters(world: World) -> None:
    alice = await world.person()

    async def stored() -> str:
        ((found,),) = await world.rows("SELECT password_hash FROM user_auth WHERE user_id = :u", u=alice.user_id)
        return str(found)

    today = extract_parameters(await stored())
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    await world.change("UPDATE user_auth SET password_hash = :h WHERE user_id = :u", h=weak, u=alice.user_id)
    await world.log_in(alice.email)
    renewed = await stored()
    assert extract_parameters(renewed) == today
    await world.log_in(alice.email)
    assert await stored() == renewed


@pytest.mark.parametrize(
    ("hops", "lines", "counted"),
    [
        (1, ["203.0.113.1, 203.0.113.2"], "203.0.113.2"),
        (2, ["203.0.113.1, 203.0.113.2"], "203.0.113.1"),
        (2, ["203.0.113.9, 203.0.113.1", "203.0.113.2"], "203.0.113.1"),  # a line of its own by the inner proxy
        (1, ["203.0.113.9", "203.0.113.2"], "203.0.113.2"),
        (3, ["203.0.113.1, 203.0.113.2"], "203.0.113.1"),
        (1, ["203.0.113.1, ,"], "203.0.113.1"),
    ],
)
async def test_limits_count_the_address_that_the_outermost_own_proxy_saw(
    files: Backend, hops: int, lines: list[str], counted: str
) -> None:
    async with open_world(limited(files, "ip=1/600", BAPSANG_TRUSTED_HOPS=str(hops))) as world:
        forwarded = [("X-Forwarded-For", line) for line in lines]
        assert (await world.http.get(f"{API}/posts", headers=forwarded)).status_code == 200
        padded = [*["203.0.113.7"] * (hops - 1)]
        same = {"X-Forwarded-For": ", ".join([counted, *padded])}
        other = {"X-Forwarded-For": ", ".join(["203.0.113.8", *padded])}
        assert (await world.http.get(f"{API}/posts", headers=other)).status_code == 200
        assert (await world.http.get(f"{API}/posts", headers=same)).status_code == 429


async def test_without_own_proxies_nobody_says_where_they_come_from(files: Backend) -> None:
    async with open_world(limited(files, "ip=1/600", BAPSANG_TRUSTED_HOPS="0")) as world:
        answers = [
            await world.http.get(f"{API}/posts", headers={"X-Forwarded-For": f"203.0.113.{n}"}) for n in range(2)
        ]
        assert [answer.status_code for answer in answers] == [200, 429]
