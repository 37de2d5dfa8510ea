"""Rate limits: who is refused, what the headers say, and what happens without Redis."""

import asyncio
from datetime import timedelta

import pytest

from bapsang_api.http.ratelimit import Limit, subject_of

from .world import API, PASSWORD, Backend, World, assert_problem, eventually, open_world

LOGIN = {"email": "nobody@example.com", "password": PASSWORD}


def limited(backend: Backend, rates: str, **environment: str) -> Backend:
    """Return the back end with these limits and no others."""
    off = [f"{name}=off" for name in Limit if f"{name}=" not in rates]
    return Backend(backend.name, {**backend.environment, "BAPSANG_RATE_LIMITS": ",".join([*off, rates]), **environment})


async def log_in(world: World, address: str = "203.0.113.7", **changes: str) -> int:
    headers = {"X-Forwarded-For": address}
    return (await world.http.post(f"{API}/auth/tokens", json=LOGIN | changes, headers=headers)).status_code


async def test_logins_are_limited_by_address_and_come_back_with_time(backend: Backend) -> None:
    async with open_world(limited(backend, "login_ip=3/60")) as world:
        assert [await log_in(world, email=f"{n}@example.com") for n in range(4)] == [401, 401, 401, 429]
        assert await log_in(world, "203.0.113.8") == 401
        answer = await world.http.post(f"{API}/auth/tokens", json=LOGIN, headers={"X-Forwarded-For": "203.0.113.7"})
        assert_problem(answer, 429, "E429-1")
        assert answer.headers["RateLimit-Limit"] == "3"
        assert answer.headers["RateLimit-Remaining"] == "0"
        assert 15 <= int(answer.headers["Retry-After"]) <= 20
        assert 55 <= int(answer.headers["RateLimit-Reset"]) <= 60
        world.clock.passed += timedelta(seconds=20)
        assert [await log_in(world) for _ in range(2)] == [401, 429]


async def test_wrong_passwords_are_limited_by_email_whatever_the_address_and_case(backend: Backend) -> None:
    async with open_world(limited(backend, "login_account=2/60")) as world:
        assert await log_in(world, "203.0.113.1") == 401
        assert await log_in(world, "203.0.113.2", email="Nobody@Example.com") == 401
        assert await log_in(world, "203.0.113.3") == 429
        assert await log_in(world, "203.0.113.3", email="somebody@example.com") == 401
        keys = repr(await world.runtime.redis.keys("*"))
        assert "nobody" not in keys
        assert "203.0" not in keys


async def test_login_refused_by_one_rule_costs_nothing_by_the_other(backend: Backend) -> None:
    async with open_world(limited(backend, "login_ip=3/60,login_email=1/60")) as world:
        assert [await log_in(world) for _ in range(4)] == [401, 429, 429, 429]
        assert await log_in(world, email="somebody@example.com") == 401


async def test_writes_are_limited_by_address_wherever_they_go(files: Backend) -> None:
    async with open_world(limited(files, "ip=2/60")) as world:
        for path in ("/uploads/presign", "/uploads/presign/temp", "/nowhere"):
            headers = {"X-Forwarded-For": f"203.0.113.{len(path)}"}
            answers = [(await world.http.post(path, json=LOGIN, headers=headers)).status_code for _ in range(3)]
            assert answers[2] == 429, path
            assert 429 not in answers[:2], path


async def test_signups_and_password_checks_are_limited(backend: Backend) -> None:
    async with open_world(limited(backend, "signup=1/60,password=1/60")) as world:
        alice = await world.person()
        body = {"email": "b@example.com", "password": PASSWORD, "nickname": "b"}
        assert_problem(await world.http.post(f"{API}/auth/users", json=body), 429, "E429-1")
        right = {"password": PASSWORD}
        assert (await alice.send("POST", "/auth/password", json=right)).status_code == 200
        assert_problem(await alice.send("POST", "/auth/password", json=right), 429, "E429-1")
        assert_problem(await alice.send("PATCH", "/users/me/withdraw", json=right), 429, "E429-1")


async def test_requests_that_overtake_each_other_do_not_shorten_a_burst(backend: Backend) -> None:
    async with open_world(limited(backend, "login_ip=3/60")) as world:
        statuses = []
        for number in range(4):
            statuses.append(await log_in(world, email=f"{number}@example.com"))
            world.clock.passed -= timedelta(milliseconds=200)  # the next one comes from a replica that is behind
        assert statuses == [401, 401, 401, 429]


async def test_requests_are_limited_by_address_and_writes_by_user(backend: Backend) -> None:
    async with open_world(limited(backend, "ip=5/60,write=1/60")) as world:
        alice = await world.person()  # two requests
        await alice.write_post()
        refused = await alice.send("POST", "/posts", json={"title": "a", "content": "b"})
        assert_problem(refused, 429, "E429-1")
        assert refused.headers["RateLimit-Limit"] == "1"  # the one that leaves the least
        read = await alice.get("/users/me")
        assert (read.status_code, read.headers["RateLimit-Remaining"]) == (200, "0")
        assert_problem(await alice.get("/users/me"), 429, "E429-1")
        assert (await world.http.get(f"{API}/health")).status_code == 200
        other = await world.http.get(f"{API}/posts", headers={"X-Forwarded-For": "203.0.113.9"})
        assert (other.status_code, other.headers["RateLimit-Remaining"]) == (200, "4")


async def test_every_change_of_posts_and_comments_counts_as_a_write(backend: Backend) -> None:
    async with open_world(limited(backend, "write=6/60")) as world:
        alice = await world.person()
        post_id = await alice.write_post()
        path = f"/posts/{post_id}/comments/{await alice.write_comment(post_id)}"
        changes = [("PATCH", path, 201), ("DELETE", path, 204), ("PATCH", f"/posts/{post_id}", 200)]
        for method, target, status in [*changes, ("DELETE", f"/posts/{post_id}", 204)]:
            assert (await alice.send(method, target, json={"content": "고침"})).status_code == status
        for method, target, _ in [*changes, ("POST", f"/posts/{post_id}/comments", 0)]:
            assert_problem(await alice.send(method, target, json={"content": "고침"}), 429, "E429-1")


async def test_replicas_count_together(servers: Backend) -> None:
    backend = limited(servers, "ip=100/3600,login_ip=6/3600")
    async with open_world(backend) as here, open_world(backend) as there:
        logins = [log_in(world, email=f"{n}@example.com") for n in range(6) for world in (here, there)]
        answers = await asyncio.gather(*logins)
        assert answers.count(429) == 6
        await asyncio.gather(*(here.http.get(f"{API}/posts") for _ in range(100)))
        await there.http.get(f"{API}/posts")

        async def refused_there() -> bool:
            return (await there.http.get(f"{API}/posts")).status_code == 429

        await eventually(refused_there)


async def test_without_redis_reading_goes_on_and_logins_and_signups_answer_503(files: Backend) -> None:
    environment = {"BAPSANG_REDIS_URL": "redis://127.0.0.1:1/0"}
    async with open_world(limited(files, "ip=100/60,login_ip=9/60,signup=9/60", **environment)) as world:
        assert (await world.http.get(f"{API}/posts")).status_code == 200
        assert_problem(await world.http.post(f"{API}/auth/tokens", json=LOGIN), 503, "E503-1")
        body = {"email": "b@example.com", "password": PASSWORD, "nickname": "b"}
        assert_problem(await world.http.post(f"{API}/auth/users", json=body), 503, "E503-1")


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_ipv6_counts_by_its_64(address: str, subject: str) -> None:
    assert subject_of(address) == subject
