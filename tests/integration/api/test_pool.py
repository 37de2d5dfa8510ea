"""The limits of a process's connections: what waits, what is refused, and what survives a server that goes away."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from bapsang_api.kit.db import connections
from bapsang_api.kit.db.connections import LOCK_IDLE_SECONDS, Limits, open_engine
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.errors import OUT_OF_TIME, code_of
from bapsang_api.kit.problem import Unavailable
from bapsang_api.readmodel import feed

from .network import wire_to
from .world import API, Backend, World, assert_problem, eventually, open_world

# Every request of it asks the database; those for posts and lists share one question.
TAGS = f"{API}/tags"
SMALL = Limits(connections=2, queue=3, connect_seconds=2, statement_seconds=3)


def usage_shows(world: World, **wanted: int) -> Callable[[], Awaitable[bool]]:
    async def shown() -> bool:
        usage = world.runtime.database.usage()[0]
        return all(getattr(usage, name) == value for name, value in wanted.items())

    return shown


@pytest.fixture
async def small(servers: Backend) -> AsyncIterator[World]:
    """A service that may open two connections and lets three requests wait."""
    environment = {"BAPSANG_DATABASE_POOL_SIZE": "2", "BAPSANG_DATABASE_QUEUE_SIZE": "3"}
    async with open_world(Backend("small", {**servers.environment, **environment})) as opened:
        yield opened


@pytest.fixture
def let_go() -> threading.Event:
    return threading.Event()


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is opened after this asks for what has changed only once."""
    monkeypatch.setattr(feed, "POLL_SECONDS", 60)


@pytest.fixture
async def held(unwatched: None, small: World, let_go: threading.Event) -> AsyncIterator[World]:
    """The same with both connections busy until `let_go` or the end of the test, and nobody else who asks."""
    both = threading.Barrier(3)

    async def is_ready() -> bool:
        return small.runtime.hidden.is_ready

    await eventually(is_ready)  # who hides anybody is read once

    def hold(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))
        both.wait(10)
        let_go.wait(10)

    holding = [asyncio.create_task(small.runtime.database.read(hold)) for _ in range(2)]
    await asyncio.to_thread(both.wait, 10)
    await eventually(usage_shows(small, in_use=2, waiting=0))
    yield small
    let_go.set()
    await asyncio.gather(*holding)


async def test_requests_beyond_the_connections_wait_and_beyond_the_queue_are_refused(
    held: World, let_go: threading.Event
) -> None:
    reads = [asyncio.create_task(held.http.get(TAGS)) for _ in range(3)]
    await eventually(usage_shows(held, waiting=3))
    refused = await held.http.get(TAGS)
    assert_problem(refused, 503, "E503-1")
    assert refused.headers["Retry-After"] == "1"
    exposed = held.runtime.metrics.render().decode()
    for line in (
        'bapsang_db_connections{server="writer",state="in_use"} 2.0',
        'bapsang_db_connections_limit{server="writer"} 2.0',
        'bapsang_db_waiting{server="writer"} 3.0',
        'bapsang_db_refused_total{server="writer"} 1.0',
    ):
        assert line in exposed
    let_go.set()
    assert [(await read).status_code for read in reads] == [200] * 3


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(servers: Backend) -> None:
    database = Database(servers.environment["BAPSANG_DATABASE_URL"], SMALL)
    connection_id = await database.read(lambda connection: connection.execute(text("SELECT CONNECTION_ID()")).scalar())
    endless = "SELECT COUNT(*) FROM information_schema.collations" + " JOIN information_schema.collations c{}" * 4
    endless = endless.format(*range(4))
    with pytest.raises(Unavailable) as slow:
        await database.read(lambda connection: connection.execute(text(endless)).scalar())
    # Ended by the server, so that nothing goes on there for nobody, and the connection is still good.
    assert isinstance(slow.value.__cause__, DBAPIError)
    assert code_of(slow.value.__cause__) == OUT_OF_TIME
    running = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT COUNT(*) FROM information_schema.coll%'"
    assert await database.read(lambda connection: connection.execute(text(running)).scalar()) == 0
    assert (
        await database.read(lambda connection: connection.execute(text("SELECT CONNECTION_ID()")).scalar())
        == connection_id
    )
    await database.close()


