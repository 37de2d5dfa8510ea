"""Letters as tests read them: in the outbox, where nothing is sealed (fixture `mail_on`)."""

import json
from dataclasses import dataclass

import httpx

from bapsang_api.mail.letters import Letter

from .world import API, World

RESETS = f"{API}/auth/password-resets"


@dataclass(frozen=True)
class Written:
    """A letter that waits to be sent."""

    letter: Letter
    address: str
    user_id: str | None
    values: dict[str, str]

    @property
    def token(self) -> str:
        return self.values["link"].rpartition("#token=")[2]


async def letters(world: World, *kinds: Letter) -> list[Written]:
    """Return the letters of the outbox, of some kinds or all, the first one first."""
    rows = await world.rows("SELECT letter, address, user_id, sealed FROM mail_outbox ORDER BY id")
    written = [Written(Letter(letter), address, user, json.loads(sealed)) for letter, address, user, sealed in rows]
    return [one for one in written if one.letter in kinds or not kinds]


async def last(world: World, letter: Letter) -> Written:
    return (await letters(world, letter))[-1]


async def ask_reset(world: World, email: str) -> httpx.Response:
    return await world.http.post(RESETS, json={"email": email})


async def reset_token(world: World, email: str) -> str:
    """Ask for a new password and return what the letter's link holds."""
    assert (await ask_reset(world, email)).status_code == 202
    return (await last(world, Letter.RESET)).token


async def reset(world: World, token: str, password: str) -> httpx.Response:
    return await world.http.post(f"{RESETS}/confirm", json={"token": token, "password": password})
