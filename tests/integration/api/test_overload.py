"""Load shedding: who is refused early, who never is, and that it ends with the load."""

import asyncio
import itertools
from collections.abc import AsyncIterator

from .databases import standing_still
from .world import API, PASSWORD, Backend, World, assert_problem, eventually, open_world

# Every request of it asks the database; those for posts and lists share one question.
SLOW = f"{API}/tags"


def narrow(backend: Backend, most: int) -> Backend:
    return Backend(backend.name, {**backend.environment, "BAPSANG_MAX_IN_FLIGHT": str(most)})


async def shed(world: World, kind: str) -> float:
    exposed = await world.admin.get("/metrics")
    lines = [line for line in exposed.text.splitlines() if line.startswith(f'bapsang_http_shed_total{{kind="{kind}"}}')]
    return float(lines[0].split()[-1]) if lines else 0.0


async def test_five_hundred_requests_on_a_database_that_stands_still_fail_fast_and_recover(servers: Backend) -> None:
    async with open_world(servers) as world:
        with standing_still(servers.environment["BAPSANG_DATABASE_URL"], "posts", "tags"):
            reads = [asyncio.create_task(world.http.get(SLOW)) for _ in range(500)]
            await asyncio.sleep(0)
            assert (await world.http.get(f"{API}/health")).text == "OK"
            # All but those whose statement MySQL has taken: they must not wait for it to time out, round after round.
            async with asyncio.timeout(10):
                for answered in itertools.islice(asyncio.as_completed(reads), 490):
                    answer = await answered
                    assert_problem(answer, 503, "E503-1")
                    assert answer.headers["Retry-After"] == "1"
            assert (await world.http.get(f"{API}/health")).text == "OK"
        await asyncio.gather(*reads)
        assert (await world.http.get(f"{API}/posts")).status_code == 200


async def test_five_hundred_readers_of_a_list_wait_for_one_statement(servers: Backend) -> None:
    async with open_world(servers) as world:
        alice = await world.person()
        await alice.write_post()
        with standing_still(servers.environment["BAPSANG_DATABASE_URL"], "posts", "tags"):
            reads = [asyncio.create_task(world.http.get(f"{API}/posts")) for _ in range(500)]
            await asyncio.sleep(0)
            assert (await world.http.get(f"{API}/health")).text == "OK"

            async def asked() -> bool:
                return world.runtime.database.usage()[0].in_use > 0

            await eventually(asked)
            pool = world.runtime.database.usage()[0]
            assert pool.in_use + pool.waiting <= 2
        answered = [(await read).status_code for read in reads]
        assert set(answered) <= {200, 503}
        assert 200 in answered


async def test_reads_over_the_budget_are_refused_and_counted(servers: Backend) -> None:
    async with open_world(narrow(servers, 8)) as world:
        with standing_still(servers.environment["BAPSANG_DATABASE_URL"], "posts", "tags"):
            reads = [asyncio.create_task(world.http.get(SLOW)) for _ in range(20)]
            for answered in itertools.islice(asyncio.as_completed(reads), 12):
                assert_problem(await answered, 503, "E503-1")
            assert await shed(world, "read") == 12
            assert (await world.http.get("/health")).text == "OK"
        await asyncio.gather(*reads)
        assert (await world.http.get(f"{API}/posts")).status_code == 200


async def test_writes_and_logins_cannot_starve_reads(servers: Backend) -> None:
    async with open_world(narrow(servers, 8)) as world:
        alice = await world.person()
        with standing_still(servers.environment["BAPSANG_DATABASE_URL"], "posts", "tags"):
            writes = [
                asyncio.create_task(alice.send("POST", "/posts", json={"title": "a", "content": "b"})) for _ in "1234"
            ]
            await asyncio.sleep(0)
            login = {"email": alice.email, "password": PASSWORD}
            assert_problem(await world.http.post(f"{API}/auth/tokens", json=login), 503, "E503-1")
            assert await shed(world, "write") == 1
            assert (await alice.get("/users/me")).status_code == 200
        assert {(await write).status_code for write in writes} == {201}
        assert (await world.http.post(f"{API}/auth/tokens", json=login)).status_code == 201


async def test_clients_on_slow_lines_use_no_budget_up(files: Backend) -> None:
    async with open_world(narrow(files, 4)) as world:
        alice, go = await world.person(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b'{"title": "a", '
            await go.wait()
            yield b'"content": "b"}'

        slow = [asyncio.create_task(alice.send("POST", "/posts", content=slowly())) for _ in range(3)]
        await asyncio.sleep(0)
        assert len(await alice.write_post()) == 26
        go.set()
        assert 201 in {(await answer).status_code for answer in slow}