async def test_killed_connections_cost_no_read(small: World) -> None:
    await small.http.get(TAGS)
    for _ in range(3):
        killer = create_engine(small.runtime.database.engine.url)
        with killer.connect() as connection:
            own = connection.execute(text("SELECT CONNECTION_ID()")).scalar()
            mine = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> :own"
            victims = list(connection.execute(text(mine), {"own": own}).scalars())
            assert victims
            for victim in victims:
                connection.execute(text(f"KILL {victim}"))
        killer.dispose()
        answers = await asyncio.gather(*(small.http.get(TAGS) for _ in range(4)))
        assert [answer.status_code for answer in answers] == [200] * 4


async def test_a_restarted_server_costs_no_read_once_it_is_back(small: World) -> None:
    await asyncio.gather(*(small.http.get(TAGS) for _ in range(4)))
    engine = create_engine(small.runtime.database.engine.url)
    with engine.connect() as connection:
        connection.execute(text("SET GLOBAL net_retry_count = 11"))  # forgotten by a restart
        connection.execute(text("RESTART"))

    def is_back() -> bool:
        try:
            with engine.connect() as connection:
                return connection.execute(text("SELECT @@GLOBAL.net_retry_count")).scalar() != 11
        except DBAPIError:
            return False

    await eventually(lambda: asyncio.to_thread(is_back), seconds=60)
    answers = await asyncio.gather(*(small.http.get(TAGS) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    engine.dispose()


async def test_connections_are_encrypted_and_share_what_that_needs(servers: Backend) -> None:
    engine = open_engine(servers.environment["BAPSANG_DATABASE_URL"])
    with engine.connect() as one, engine.connect() as other:
        for connection in (one, other):
            assert connection.execute(text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")).one()[1]
        drivers = [connection.connection.driver_connection for connection in (one, other)]
        assert drivers[0].ctx is drivers[1].ctx  # type: ignore[union-attr]
    engine.dispose()


async def test_reads_end_no_transaction_and_writes_are_rolled_back(servers: Backend) -> None:
    # One connection, because a temporary table and these counters belong to one.
    database = Database(servers.environment["BAPSANG_DATABASE_URL"], SMALL.replace(connections=1))

    def counters(connection: Connection) -> dict[str, int]:
        rows = connection.execute(text("SHOW SESSION STATUS WHERE Variable_name IN ('Com_commit', 'Com_rollback')"))
        return {name: int(value) for name, value in rows}

    def fail(connection: Connection) -> None:
        connection.execute(text("CREATE TEMPORARY TABLE tried (n INT) ENGINE = InnoDB"))
        connection.execute(text("INSERT INTO tried VALUES (1)"))
        raise LookupError

    before = await database.read(counters)
    for _ in range(3):
        assert await database.read(counters) == before
    with pytest.raises(LookupError):
        await database.write(fail)
    assert (
        await database.read(lambda connection: connection.execute(text("SELECT COUNT(*) FROM tried")).scalar())
    ) == 0
    assert (await database.read(counters))["Com_rollback"] == before["Com_rollback"] + 1
    await database.close()


async def test_a_lock_goes_with_a_node_that_is_lost(servers: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing tells MySQL that the other end is gone: it would keep the session, and the lock, for eight hours."""
    monkeypatch.setattr(connections, "LOCK_IDLE_SECONDS", 1)
    url = make_url(servers.environment["BAPSANG_DATABASE_URL"])
    here = Database(url.render_as_string(hide_password=False), SMALL)

    async def is_free() -> bool:
        async with here.exclusive("a lock") as lane:
            return lane is not None

    async with wire_to(url.host or "", url.port or 3306) as wire:
        there = url.set(host="127.0.0.1", port=wire.port)
        lost = Database(there.render_as_string(hide_password=False), SMALL)
        async with lost.exclusive("a lock") as lane:
            assert lane is not None
            wire.cut()
            assert not await is_free()
            await eventually(is_free)
            with pytest.raises(Unavailable):  # whoever has lost the lock writes no more
                await lane.write(lambda connection: connection.execute(text("SELECT 1")))
        await lost.close()
    await here.close()


async def test_a_session_with_a_lock_ends_sooner_than_a_node_is_missed(servers: Backend) -> None:
    database = Database(servers.environment["BAPSANG_DATABASE_URL"], SMALL)
    async with database.exclusive("a lock") as lane:
        assert lane is not None
        asked = await lane.write(lambda connection: connection.execute(text("SELECT @@SESSION.wait_timeout")).scalar())
    assert asked == LOCK_IDLE_SECONDS <= 120  # two runs of the write-back
    await database.close()
