"""Accounts that never came to life go after their time; every other account stays, whether or not its address was ever verified."""

from datetime import timedelta

import pytest

from bapsang_api.auth.service import UNVERIFIED_KEPT
from bapsang_api.mail.letters import Letter
from bapsang_api.mail.store import hash_of
from bapsang_api.privacy.retention import purge

from .outbox import last
from .test_account import login_status
from .world import API, PASSWORD, Backend, Person, World, make_admin, open_world

DAY = timedelta(days=1)
PERIOD = UNVERIFIED_KEPT + DAY


async def sign_up(world: World, number: int = 0) -> str:
    """Sign somebody up who does nothing more, and return their id."""
    body = {"email": f"quiet{number}@example.com", "password": PASSWORD, "nickname": f"조용{number}"}
    answer = await world.http.post(f"{API}/auth/users", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["userId"])


async def cleared(world: World) -> int:
    return (await purge(world.runtime.database, world.clock))["cleared_users"]


async def statuses(world: World) -> dict[str, str]:
    return dict(await world.rows("SELECT id, user_status FROM users"))  # type: ignore[arg-type]


@pytest.mark.both_databases
@pytest.mark.usefixtures("mail_on")
async def test_an_account_that_did_nothing_goes_and_leaves_nothing(world: World) -> None:
    user_id = await sign_up(world)
    world.clock.passed += UNVERIFIED_KEPT - DAY
    assert await cleared(world) == 0
    world.clock.passed += 2 * DAY
    assert await cleared(world) == 1
    assert await cleared(world) == 0
    assert await statuses(world) == {user_id: "DELETED"}
    kept = repr(await world.rows("SELECT * FROM users JOIN user_auth ON user_auth.user_id = users.id"))
    assert "quiet0" not in kept
    assert "조용0" not in kept
    assert "argon2" not in kept
    assert await world.rows("SELECT withdrawn_email_hash, withdrawn_at, verify_by FROM user_auth") == [(None,) * 3]
    for table in ("user_consents", "account_links", "mail_outbox"):
        assert await world.rows(f"SELECT 1 FROM {table}") == []  # noqa: S608 - a table's name
    assert await world.rows("SELECT user_id, extent FROM erasures") == [(user_id, "NAME")]
    assert await sign_up(world) != user_id


@pytest.mark.usefixtures("mail_on")
async def test_nobody_follows_an_account_that_has_gone(world: World) -> None:
    alice = await world.person()
    user_id = await sign_up(world)
    assert (await alice.send("PUT", f"/users/{user_id}/follow")).status_code == 204
    world.clock.passed += PERIOD
    assert await cleared(world) == 1
    assert await world.rows("SELECT 1 FROM follows") == []
    assert await world.rows("SELECT follower_count FROM users WHERE id = :u", u=user_id) == [(0,)]


async def log_in_only(_world: World, _person: Person, _post: str) -> None:
    """`Person` is logged in."""


async def write(_world: World, person: Person, _post: str) -> None:
    await person.write_post()


async def comment(_world: World, person: Person, post: str) -> None:
    await person.write_comment(post)


async def like(_world: World, person: Person, post: str) -> None:
    assert (await person.toggle(post)).status_code == 204


async def like_and_write_back(world: World, person: Person, post: str) -> None:
    await like(world, person, post)
    await world.write_back()


async def upload(_world: World, person: Person, _post: str) -> None:
    body = {"fileName": "a.png", "contentType": "image/png", "fileSizeByte": 9, "category": "POST_IMAGE"}
    await person.send("POST", "/uploads/presign", json=body)


@pytest.mark.usefixtures("mail_on")
async def test_each_act_saves_an_account_even_when_no_trace_of_the_login_is_left(world: World) -> None:
    author = await make_admin(world, await world.person())
    people = [author]
    for act in (log_in_only, write, comment, like, like_and_write_back, upload):
        people.append(await world.person())
        await act(world, people[-1], await author.write_post())
    for table in ("refresh_tokens", "auth_sessions", "access_log"):  # as after a long pause of the community
        await world.change(f"DELETE FROM {table}")  # noqa: S608 - a table's name
    quiet = await sign_up(world)
    world.clock.passed += PERIOD
    assert await cleared(world) == 1
    assert await statuses(world) == {**{person.user_id: "ACTIVE" for person in people}, quiet: "DELETED"}


@pytest.mark.usefixtures("mail_on")
async def test_a_login_by_an_older_image_saves_an_account_too(world: World) -> None:
    person = await world.person()
    due = "UPDATE user_auth SET verify_by = :at WHERE user_id = :u"
    for kept, gone in (("access_log", "auth_sessions"), ("auth_sessions", "access_log")):
        person = await world.person()
        await world.change(due, at=world.clock.now().replace(tzinfo=None), u=person.user_id)
        await world.change("DELETE FROM refresh_tokens")
        await world.change(f"DELETE FROM {gone} WHERE user_id = :u", u=person.user_id)  # noqa: S608 - a table's name
        assert await world.rows(f"SELECT 1 FROM {kept} WHERE user_id = :u", u=person.user_id)  # noqa: S608 - the same
    world.clock.passed += DAY
    assert await cleared(world) == 0
    assert set((await statuses(world)).values()) == {"ACTIVE"}
    assert await world.rows("SELECT 1 FROM user_auth WHERE verify_by IS NOT NULL") == []


@pytest.mark.usefixtures("mail_on")
async def test_a_verified_account_stays_without_a_login(world: World) -> None:
    await sign_up(world)
    token = (await last(world, Letter.VERIFY)).token
    assert (await world.http.post(f"{API}/auth/email-verifications", json={"token": token})).status_code == 204
    world.clock.passed += PERIOD
    assert await cleared(world) == 0
    assert await login_status(world, "quiet0@example.com", PASSWORD) == 201


@pytest.mark.usefixtures("mail_on")
async def test_an_account_whose_address_takes_no_letter_stays(world: World) -> None:
    marking = "INSERT INTO mail_undeliverable (address_hash, reason, marked_at) VALUES (:h, 'BOUNCED', :at)"
    await world.change(marking, h=hash_of("quiet0@example.com"), at=world.clock.now().replace(tzinfo=None))
    user_id = await sign_up(world)
    assert await world.rows("SELECT 1 FROM mail_outbox") == []
    world.clock.passed += PERIOD
    assert await cleared(world) == 0
    assert await statuses(world) == {user_id: "ACTIVE"}


@pytest.mark.usefixtures("mail_on")
async def test_a_blocked_account_is_left_to_the_moderators(world: World) -> None:
    user_id = await sign_up(world)
    await world.change("UPDATE users SET user_status = 'BLOCKED'")
    world.clock.passed += PERIOD
    assert await cleared(world) == 0
    assert await statuses(world) == {user_id: "BLOCKED"}


async def test_accounts_from_before_mail_are_untouched_for_ever(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The existing client signs people up, who may come back after years."""
    async with open_world(backend) as world:
        before = [await sign_up(world, number) for number in range(3)]
    request.getfixturevalue("mail_on")
    async with open_world(backend) as world:
        after = await sign_up(world, 3)
        world.clock.passed += 100 * UNVERIFIED_KEPT
        assert await cleared(world) == 1
        assert await statuses(world) == {**dict.fromkeys(before, "ACTIVE"), after: "DELETED"}


@pytest.mark.usefixtures("mail_on")
async def test_a_run_clears_a_bounded_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bapsang_api.auth.purge._ACCOUNTS", 2)
    for number in range(3):
        await sign_up(world, number)
    world.clock.passed += PERIOD
    assert [await cleared(world) for _ in range(3)] == [2, 1, 0]
