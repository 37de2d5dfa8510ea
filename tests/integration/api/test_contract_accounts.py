"""Accounts in the contract: what may be typed, the cookie, and what comes with it."""

from typing import Any

import httpx
import pytest

from .world import API, PASSWORD, Person, World, assert_problem, refresh_cookie

COOKIE = ["Path=/api/v1/auth", "HttpOnly", "Secure", "SameSite=None"]
LONGEST_EMAIL = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.com"
BAD_PASSWORDS = ("", "aaaaa1!", "a" * 19 + "1!", "aaaaaaa!", "1111111!", "aaaaaa11", "밥aaaaaa1!", "aaaaaa1!\t")
GOOD_PASSWORDS = ("aaaaaa1!", "a" * 18 + "1!", "aaaaaa1 ")


def field_refused(answer: httpx.Response) -> str:
    (error,) = assert_problem(answer, 400, "E400-1")["errors"]
    return str(error["field"])


def attributes(answer: httpx.Response) -> list[str]:
    (cookie,) = answer.headers.get_list("set-cookie")
    return str(cookie).split("; ")[1:]


async def sign_up(world: World, **changes: Any) -> httpx.Response:
    body = {"email": "a@example.com", "password": PASSWORD, "nickname": "a", "profileImageKey": None, **changes}
    return await world.http.post(f"{API}/auth/users", json=body)


async def test_nickname_is_one_to_ten_hangul_syllables_latin_letters_and_digits_everywhere(world: World) -> None:
    alice = await world.person()
    for number, (nickname, good) in enumerate(
        [
            *(("", False), ("가", True), ("a" * 10, True), ("힣" * 10, True), ("a" * 11, False), ("힣" * 11, False)),
            *(("Aa9", True), ("ㄱ", False), ("a b", False), ("é", False), ("a_b", False), ("밥🍚", False)),
        ]
    ):
        checked = await world.http.get(f"{API}/auth/nickname", params={"nickname": nickname})
        changed = await alice.send("PATCH", "/users/me", json={"nickname": nickname})
        if good:
            assert (checked.status_code, changed.status_code) == (200, 204), nickname
            await alice.send("PATCH", "/users/me", json={"nickname": "zz"})
            assert (await sign_up(world, nickname=nickname, email=f"n{number}@example.com")).status_code == 201
        else:
            refused = [checked, changed, await sign_up(world, nickname=nickname)]
            assert [field_refused(answer) for answer in refused] == ["nickname"] * 3, nickname


async def test_email_has_at_most_254_characters_and_is_one_account_whatever_its_case(world: World) -> None:
    assert len(LONGEST_EMAIL) == 254
    too_long = LONGEST_EMAIL.replace("d.com", "dd.com")
    for bad in (too_long, "", "nobody", "a@b"):
        checked = await world.http.get(f"{API}/auth/email", params={"email": bad})
        assert [field_refused(answer) for answer in (checked, await sign_up(world, email=bad))] == ["email", "email"]
    assert (await world.http.get(f"{API}/auth/email", params={"email": LONGEST_EMAIL})).status_code == 200
    assert (await sign_up(world, email=LONGEST_EMAIL)).status_code == 201
    assert_problem(await sign_up(world, email=LONGEST_EMAIL.upper(), nickname="b"), 409, "E409-1")
    login = {"email": LONGEST_EMAIL.upper(), "password": PASSWORD}
    assert (await world.http.post(f"{API}/auth/tokens", json=login)).status_code == 201


async def test_one_rule_for_passwords_at_signup_and_change(world: World) -> None:
    alice = await world.person()
    for bad in BAD_PASSWORDS:
        refused = [
            await sign_up(world, password=bad),
            await alice.send("PATCH", "/auth/password", json={"password": bad}),
        ]
        assert [field_refused(answer) for answer in refused] == ["password"] * 2, bad
    for number, shape in enumerate(GOOD_PASSWORDS):
        created = await sign_up(world, password=shape, email=f"p{number}@example.com", nickname=f"p{number}")
        assert created.status_code == 201, created.text
        login = {"email": f"p{number}@example.com", "password": shape}
        entered = await world.http.post(f"{API}/auth/tokens", json=login)
        assert entered.status_code == 201
        token = {"Authorization": entered.headers["Authorization"]}
        changed = await world.http.patch(f"{API}/auth/password", json={"password": shape[::-1]}, headers=token)
        assert changed.status_code == 200
        login["password"] = shape[::-1]
        assert (await world.http.post(f"{API}/auth/tokens", json=login)).status_code == 201


