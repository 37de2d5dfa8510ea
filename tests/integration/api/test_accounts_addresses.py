"""Whether an address is its owner's, another address, and what the old one is told."""

from datetime import timedelta

import httpx
import pytest

from bapsang_api.auth.links.issue import KEPT
from bapsang_api.mail.letters import Letter
from bapsang_api.mail.store import hash_of
from bapsang_api.privacy.retention import purge
from bapsang_api.users.models import Extent

from .outbox import ask_reset, last, letters, reset_token
from .test_account import NEW_PASSWORD, login_status
from .test_erasure import erasure
from .test_ratelimit import limited
from .world import API, PASSWORD, Backend, Person, World, assert_problem, open_world

pytestmark = pytest.mark.usefixtures("mail_on")

OTHER = "other@example.com"


async def verify(world: World, token: str) -> httpx.Response:
    return await world.http.post(f"{API}/auth/email-verifications", json={"token": token})


async def is_verified(person: Person) -> bool:
    verified: bool = (await person.get("/users/me")).json()["emailVerified"]
    return verified


async def ask_change(person: Person, email: str = OTHER, password: str = PASSWORD) -> httpx.Response:
    return await person.send("PATCH", "/users/me/email", json={"email": email, "password": password})


async def change(world: World, token: str) -> httpx.Response:
    return await world.http.post(f"{API}/auth/email-changes", json={"token": token})


async def change_token(world: World, person: Person, email: str = OTHER) -> str:
    answer = await ask_change(person, email)
    assert (answer.status_code, answer.content) == (202, b"")
    letter = await last(world, Letter.CHANGE_ADDRESS)
    assert (letter.address, letter.user_id) == (email, person.user_id)
    return letter.token


@pytest.mark.both_databases
async def test_a_sign_up_sends_the_link_that_verifies_its_address(world: World) -> None:
    alice = await world.person()
    (letter,) = await letters(world)
    assert (letter.letter, letter.address, letter.user_id) == (Letter.VERIFY, alice.email, alice.user_id)
    assert letter.values == {
        "nickname": alice.nickname,
        "link": f"http://localhost:8000/verify-email#token={letter.token}",
    }
    assert not await is_verified(alice)
    answer = await verify(world, letter.token)
    assert (answer.status_code, answer.content) == (204, b"")
    assert await is_verified(alice)
    assert_problem(await verify(world, letter.token), 400, "E400-1")


async def test_whoever_proves_that_they_read_an_address_is_written_to_again(world: World) -> None:
    """A full mailbox has bounced a letter, and the marks of such addresses stay for a month."""
    alice = await world.person()
    token = (await last(world, Letter.VERIFY)).token
    marking = "INSERT INTO mail_undeliverable (address_hash, reason, marked_at) VALUES (:h, 'BOUNCED', :at)"
    await world.change(marking, h=hash_of(alice.email), at=world.clock.now().replace(tzinfo=None))
    await ask_reset(world, alice.email)
    assert await letters(world, Letter.RESET) == []
    assert (await verify(world, token)).status_code == 204
    await ask_reset(world, alice.email)
    assert len(await letters(world, Letter.RESET)) == 1


async def test_a_refused_sign_up_sends_nothing(world: World) -> None:
    alice = await world.person()
    body = {"email": alice.email, "password": PASSWORD, "nickname": "다른사람"}
    assert_problem(await world.http.post(f"{API}/auth/users", json=body), 409, "E409-1")
    assert len(await letters(world)) == 1


async def test_the_link_can_be_sent_again_and_the_first_one_is_over(world: World) -> None:
    alice = await world.person()
    first = (await last(world, Letter.VERIFY)).token
    answer = await alice.send("POST", "/users/me/email-verification")
    assert (answer.status_code, answer.content) == (202, b"")
    assert_problem(await verify(world, first), 400, "E400-1")
    assert (await verify(world, (await last(world, Letter.VERIFY)).token)).status_code == 204


async def test_a_link_verifies_only_the_address_that_it_was_sent_to(world: World) -> None:
    alice = await world.person()
    token = (await last(world, Letter.VERIFY)).token
    await world.change("UPDATE user_auth SET email = 'x@example.com' WHERE user_id = :u", u=alice.user_id)
    assert_problem(await verify(world, token), 400, "E400-1")
    assert (await world.rows("SELECT email_verified_at FROM user_auth")) == [(None,)]


