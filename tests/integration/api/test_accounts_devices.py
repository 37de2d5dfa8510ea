"""Who logs in from a device that is new to the account is told of by letter; whoever comes back is not."""

from datetime import timedelta

import httpx
import pytest

from bapsang_api.auth.notices import MOST_A_DAY, REMEMBERED, network_of
from bapsang_api.mail.letters import Letter

from .outbox import letters
from .test_account import NEW_PASSWORD
from .world import API, PASSWORD, World

pytestmark = pytest.mark.usefixtures("mail_on")

HOME, SAME_NETWORK, ELSEWHERE = "203.0.113.7", "203.0.113.99", "198.51.100.1"
PHONE, LAPTOP = "Bapsang/1 (Android)", "Mozilla/5.0 (X11)"
EMAIL = "alice@example.com"
BROWSER = {"Origin": "http://localhost:3000"}


async def sign_up(world: World) -> None:
    body = {"email": EMAIL, "password": PASSWORD, "nickname": "앨리스"}
    assert (await world.http.post(f"{API}/auth/users", json=body)).status_code == 201


async def log_in(world: World, agent: str = PHONE, address: str = HOME, **headers: str) -> httpx.Response:
    answer = await world.http.post(
        f"{API}/auth/tokens",
        json={"email": EMAIL, "password": PASSWORD},
        headers={"User-Agent": agent, "X-Forwarded-For": address, **headers},
    )
    assert answer.status_code == 201, answer.text
    return answer


async def told(world: World) -> list[str]:
    """Return the devices that letters have told of."""
    return [letter.values["device"] for letter in await letters(world, Letter.NEW_DEVICE)]


@pytest.mark.both_databases
async def test_a_new_device_is_told_of_and_one_that_comes_back_is_not(world: World) -> None:
    await sign_up(world)
    for _ in range(2):
        await log_in(world)
    assert await told(world) == []  # the first login of an account, and the same again
    await log_in(world, LAPTOP)
    assert await told(world) == [f"{HOME} · {LAPTOP}"]
    (letter,) = await letters(world, Letter.NEW_DEVICE)
    assert (letter.address, letter.values["nickname"]) == (EMAIL, "앨리스")
    for agent, address in ((LAPTOP, HOME), (PHONE, HOME), (PHONE, SAME_NETWORK), (LAPTOP, SAME_NETWORK)):
        await log_in(world, agent, address)
    assert len(await told(world)) == 1
    await log_in(world, PHONE, ELSEWHERE)
    assert await told(world) == [f"{HOME} · {LAPTOP}", f"{ELSEWHERE} · {PHONE}"]


async def test_a_browser_with_the_cookie_of_known_devices_is_known_anywhere(world: World) -> None:
    await sign_up(world)
    first = await log_in(world, LAPTOP, **BROWSER)
    cookie = next(line for line in first.headers.get_list("Set-Cookie") if line.startswith("knownDevice="))
    await log_in(world, "Mozilla/6.0", ELSEWHERE, Cookie=cookie.partition(";")[0], **BROWSER)
    assert await told(world) == []
    await log_in(world, "Mozilla/6.0", "192.0.2.1", Cookie="knownDevice=x", **BROWSER)
    assert len(await told(world)) == 1


async def test_what_was_long_ago_is_new_again(world: World) -> None:
    await sign_up(world)
    await log_in(world)
    world.clock.passed += REMEMBERED + timedelta(days=1)
    await log_in(world)
    assert len(await told(world)) == 1


async def test_an_old_account_of_which_no_login_is_known_any_more_is_told(world: World) -> None:
    await sign_up(world)
    world.clock.passed += timedelta(days=100)
    await log_in(world)
    assert len(await told(world)) == 1


async def test_a_wrong_password_tells_nobody(world: World) -> None:
    await sign_up(world)
    await log_in(world)
    wrong = {"email": EMAIL, "password": "Wrong-2026!"}
    await world.http.post(f"{API}/auth/tokens", json=wrong, headers={"User-Agent": LAPTOP})
    assert await told(world) == []


async def test_whoever_signs_up_with_anothers_address_cannot_flood_it_with_notices(world: World) -> None:
    await sign_up(world)
    await log_in(world)
    for number in range(MOST_A_DAY + 3):
        await log_in(world, f"agent {number}")
    assert len(await letters(world)) == MOST_A_DAY
    token = (await log_in(world)).headers["Authorization"]
    changed = await world.http.patch(
        f"{API}/auth/password", json={"password": NEW_PASSWORD}, headers={"Authorization": token}
    )
    assert changed.status_code == 200
    assert await letters(world, Letter.PASSWORD_CHANGED) == []


def test_a_network_is_what_a_phone_or_a_home_stays_in() -> None:
    assert network_of("203.0.113.7") == network_of("203.0.113.255") == network_of("::ffff:203.0.113.1")
    assert network_of("203.0.113.7") != network_of("203.0.114.7")
    assert network_of("2001:db8:1:2::3") == network_of("2001:db8:1:ff::")
    assert network_of("2001:db8:1::") != network_of("2001:db8:2::")
    assert network_of("no address") == "no address"
