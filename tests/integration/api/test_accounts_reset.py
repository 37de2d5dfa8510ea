"""A new password for who forgot it: by a link, used once, that tells nobody which addresses have an account."""

import asyncio
import re
from datetime import timedelta

import pytest

from bapsang_api.mail.letters import Letter

from .outbox import RESETS, ask_reset, last, letters, reset, reset_token
from .test_account import NEW_PASSWORD, leave, login_status
from .test_ratelimit import limited
from .world import API, PASSWORD, Backend, Person, World, assert_problem, make_admin, open_world

pytestmark = pytest.mark.usefixtures("mail_on")

OURS = re.compile("account_links|user_auth|mail_|SAVEPOINT|INSERT|UPDATE|DELETE")
THIRD_PASSWORD = "Bapsang-2028!"


async def bad(world: World, token: str) -> dict[str, object]:
    body = assert_problem(await reset(world, token, THIRD_PASSWORD), 400, "E400-1")
    assert [error["field"] for error in body["errors"]] == ["token"]
    return {key: value for key, value in body.items() if key != "requestId"}


@pytest.mark.both_databases
async def test_a_link_sets_a_new_password_once_and_ends_every_session(world: World) -> None:
    alice = await world.person()
    token = await reset_token(world, alice.email.upper())
    letter = await last(world, Letter.RESET)
    assert (letter.address, letter.user_id) == (alice.email, alice.user_id)
    assert letter.values["link"] == f"http://localhost:8000/reset-password#token={token}"
    answer = await reset(world, token, NEW_PASSWORD)
    assert (answer.status_code, answer.content) == (204, b"")
    assert_problem(await alice.get("/users/me"), 401, "T003")
    assert_problem(await world.refresh(alice.refresh_token), 401, "E401-1")
    assert await login_status(world, alice.email, PASSWORD) == 401
    assert await login_status(world, alice.email, NEW_PASSWORD) == 201
    assert (await last(world, Letter.PASSWORD_CHANGED)).address == alice.email
    await bad(world, token)
    assert await login_status(world, alice.email, NEW_PASSWORD) == 201


async def test_a_reset_verifies_the_address_whose_mail_was_read(world: World) -> None:
    alice = await world.person()
    assert (await alice.get("/users/me")).json()["emailVerified"] is False
    await reset(world, await reset_token(world, alice.email), NEW_PASSWORD)
    login = await world.http.post(f"{API}/auth/tokens", json={"email": alice.email, "password": NEW_PASSWORD})
    me = await world.http.get(f"{API}/users/me", headers={"Authorization": login.headers["Authorization"]})
    assert me.json()["emailVerified"] is True


async def test_tokens_are_stored_as_hashes_only(world: World) -> None:
    alice = await world.person()
    token = await reset_token(world, alice.email)
    kept = repr(await world.rows("SELECT token_hash, user_id, kind, address FROM account_links"))
    assert token not in kept
    assert len(token) == 43


async def test_a_link_lives_thirty_minutes(world: World) -> None:
    alice = await world.person()
    world.clock.stop()
    token = await reset_token(world, alice.email)
    world.clock.passed += timedelta(minutes=30)
    await bad(world, token)
    world.clock.passed -= timedelta(seconds=1)
    assert (await reset(world, token, NEW_PASSWORD)).status_code == 204


@pytest.mark.both_databases
async def test_two_uses_at_the_same_moment_are_one(world: World) -> None:
    alice = await world.person()
    token = await reset_token(world, alice.email)
    answers = await asyncio.gather(*(reset(world, token, f"Bapsang-{number}!") for number in range(2030, 2034)))
    assert sorted(answer.status_code for answer in answers) == [204, 400, 400, 400]
    assert len(await letters(world, Letter.PASSWORD_CHANGED)) == 1


async def test_a_newer_link_ends_the_older(world: World) -> None:
    alice = await world.person()
    older, newer = await reset_token(world, alice.email), await reset_token(world, alice.email)
    await bad(world, older)
    assert (await reset(world, newer, NEW_PASSWORD)).status_code == 204


async def change_password(world: World, alice: Person) -> None:
    assert (await alice.send("PATCH", "/auth/password", json={"password": NEW_PASSWORD})).status_code == 200


async def change_address(world: World, alice: Person) -> None:
    body = {"email": "other@example.com", "password": PASSWORD}
    assert (await alice.send("PATCH", "/users/me/email", json=body)).status_code == 202
    token = (await last(world, Letter.CHANGE_ADDRESS)).token
    assert (await world.http.post(f"{API}/auth/email-changes", json={"token": token})).status_code == 204


async def withdraw(world: World, alice: Person) -> None:
    assert await leave(alice) == 204


async def change_address_behind_its_back(world: World, alice: Person) -> None:
    await world.change("UPDATE user_auth SET email = 'x@example.com' WHERE user_id = :u", u=alice.user_id)


async def block(world: World, alice: Person) -> None:
    await world.change("UPDATE users SET user_status = 'BLOCKED' WHERE id = :u", u=alice.user_id)