async def test_signup_needs_each_field_but_the_picture(world: World) -> None:
    for field in ("email", "password", "nickname"):
        assert field_refused(await sign_up(world, **{field: None})) == field
        whole = {"email": "a@example.com", "password": PASSWORD, "nickname": "a"}
        body = {name: value for name, value in whole.items() if name != field}
        assert field_refused(await world.http.post(f"{API}/auth/users", json=body)) == field
    assert (await world.http.post(f"{API}/auth/users", json=whole)).status_code == 201


async def test_cookie_is_only_for_the_auth_path_and_never_for_scripts(world: World) -> None:
    alice = await world.person()
    login = {"email": alice.email, "password": PASSWORD}
    entered = await world.http.post(f"{API}/auth/tokens", json=login)
    assert attributes(entered) == ["Max-Age=1209600", *COOKIE]
    renewed = await world.refresh(refresh_cookie(entered))
    assert renewed.headers["Authorization"].startswith("Bearer ey")
    assert attributes(renewed) == ["Max-Age=1209600", *COOKIE]
    gone = await world.log_out(cookie=refresh_cookie(renewed))
    assert (refresh_cookie(gone), attributes(gone)[0], attributes(gone)[-4:]) == ("", "Max-Age=0", COOKIE)
    withdrawn = await alice.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})
    assert (refresh_cookie(withdrawn), attributes(withdrawn)[0]) == ("", "Max-Age=0")


async def test_refresh_and_logout_take_any_body_and_any_cookie(world: World) -> None:
    alice = await world.person()
    token = alice.refresh_token
    for content, kind in (
        *((b"", ""), (b"null", "application/json"), (b"{}", "application/json"), (b"{", "application/json")),
        *((b"a=b", "application/x-www-form-urlencoded"), (b"\xff\x00", "application/octet-stream")),
    ):
        headers = {"Cookie": f"theme=dark; refreshToken={token}; x", "Content-Type": kind}
        answer = await world.http.post(f"{API}/auth/refresh", content=content, headers=headers)
        assert (answer.status_code, answer.content) == (204, b""), (content, answer.text)
        token = refresh_cookie(answer)
        answer = await world.http.post(f"{API}/auth/logout", content=content, headers={"Content-Type": kind})
        assert answer.status_code == 204
    for cookie in ("refreshToken=", 'refreshToken="x', "refreshToken=%00;;=", f"refreshToken={'x' * 5000}", "\xff=é"):
        answer = await world.http.post(f"{API}/auth/logout", headers={"Cookie": cookie.encode("latin-1")})
        assert answer.status_code == 204, cookie
    assert (await world.refresh(token)).status_code == 204


async def test_a_refresh_needs_no_access_token_and_minds_no_expired_one(world: World) -> None:
    alice = await world.person()
    for header in ("Bearer junk", "Basic YTpi", f"Bearer {alice.token}"):
        headers = {"Cookie": f"refreshToken={alice.refresh_token}", "Authorization": header}
        answer = await world.http.post(f"{API}/auth/refresh", headers=headers)
        assert answer.status_code == 204
        alice.refresh_token = refresh_cookie(answer)


async def test_several_devices_stay_logged_in_until_the_password_changes(world: World) -> None:
    alice = await world.person()
    devices = [await world.log_in(alice.email) for _ in range(3)]
    devices = [(token, refresh_cookie(await world.refresh(refresh))) for token, refresh in devices]
    for token, _ in devices:
        me = await world.http.get(f"{API}/users/me", headers={"Authorization": f"Bearer {token}"})
        assert me.json() == {
            "nickname": alice.nickname,
            "email": alice.email,
            "emailVerified": False,
            "presignedProfileImageUrl": None,
            "profileImage": None,
        }
    assert (await alice.send("PATCH", "/auth/password", json={"password": PASSWORD})).status_code == 200
    for token, refresh in devices:
        other = Person(world.http, alice.email, alice.nickname, alice.user_id, token, refresh)
        assert_problem(await other.get("/users/me"), 401, "T003")
        assert_problem(await world.refresh(refresh), 401, "E401-1")


async def test_what_belongs_to_a_user_needs_a_token(world: World, subtests: pytest.Subtests) -> None:
    for path in ("/users/me", "/auth/password", "/users/me/withdraw", "/user/me"):
        with subtests.test(path=path):
            for method in ("GET", "PATCH", "POST"):
                answer = await world.http.request(method, f"{API}{path}", json={"password": PASSWORD})
                if answer.status_code != 405:
                    assert_problem(answer, 401, "T001")
