"""Mail while a connection ends at the worst moment, or the worker is told to end: nothing is sent twice for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import make_url
from tests.faults.mail.wire import CONTENT, carrying
from tests.faults.photos.wire import AFTER, BEFORE, CutError, Told, Wire
from tests.mail_server import MailServer

from bapsang_api.keys import signing_keys
from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database
from bapsang_api.mail.letters import Letter
from bapsang_api.mail.seal import Seal
from bapsang_api.mail.worker import Worker

from .world import Backend, World, eventually, open_world


@pytest.fixture
def backend(servers: Backend, mail_server: MailServer) -> Backend:
    given = {"BAPSANG_SMTP_URL": mail_server.smtp_url, "BAPSANG_MAIL_FROM": "no-reply@bapsang.example.com"}
    return Backend(servers.name, {**servers.environment, **given})


async def write(world: World, address: str) -> str | None:
    values = {"nickname": "민지"}
    outbox = world.runtime.outbox
    return await world.runtime.database.write(
        lambda connection: outbox.add(connection, Letter.PASSWORD_CHANGED, address=address, user_id=None, values=values)
    )


async def is_noted(world: World) -> bool:
    return await world.rows("SELECT attempts FROM mail_outbox WHERE sent_at IS NOT NULL") == [(1,)]


@contextlib.asynccontextmanager
async def behind_wires(world: World, backend: Backend, server: MailServer, told: Told) -> AsyncIterator[Worker]:
    """Yield a worker all of whose conversations are told."""
    wire = Wire(lambda: told)
    mysql, smtp = make_url(backend.environment["BAPSANG_DATABASE_URL"]), server.smtp_port
    carry: Callable[..., Any] = carrying([])
    ports = await wire.to_mysql(mysql.host or "", mysql.port or 0), await wire.listen(carry, "127.0.0.1", smtp)
    url = mysql.set(port=ports[0]).update_query_dict({"ssl_disabled": "true"}).render_as_string(hide_password=False)
    settings = backend.settings.model_copy(update={"smtp_url": f"smtp://127.0.0.1:{ports[1]}?tls=none"})
    assert settings.mail is not None
    database = Database(url, Limits(connections=2, connect_seconds=10))
    worker = Worker(database, settings.mail, Seal(signing_keys(settings)), settings.stationery, world.clock)
    try:
        yield worker
    finally:
        await worker.close()
        await database.close()
        await wire.close()


@pytest.mark.parametrize("moment", [BEFORE, AFTER], ids=["before the commit", "committed"])
async def test_what_was_sent_is_noted_however_long_the_database_is_away(
    backend: Backend, mail_server: MailServer, moment: str
) -> None:
    left = 3 if moment == BEFORE else 1

    async def cutting(step: str, when: str) -> None:
        nonlocal left
        if (step, when) == ("mail sent", moment) and left:
            left -= 1
            raise CutError

    address = f"minji@{moment}.noted.example"
    async with open_world(backend) as world:
        await write(world, address)
        async with behind_wires(world, backend, mail_server, cutting) as worker:
            assert await worker.work_once()
            assert worker.tally.letters == {"sent": 1, "retried": 0, "given_up": 0, "lost": 0}
            assert not await worker.work_once()
        assert await is_noted(world)
    mail_server.only_letter(address)
    assert left == 0


@pytest.mark.parametrize("how", ["told to stop", "cancelled"])
async def test_letter_under_way_is_ended_first(backend: Backend, mail_server: MailServer, how: str) -> None:
    begun, go_on, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def holding(step: str, when: str) -> None:
        if (step, when) == (CONTENT, AFTER):
            begun.set()
            await go_on.wait()

    address = f"minji@{how.replace(' ', '-')}.example"
    async with open_world(backend) as world:
        await write(world, address)
        async with behind_wires(world, backend, mail_server, holding) as worker:
            task = asyncio.create_task(worker.run(stop))
            await begun.wait()
            await write(world, f"next-{address}")
            for _ in range(3):
                if how == "cancelled":
                    task.cancel()
                stop.set()
                await asyncio.sleep(0)
            assert not task.done()
            go_on.set()
            await asyncio.wait([task])
            assert task.cancelled() == (how == "cancelled")
        assert await is_noted(world)
    mail_server.only_letter(address)
    assert mail_server.letters(f"next-{address}") == []


async def test_answer_that_is_lost_has_the_letter_sent_again_as_the_same(
    backend: Backend, mail_server: MailServer
) -> None:
    left = 1

    async def cutting(step: str, when: str) -> None:
        nonlocal left
        if (step, when) == (CONTENT, AFTER) and left:
            left -= 1
            raise CutError

    async with open_world(backend) as world:
        mail_id = await write(world, "minji@unheard.example")
        async with behind_wires(world, backend, mail_server, cutting) as worker:
            assert await worker.work_once()
            assert worker.tally.letters["retried"] == 1
            await world.change("UPDATE mail_outbox SET due_at = created_at")

            async def sent() -> bool:
                return await worker.work_once()

            await eventually(sent)
    first, again = mail_server.letters("minji@unheard.example")
    assert first.message_id == again.message_id == f"{mail_id}@bapsang.example.com"
    raw = [mail_server.raw(letter).partition(b"From: ")[2] for letter in (first, again)]
    assert raw[0] == raw[1]
