"""When two spellings are one e-mail, nickname or tag: by one rule in every place, and on every database."""

import string
import unicodedata
from typing import Any

import httpx
import pytest
from sqlalchemy import bindparam, text

from bapsang_api.kit.text import folded
from bapsang_api.users.store import id_of

from .test_ratelimit import limited
from .world import API, PASSWORD, Backend, World, assert_problem, open_world

pytestmark = pytest.mark.both_databases

EMAIL = "victim@example.com"
# For MySQL's collation each of these is EMAIL.
SPELLINGS = (
    *(
        "vi\u0301ctim@example.com",
        "víctim@example.com",
        "victim@éxample.com",
        "ｖictim@example.com",
        "victi\u1d50@example.com",
    ),
    *("victim\u0001@example.com", "victim@example.com\u0000", "\u00advictim@example.com", "victim\u200b@example.com"),
)
KELVIN = "\u212aim@example.com"  # the sign of the unit, which NFC and lower case turn into a k


async def log_in(world: World, email: str, password: str = PASSWORD) -> httpx.Response:
    return await world.http.post(f"{API}/auth/tokens", json={"email": email, "password": password})


async def sign_up(world: World, **changes: str) -> int:
    body = {"email": EMAIL, "password": PASSWORD, "nickname": "victim", **changes}
    return (await world.http.post(f"{API}/auth/users", json=body)).status_code


def refusal(answer: httpx.Response) -> dict[str, Any]:
    return {**assert_problem(answer, 401, "E401-1"), "requestId": ""}


async def test_an_account_is_found_by_its_own_email_only(world: World) -> None:
    assert await sign_up(world) == 201
    assert await sign_up(world, email="Kim@example.com", nickname="kim") == 201
    unknown = refusal(await log_in(world, "nobody@example.com"))
    for spelling in (*SPELLINGS, KELVIN):
        assert refusal(await log_in(world, spelling)) == unknown, ascii(spelling)
        check = await world.http.get(f"{API}/auth/email", params={"email": spelling})
        assert assert_problem(check, 400, "E400-1")["errors"][0]["field"] == "email"
        assert await sign_up(world, email=spelling, nickname="other") == 400
    for spelling in (EMAIL, EMAIL.upper(), "Victim@example.COM"):
        assert (await log_in(world, spelling)).status_code == 201
        check = await world.http.get(f"{API}/auth/email", params={"email": spelling})
        assert_problem(check, 409, "E409-1")
        assert await sign_up(world, email=spelling, nickname="other") == 409
    assert (await log_in(world, "kim@example.com")).status_code == 201


async def test_every_spelling_of_an_email_counts_as_one_login(backend: Backend) -> None:
    async with open_world(limited(backend, "login_email=4/600")) as world:
        assert await sign_up(world) == 201
        for spelling in (EMAIL, EMAIL.upper(), "Victim@Example.com", "vIctim@example.com"):
            refusal(await log_in(world, spelling, "Wrong-2026!"))
        # Whoever guesses has no more tries by any other way of writing it.
        for spelling in (EMAIL, EMAIL.title()):
            assert_problem(await log_in(world, spelling), 429, "E429-1")
        for spelling in SPELLINGS:
            refusal(await log_in(world, spelling))


async def test_what_is_left_of_a_withdrawn_account_is_found_by_its_own_email_only(world: World) -> None:
    alice = await world.person()
    gone = await alice.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})
    assert gone.status_code == 204
    for spelling in (alice.email, alice.email.upper()):
        assert_problem(await log_in(world, spelling), 403, "E403-1")
    for spelling in (alice.email.replace("e", "é"), f"\u0001{alice.email}", f"~{alice.user_id}"):
        refusal(await log_in(world, spelling))


async def test_an_administrator_names_a_user_by_their_own_email_only(world: World) -> None:
    alice = await world.person()
    assert await world.runtime.database.read(lambda connection: id_of(connection, alice.email.upper())) == alice.user_id
    for spelling in (alice.email.replace("e", "é"), f"\u0001{alice.email}"):
        assert await world.runtime.database.read(lambda connection, name=spelling: id_of(connection, name)) is None  # type: ignore[misc]


async def test_the_database_holds_the_same_names_for_the_same(world: World) -> None:
    """The unique indexes decide: they must neither take two names for one nor one for two."""
    syllables = [chr(code) for code in range(ord("가"), ord("힣") + 1, 11)]  # with each of their letters
    letters = [*syllables, *string.ascii_letters, *string.digits]
    between = [f"a{sign}b" for sign in ("", *string.punctuation)] + ["aa", "aA", "a_a", "a__a"]
    names = [*letters, *between, *(f"각{letter}" for letter in "가각간ㄱ")]
    assert all(unicodedata.is_normalized("NFC", name) for name in names)
    different = list({folded(name): name for name in names}.values())
    insert = "INSERT INTO tags (name, post_count) VALUES (:n, 0)"
    await world.runtime.database.write(
        lambda connection: connection.execute(text(insert), [{"n": name} for name in different])
    )
    assert await world.rows("SELECT COUNT(*) FROM tags") == [(len(different),)]
    found = "SELECT COUNT(*) FROM tags WHERE name IN :names"
    again = [name.swapcase() for name in names]
    counted = await world.runtime.database.read(
        lambda connection: connection.scalar(
            text(found).bindparams(bindparam("names", expanding=True)), {"names": again}
        )
    )
    assert counted == len(different)
