"""Redis by kinds of keys: no other is touched, each is as small and as short-lived as declared, and no account fills it."""

import asyncio
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import redis

from bapsang_api.http.answers import Answer
from bapsang_api.http.idempotency import MOST_KEPT, Idempotency
from bapsang_api.http.ratelimit import DEFAULTS, Limit, Rate, RateLimiter
from bapsang_api.http.request import Request
from bapsang_api.jobs import like_sync
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.problem import TooManyRequests
from bapsang_api.kit.redis.budget import KINDS, OTHER, kind_of
from bapsang_api.kit.redis.client import open_redis
from bapsang_api.kit.redis.pipeline import Pipeline
from bapsang_api.likes.store import LikeStore
from bapsang_api.posts.views import ViewStore

from .world import API, PASSWORD, Backend, Person, World, eventually, open_world

MEGABYTE = 1_000_000
ALLOWED = [f"~{name}" for kind in KINDS for name in (*kind.names, *(f"{prefix}*" for prefix in kind.prefixes))]


@pytest.fixture
def server(empty_redis: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(empty_redis, decode_responses=True) as client:
        yield client


@pytest.fixture
def confined(server: redis.Redis, empty_redis: str) -> Iterator[str]:
    """The URL for a user of Redis who may touch the declared keys and no others; who does is in its log."""
    server.execute_command("ACL", "SETUSER", "service", "reset", "on", ">secret", "+@all", "&*", *ALLOWED)
    server.acl_log_reset()
    yield empty_redis.replace("redis://", "redis://service:secret@")
    server.execute_command("ACL", "DELUSER", "service")


def on(files: Backend, redis_url: str) -> Backend:
    """The limits are counted, so that there are keys of them."""
    return Backend("sqlite+redis", {**files.environment, "BAPSANG_REDIS_URL": redis_url, "BAPSANG_RATE_LIMITS": ""})


async def use_everything(world: World, backend: Backend) -> None:
    """Have each feature write what it keeps in Redis, and like-sync write it back in between."""
    alice, bob = await world.person(), await world.person()
    posts = [await alice.write_post() for _ in range(3)]
    for number, post_id in enumerate(posts):
        for person in (alice, bob):
            await person.toggle(post_id)
            await person.get(f"/posts/{post_id}")
        await world.http.get(f"{API}/posts/{post_id}")
        await keyed(alice, str(number))
        if not number:
            assert await like_sync(backend.settings, batch_size=1)
    await alice.send("POST", f"/posts/{posts[0]}/reports", json={"reason": "SPAM"})
    await world.http.get(f"{API}/search/posts?q=밥상")
    await world.http.post(f"{API}/auth/tokens", json={"email": alice.email, "password": f"{PASSWORD}2"})
    await bob.send("POST", "/auth/password", json={"password": PASSWORD})
    await world.http.post(f"{API}/uploads/presign/temp", json={"filename": "a.png", "contentType": "image/png"})
    await alice.send("DELETE", f"/posts/{posts[1]}")
    await world.log_out(cookie=bob.refresh_token)
    await world.runtime.like_sync.run()
    await alice.toggle(posts[2])  # so that something waits


async def keyed(person: Person, key: str) -> httpx.Response:
    body = {"title": "오늘의 밥상", "content": "밥"}
    return await person.http.post(f"{API}/posts", json=body, headers={**person.headers, "Idempotency-Key": key})


async def test_every_key_is_of_a_kind_and_as_small_and_short_lived_as_declared(
    files: Backend, server: redis.Redis, confined: str
) -> None:
    backend = on(files, confined)
    async with open_world(backend) as world:
        await use_everything(world, backend)
        await eventually(partial(settled, server))
    assert server.acl_log() == []  # also keys that are gone again
    seen = set()
    for key in server.scan_iter(count=1000):
        kind = kind_of(key)
        assert kind is not None, key
        seen.add(kind.name)
        size, lives = int(server.memory_usage(key, samples=0) or 0), server.ttl(key)
        if key not in kind.names:
            assert size <= kind.unit_bytes, (key, size)
        if kind.seconds is not None:
            assert 0 <= lives <= kind.seconds, (key, lives)
    # Loads are over within milliseconds.
    assert seen == {kind.name for kind in KINDS} - {"like_loads"}


async def settled(server: redis.Redis) -> bool:
    return any(True for _ in server.scan_iter("rate:write:*"))


async def test_the_metric_is_what_redis_says(files: Backend, server: redis.Redis, empty_redis: str) -> None:
    backend = on(files, empty_redis)
    async with open_world(backend) as world:
        await use_everything(world, backend)
        with server.pipeline(transaction=False) as pipeline:
            for number in range(3_000):  # more than one scrape looks at
                pipeline.set(f"view:seen:{number:026d}:viewer", "1")
                pipeline.set(f"foreign:{number}", "x" * 100)
            pipeline.execute()
        for _ in range(12):
            text = (await world.admin.get("/metrics")).text
        server.config_set("maxmemory", 100 * MEGABYTE)
        limited = (await world.admin.get("/metrics")).text
        server.config_set("maxmemory", 0)
    true: Counter[str] = Counter()
    for key in server.scan_iter(count=1000):
        kind = kind_of(key)
        true[OTHER if kind is None else kind.name] += int(server.memory_usage(key) or 0)
    for name in ("viewers", OTHER):
        assert sample(text, "bapsang_redis_bytes", name) == pytest.approx(true[name], rel=0.1)
    for name in ("revocations", "views", "like_sync"):  # of named keys alone
        assert sample(text, "bapsang_redis_bytes", name) == true[name] > 0
    budgets = {kind.name: sample(text, "bapsang_redis_budget_bytes", kind.name) for kind in KINDS}
    assert sum(budgets.values()) == pytest.approx(int(server.info("memory")["total_system_memory"]))
    assert sample(limited, "bapsang_redis_budget_bytes", "likes") == pytest.approx(55 * MEGABYTE)


def sample(text: str, name: str, kind: str) -> float:
    (line,) = [line for line in text.splitlines() if line.startswith(f'{name}{{kind="{kind}"}} ')]
    return float(line.rpartition(" ")[2])


WRITES = {"likes": 50_000, "views": 46_000, "keys": 4_000}
POSTS = 1_000
SENDERS = 8


async def test_a_hundred_thousand_writes_of_one_account_take_five_megabytes_and_no_like_of_others(
    server: redis.Redis, empty_redis: str
) -> None:
    """By the code that serves requests, at once instead of within the 14 hours for which the limit makes them last."""
    client = open_redis(empty_redis, seconds=10)
    pipeline = Pipeline(client, seconds=10)
    likes, views, clock = LikeStore(client, pipeline), ViewStore(client, pipeline), SystemClock()
    limits = RateLimiter(client, clock, {**DEFAULTS, Limit.WRITE: Rate(10**8, 60)})
    mallory, posts = f"{1:026d}", [f"{number:026d}" for number in range(POSTS)]
    await likes.epoch(begin="epoch")

    async def load(post_id: str) -> None:
        await likes.begin_load(post_id, "token")
        await likes.stage(post_id, "token", range(1_000, 1_010), compact=False)
        assert await likes.finish_load(post_id, "token", {}, staged=10, compact=False)

    await asyncio.gather(*map(load, posts))
    theirs = {post_id: server.smembers(f"like:users:{post_id}") for post_id in posts}
    for post_id in posts[:10]:  # scripts and connections are there before
        await likes.set(post_id, mallory, 1, None, clock.now())
    before = int(server.info("memory")["used_memory"])

    async def like(number: int) -> None:
        limits.admit({"type": "http"}, Limit.WRITE, mallory)
        await likes.set(posts[number % POSTS], mallory, 1, None, clock.now())

    for start in range(0, WRITES["likes"], 500):
        await asyncio.gather(*map(like, range(start, start + 500)))
    seen: list[Any] = []
    for number in range(WRITES["views"]):
        views.count(posts[number % POSTS], mallory, seen.append)
        if number % 500 == 499:
            await pipeline.run("PING")
    await limits.settle()
    kept = await send_with_keys(Idempotency(client, Anybody(mallory)), WRITES["keys"])  # type: ignore[arg-type]

    grown = int(server.info("memory")["used_memory"]) - before
    assert kept.total() == WRITES["keys"]
    assert MOST_KEPT <= kept[201] < MOST_KEPT + SENDERS  # what is under way when the last record is made may be done
    assert len(seen) == WRITES["views"]
    assert 0 < grown < 5 * MEGABYTE, f"{grown:,}"
    for post_id in posts:
        assert server.smembers(f"like:users:{post_id}") - {"1"} == theirs[post_id]
    await pipeline.close()
    await client.aclose()


class Anybody:
    """A verifier for which each token is of one user."""

    def __init__(self, user_id: str) -> None:
        self._user_id = user_id

    def verify(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(user_id=self._user_id)


async def send_with_keys(idempotency: Idempotency, requests: int) -> Counter[int]:
    """Send POSTs that succeed, each with a key of its own; return how many were answered with which status."""
    answers: Counter[int] = Counter()
    numbers = itertools.count()

    async def answer_by(_: object) -> Answer:
        return Answer(201, b"", [(b"location", b"/api/v1/posts/01JD0000000000000000000000")])

    async def send() -> None:
        body = json.dumps({"title": "x" * 1_000}).encode()
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"{API}/posts",
            "raw_path": f"{API}/posts".encode(),
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer token")],
            "client": ("192.0.2.1", 1),
        }

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        for number in numbers:
            if number >= requests:
                return
            try:
                answer = await idempotency.run(
                    answer_by, Request(scope, 0), {}, receive, f"a key, the longest there is {number:0225d}"
                )
                assert answer is not None
                answers[answer.status] += 1
            except TooManyRequests:
                answers[429] += 1

    await asyncio.gather(*(send() for _ in range(SENDERS)))
    return answers


def test_the_shares_are_the_whole() -> None:
    assert math.fsum(kind.share for kind in KINDS) == pytest.approx(1.0)
