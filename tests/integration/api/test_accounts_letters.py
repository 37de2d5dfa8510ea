"""Accounts driven by what arrives in a mailbox: the real worker sends, a real mail server takes it, and links are read as people do."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from tests.mail_server import Letter, MailServer

from bapsang_api.keys import signing_keys
from bapsang_api.mail.seal import Seal
from bapsang_api.mail.worker import Worker

from .world import API, PASSWORD, Backend, World, assert_problem, eventually, open_world

SITE = "https://community.example.com"
LINK = re.compile(rf"{re.escape(SITE)}/([a-z-]+)#token=([A-Za-z0-9_-]{{43}})(?![A-Za-z0-9_-])")


def mailing(backend: Backend, mail_server: MailServer) -> Backend:
    environment = {
        "BAPSANG_SMTP_URL": mail_server.smtp_url,
        "BAPSANG_MAIL_FROM": "news@community.example.com",
        "BAPSANG_PUBLIC_URL": SITE,
    }
    return Backend(backend.name, {**backend.environment, **environment})


@asynccontextmanager
async def sending(world: World, backend: Backend) -> AsyncIterator[None]:
    """Run the worker that sends letters."""
    settings, stop = backend.settings, asyncio.Event()
    assert settings.mail is not None
    seal = Seal(signing_keys(settings))
    worker = Worker(world.runtime.database, settings.mail, seal, settings.stationery, world.clock)
    running = asyncio.create_task(worker.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


def link_in(letter: Letter, page: str) -> str:
    """Return the token of the one link that a letter has, in both of its forms."""
    (in_text,), in_html = set(LINK.findall(letter.text)), set(LINK.findall(letter.html))
    assert in_html == {in_text}
    assert in_text[0] == page
    return str(in_text[1])


async def test_an_account_is_verified_got_back_and_moved_by_letters(servers: Backend, mail_server: MailServer) -> None:
    backend = mailing(servers, mail_server)
    mark = secrets.token_hex(6)
    first, second = f"first-{mark}@example.com", f"second-{mark}@example.com"

    async with open_world(backend) as world, sending(world, backend):

        async def all_sent() -> bool:
            return await world.rows("SELECT 1 FROM mail_outbox WHERE due_at IS NOT NULL") == []

        async def arrived(address: str) -> list[Letter]:
            await eventually(all_sent)
            return await asyncio.to_thread(mail_server.letters, address)

        async def post(path: str, **body: str) -> httpx.Response:
            return await world.http.post(f"{API}/auth/{path}", json=body)

        async def log_in(email: str, password: str) -> dict[str, str]:
            answer = await post("tokens", email=email, password=password)
            assert answer.status_code == 201, answer.text
            return {"Authorization": answer.headers["Authorization"]}

        assert (await post("users", email=first, password=PASSWORD, nickname="편지")).status_code == 201
        (letter,) = await arrived(first)
        assert (letter.subject, letter.sender) == ("이메일 주소를 확인해 주세요", "news@community.example.com")
        assert (await post("email-verifications", token=link_in(letter, "verify-email"))).status_code == 204

        assert (await post("password-resets", email=first)).status_code == 202
        assert (await post("password-resets", email=f"nobody-{mark}@example.com")).status_code == 202
        assert await arrived(f"nobody-{mark}@example.com") == []
        letter = (await arrived(first))[-1]
        reset = {"token": link_in(letter, "reset-password"), "password": "Bapsang-2027?"}
        assert (await post("password-resets/confirm", **reset)).status_code == 204
        assert_problem(await post("password-resets/confirm", **reset), 400, "E400-1")
        assert_problem(await post("tokens", email=first, password=PASSWORD), 401, "E401-1")
        assert (await arrived(first))[-1].subject == "비밀번호가 바뀌었습니다"

        headers = await log_in(first, "Bapsang-2027?")
        body = {"email": second, "password": "Bapsang-2027?"}
        answer = await world.http.patch(f"{API}/users/me/email", json=body, headers=headers)
        assert answer.status_code == 202
        (letter,) = await arrived(second)
        assert (await post("email-changes", token=link_in(letter, "confirm-address"))).status_code == 204
        told = (await arrived(first))[-1]
        assert told.subject == "이메일 주소가 바뀌었습니다"
        assert second not in told.text + told.html
        me = (await world.http.get(f"{API}/users/me", headers=headers)).json()
        assert (me["email"], me["emailVerified"]) == (second, True)
        kept = await world.rows("SELECT sealed, address FROM mail_outbox")
        assert kept == [(None, None)] * len(kept)
