"""Commands of concurrent requests, sent together to a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.exceptions
from redis.asyncio import Redis

from bapsang_api.kit.redis.client import load_script, open_redis
from bapsang_api.kit.redis.pipeline import Pipeline

from .world import eventually


@pytest.fixture
async def client(empty_redis: str) -> AsyncIterator[Redis]:
    opened = open_redis(empty_redis)
    yield opened
    await opened.aclose()


@pytest.fixture
async def pipeline(client: Redis) -> AsyncIterator[Pipeline]:
    opened = Pipeline(client)
    yield opened
    await opened.close()


async def test_everybody_gets_their_own_answer_over_one_connection(client: Redis, pipeline: Pipeline) -> None:
    before = int((await client.info("stats"))["total_connections_received"])
    answers = await asyncio.gather(*(pipeline.run("ECHO", str(number)) for number in range(2_000)))
    assert answers == [str(number) for number in range(2_000)]
    assert int((await client.info("stats"))["total_connections_received"]) - before == 1


async def test_one_refused_command_disturbs_no_other(pipeline: Pipeline) -> None:
    answers = await asyncio.gather(
        pipeline.run("SET", "word", "x"),
        pipeline.run("INCR", "word"),
        pipeline.run("GET", "word"),
        return_exceptions=True,
    )
    assert isinstance(answers[1], redis.exceptions.ResponseError)
    assert answers[::2] == ["OK", "x"]


async def test_scripts_that_redis_has_forgotten_are_run_once_all_the_same(client: Redis, pipeline: Pipeline) -> None:
    counting, told = load_script(client, "bapsang_api.posts", "count_view"), list[object]()
    for number in range(2):
        await client.script_flush()
        calls = [
            pipeline.call(counting, f"seen:{number}:{viewer}", "pending", "a", "b", "post", 60, keys=4)
            for viewer in range(5)
        ]
        assert await asyncio.gather(*calls) == [[6 * number + viewer, -1] for viewer in range(1, 6)]
        await client.script_flush()
        keys = (f"seen:{number}:nobody waits", "pending", "a", "b")
        pipeline.post(counting, *keys, "post", 60, keys=4, done=told.append)
        await pipeline.run("PING")

    async def all_told() -> bool:  # after Redis has counted: another client may see that before the answer is here
        return len(told) == 2

    await eventually(all_told)
    assert told == [[6, -1], [12, -1]]
    assert await client.hgetall("pending") == {"post": "12"}


async def test_a_redis_that_does_not_answer_is_waited_for_once(empty_redis: str) -> None:
    client = open_redis(empty_redis)
    pipeline = Pipeline(client, seconds=0.3)
    other = open_redis(empty_redis)
    await pipeline.run("PING")
    await other.execute_command("CLIENT", "PAUSE", "1500", "ALL")
    with pytest.raises(redis.exceptions.TimeoutError):
        await pipeline.run("PING")
    # Refused without a turn of the loop: nobody waits behind a Redis that hangs.
    with pytest.raises(redis.exceptions.ConnectionError):
        pipeline.run("PING").send(None)

    async def answers() -> bool:
        try:
            return bool(await pipeline.run("PING") == "PONG")
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            return False

    await eventually(answers)
    await pipeline.close()
    await client.aclose()
    await other.aclose()


async def test_a_connection_that_was_closed_while_idle_is_replaced(client: Redis, pipeline: Pipeline) -> None:
    await pipeline.run("PING")
    first = pipeline._link
    assert first is not None
    await client.client_kill_filter(_type="normal", skipme=True)

    async def noticed() -> bool:
        return first.closed

    await eventually(noticed)
    assert await pipeline.run("PING") == "PONG"


async def test_a_connection_lost_under_way_fails_what_was_sent_and_nothing_else_is_mixed_up(
    client: Redis, empty_redis: str
) -> None:
    pipeline = Pipeline(client, seconds=2)  # for so long it refuses after a failure
    await pipeline.run("PING")
    other = open_redis(empty_redis)
    await other.client_pause(400, all=False)  # writes only: this one can still be asked to kill
    asked = [asyncio.ensure_future(pipeline.run("INCR", "number")) for _ in range(3)]
    await asyncio.sleep(0.05)
    await other.client_kill_filter(_type="normal", skipme=True)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(answer, redis.exceptions.ConnectionError) for answer in answers)

    async def answers_its_own() -> bool:
        try:
            return bool(await pipeline.run("ECHO", "its own") == "its own")
        except redis.exceptions.ConnectionError:
            return False

    await eventually(answers_its_own)
    await pipeline.close()
    await other.aclose()


async def test_a_redis_that_is_loading_fails_the_exchange(client: Redis, pipeline: Pipeline) -> None:
    """Such an answer is about Redis, not about the command that it answers."""
    await pipeline.run("PING")
    link = pipeline._link
    assert isinstance(link, asyncio.Protocol)
    asked = [asyncio.ensure_future(pipeline.run("DEBUG", "SLEEP", "0")) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    link.data_received(b"-LOADING Redis is loading the dataset in memory\r\n")
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [redis.exceptions.BusyLoadingError] * 2


async def test_the_queue_has_an_end(client: Redis) -> None:
    pipeline = Pipeline(client, queue=2)
    waiting = [asyncio.ensure_future(pipeline.run("PING")) for _ in range(2)]
    await asyncio.sleep(0)  # let them ask
    calls = [pipeline.run("PING") for _ in range(3)]
    refused = await asyncio.gather(*calls, return_exceptions=True)
    assert any(isinstance(answer, redis.exceptions.ConnectionError) for answer in refused)
    assert await asyncio.gather(*waiting) == ["PONG"] * 2
    await pipeline.close()