@pytest.mark.both_databases
async def test_another_address_needs_the_password_and_the_new_mailbox_and_the_old_one_is_told(world: World) -> None:
    alice = await world.person()
    assert_problem(await ask_change(alice, password="Wrong-2026!"), 409, "E409-1")
    assert await letters(world, Letter.CHANGE_ADDRESS) == []
    token = await change_token(world, alice)
    assert (await alice.get("/users/me")).json()["email"] == alice.email
    assert await login_status(world, OTHER, PASSWORD) == 401
    resets = await reset_token(world, alice.email)
    assert (await change(world, token)).status_code == 204
    me = (await alice.get("/users/me")).json()
    assert (me["email"], me["emailVerified"]) == (OTHER, True)
    assert await login_status(world, OTHER, PASSWORD) == 201
    assert await login_status(world, alice.email, PASSWORD) == 401
    told = await last(world, Letter.ADDRESS_CHANGED)
    assert (told.address, told.user_id) == (alice.email, alice.user_id)
    assert OTHER not in repr(told.values)
    body = {"token": resets, "password": NEW_PASSWORD}
    assert_problem(await world.http.post(f"{API}/auth/password-resets/confirm", json=body), 400, "E400-1")
    assert_problem(await change(world, token), 400, "E400-1")
    free = {"email": alice.email, "password": PASSWORD, "nickname": "새사람"}
    assert (await world.http.post(f"{API}/auth/users", json=free)).status_code == 201


async def test_an_address_of_somebody_else_is_refused_as_the_check_says(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    assert_problem(await ask_change(alice, bob.email.upper()), 409, "E409-1")
    assert await letters(world, Letter.CHANGE_ADDRESS) == []
    token = await change_token(world, alice)
    taking = {"email": OTHER.upper(), "password": PASSWORD, "nickname": "빠른사람"}
    assert (await world.http.post(f"{API}/auth/users", json=taking)).status_code == 201
    assert_problem(await change(world, token), 409, "E409-1")
    assert (await alice.get("/users/me")).json()["email"] == alice.email
    assert await letters(world, Letter.ADDRESS_CHANGED) == []


async def test_a_password_change_ends_the_change_of_the_address(world: World) -> None:
    alice = await world.person()
    token = await change_token(world, alice)
    await alice.send("PATCH", "/auth/password", json={"password": NEW_PASSWORD})
    assert_problem(await change(world, token), 400, "E400-1")
    assert (await last(world, Letter.PASSWORD_CHANGED)).address == alice.email


async def test_a_given_current_password_must_be_right(world: World) -> None:
    alice = await world.person()
    wrong = {"password": NEW_PASSWORD, "currentPassword": "Wrong-2026!"}
    assert_problem(await alice.send("PATCH", "/auth/password", json=wrong), 409, "E409-1")
    assert await login_status(world, alice.email, PASSWORD) == 201
    assert await letters(world, Letter.PASSWORD_CHANGED) == []
    right = {**wrong, "currentPassword": PASSWORD}
    assert (await alice.send("PATCH", "/auth/password", json=right)).status_code == 200
    token, _ = (await world.http.post(f"{API}/auth/tokens", json={"email": alice.email, "password": NEW_PASSWORD})), 0
    alice.token = token.headers["Authorization"].removeprefix("Bearer ")
    without = {"password": PASSWORD, "currentPassword": None}
    assert (await alice.send("PATCH", "/auth/password", json=without)).status_code == 200


async def test_guesses_of_the_current_password_are_limited(backend: Backend) -> None:
    async with open_world(limited(backend, "password=2/60")) as world:
        alice = await world.person()
        wrong = {"password": NEW_PASSWORD, "currentPassword": "Wrong-2026!"}
        tried = [(await alice.send("PATCH", "/auth/password", json=wrong)).status_code for _ in range(3)]
        assert tried == [409, 409, 429]


async def test_whoever_floods_an_address_keeps_nobody_from_signing_up_with_it(backend: Backend) -> None:
    async with open_world(limited(backend, "letter_email=1/3600")) as world:
        await ask_reset(world, "person1@example.com")
        alice = await world.person()
        assert await letters(world) == []
        assert (await world.rows("SELECT verify_by FROM user_auth")) == [(None,)]
        assert_problem(await alice.send("POST", "/users/me/email-verification"), 429, "E429-1")
        assert_problem(await ask_change(alice, alice.email), 429, "E429-1")


async def test_links_are_purged_after_a_day_and_with_their_account(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await ask_reset(world, "nobody@example.com")
    await erasure(world).erase(bob.user_id, Extent.TRACES, reason=None)
    owners = [row[0] for row in await world.rows("SELECT user_id FROM account_links")]
    assert alice.user_id in owners
    assert bob.user_id not in owners
    world.clock.passed += KEPT - timedelta(hours=1)
    assert (await purge(world.runtime.database, world.clock))["purged_links"] == 0
    world.clock.passed += timedelta(hours=2)
    assert (await purge(world.runtime.database, world.clock))["purged_links"] == 2


async def test_a_withdrawal_leaves_no_link_and_no_address(world: World) -> None:
    alice = await world.person()
    await verify(world, (await last(world, Letter.VERIFY)).token)
    await ask_change(alice)
    await alice.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})
    assert await world.rows("SELECT 1 FROM account_links") == []
    assert await world.rows("SELECT email_verified_at, verify_by FROM user_auth") == [(None, None)]