async def test_a_link_dies_with_what_it_was_issued_for(world: World, subtests: pytest.Subtests) -> None:
    for meanwhile in (change_password, change_address, withdraw, change_address_behind_its_back, block):
        with subtests.test(meanwhile.__name__):
            alice = await world.person()
            token = await reset_token(world, alice.email)
            await meanwhile(world, alice)
            await bad(world, token)


async def test_every_bad_link_gets_one_answer(world: World) -> None:
    alice = await world.person()
    used = await reset_token(world, alice.email)
    await reset(world, used, NEW_PASSWORD)
    ended = await reset_token(world, alice.email)
    await ask_reset(world, alice.email)
    await world.http.post(f"{API}/auth/users", json={"email": "b@example.com", "password": PASSWORD, "nickname": "비"})
    other_kind = (await last(world, Letter.VERIFY)).token
    await ask_reset(world, "nobody@example.com")
    tokens = [used, ended, other_kind, "o" * 43, "", "o" * 42, "o" * 5000, "é" * 43]
    assert len({repr(await bad(world, token)) for token in tokens if token}) == 1


@pytest.mark.both_databases
async def test_answer_and_work_are_the_same_whatever_address_is_asked(world: World) -> None:
    known, blocked, withdrawn, verified = [await world.person() for _ in range(4)]
    await block(world, blocked)
    await withdraw(world, withdrawn)
    await reset(world, await reset_token(world, verified.email), NEW_PASSWORD)
    addresses = [known.email, verified.email, blocked.email, withdrawn.email, "nobody@example.com", "no address", "é@é"]
    seen = []
    before = len(await letters(world, Letter.RESET))
    for address in addresses:
        with world.statements() as asked:
            answer = await ask_reset(world, address)
        headers = {name for name in answer.headers if name != "x-request-id"}
        rows = (await world.rows("SELECT COUNT(*) FROM account_links WHERE kind = 'RESET'"))[0][0]
        # A process asks other tables of its own accord.
        work = [statement.replace("ROLLBACK TO", "RELEASE") for statement in asked if OURS.search(statement)]
        seen.append((answer.status_code, answer.content, headers, work))
        assert rows == len(seen) + 1  # each leaves one, so that each commit writes
    assert all(one == seen[0] for one in seen)
    assert seen[0][0] == 202
    assert any("mail_outbox" in statement for statement in seen[0][3])
    written = await letters(world, Letter.RESET)
    assert [letter.address for letter in written[before:]] == [known.email, verified.email]


async def test_a_repeat_with_its_key_is_answered_whole_and_sends_no_second_letter(world: World) -> None:
    alice = await world.person()
    for replayed in (None, "true"):
        answer = await world.http.post(RESETS, json={"email": alice.email}, headers={"Idempotency-Key": "once"})
        assert (answer.status_code, answer.headers["content-length"]) == (202, "0")
        assert answer.headers.get("idempotency-replayed") == replayed
    assert len(await letters(world, Letter.RESET)) == 1


async def test_whoever_never_used_a_link_still_logs_in(world: World) -> None:
    alice = await world.person()
    await reset_token(world, alice.email)
    assert await login_status(world, alice.email, PASSWORD) == 201
    assert (await alice.get("/users/me")).status_code == 200


async def test_a_bad_password_leaves_the_link_good(world: World) -> None:
    alice = await world.person()
    token = await reset_token(world, alice.email)
    answer = await reset(world, token, "weak")
    assert [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]] == ["password"]
    assert (await reset(world, token, NEW_PASSWORD)).status_code == 204


async def test_a_mailbox_gets_so_many_letters_whoever_asks_and_nobody_learns_whose_it_is(backend: Backend) -> None:
    async with open_world(limited(backend, "letter_email=2/3600")) as world:
        alice = await world.person()
        for address in (alice.email.replace("person", "PERSON"), "nobody@example.com"):
            asked = [
                await world.http.post(
                    f"{API}/auth/password-resets",
                    json={"email": spelled},
                    headers={"X-Forwarded-For": f"203.0.113.{number}"},
                )
                for number, spelled in enumerate([address, address.lower(), address.upper()])
            ]
            assert [answer.status_code for answer in asked][-1] == 429
        assert len(await letters(world, Letter.RESET)) == 1  # the sign-up was the other


async def test_one_network_asks_for_so_many_letters(backend: Backend) -> None:
    async with open_world(limited(backend, "letter_ip=2/3600")) as world:
        asked = [(await ask_reset(world, f"{number}@example.com")).status_code for number in range(3)]
        assert asked == [202, 202, 429]


async def test_one_network_tries_so_many_links(backend: Backend) -> None:
    async with open_world(limited(backend, "link_ip=3/3600")) as world:
        body = {"token": "o" * 43}
        paths = ("email-verifications", "email-changes", "password-resets/confirm", "email-verifications")
        tried = [await world.http.post(f"{API}/auth/{path}", json=body | {"password": PASSWORD}) for path in paths]
        assert [answer.status_code for answer in tried] == [400, 400, 400, 429]


async def test_a_reset_does_not_unblock_an_administrators_act(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    token = await reset_token(world, alice.email)
    assert (await admin.send("POST", f"/admin/users/{alice.user_id}/block")).status_code == 204
    await bad(world, token)
    assert await login_status(world, alice.email, PASSWORD) == 403
