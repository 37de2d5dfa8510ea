"""A Redis that answers and refuses: full, without its disk, its replicas or its master, busy, closed to the user.

Each refusal is the server's own, brought about by its settings and taken back afterwards.
"""

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace

import httpx
import pytest
import redis
from sqlalchemy import event
from tests import waiting

from .world import API, PASSWORD, Backend, Person, World, assert_problem, eventually, make_admin, open_world

NOBODY = ("127.0.0.1", 1)  # a master that does not answer
CODES = ("OOM", "MISCONF", "NOREPLICAS", "READONLY", "MASTERDOWN", "NOPERM", "BUSY")
TASKS = {"revocations", "rate_limits", "changes", "shedding"}


@dataclass(frozen=True)
class Server:
    """The Redis under test. Everything that `refusing` sets is put back."""

    url: str
    client: redis.Redis

    @contextlib.contextmanager
    def refusing(self, code: str) -> Iterator[None]:
        """Have the server refuse what this code is for."""
        begin: Callable[[], contextlib.AbstractContextManager[None]] = getattr(self, f"_{code.lower()}")
        with begin():
            yield

    @contextlib.contextmanager
    def settings(self, **values: str) -> Iterator[None]:
        names = {name: name.replace("_", "-") for name in values}
        before = {setting: self.client.config_get(setting)[setting] for setting in names.values()}
        try:
            for name, value in values.items():
                self.client.config_set(names[name], value)
            yield
        finally:
            for setting, value in before.items():
                self.client.config_set(setting, value)

    def _oom(self) -> contextlib.AbstractContextManager[None]:
        return self.settings(maxmemory="1")

    def _noreplicas(self) -> contextlib.AbstractContextManager[None]:
        return self.settings(min_replicas_to_write="1")

    @contextlib.contextmanager
    def _misconf(self) -> Iterator[None]:
        with self.settings(dir="/proc", save="3600 1"):
            self.client.bgsave()
            waiting.eventually(lambda: self.client.info("persistence")["rdb_last_bgsave_status"] == "err")
            yield

    @contextlib.contextmanager
    def _readonly(self) -> Iterator[None]:
        self.client.replicaof(*NOBODY)
        try:
            yield
        finally:
            self.client.replicaof("NO", "ONE")

    @contextlib.contextmanager
    def _masterdown(self) -> Iterator[None]:
        with self.settings(replica_serve_stale_data="no"), self._readonly():
            yield

    @contextlib.contextmanager
    def _noperm(self) -> Iterator[None]:
        self.client.execute_command("ACL", "SETUSER", "default", "-@all", "+acl")
        try:
            yield
        finally:
            self.client.execute_command("ACL", "SETUSER", "default", "+@all")

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        def run_for_ever() -> None:
            with (
                redis.Redis.from_url(self.url, socket_timeout=None) as other,
                contextlib.suppress(redis.ResponseError),
            ):
                other.eval("while true do end", 0)

        def is_busy() -> bool:
            try:
                return not self.client.ping()
            except redis.ResponseError as error:
                return str(error).startswith("BUSY")

        script = threading.Thread(target=run_for_ever)
        with self.settings(busy_reply_threshold="1"):
            script.start()
            try:
                waiting.eventually(is_busy)
                yield
            finally:
                self.client.script_kill()
                script.join()


@pytest.fixture
def server(empty_redis: str) -> Iterator[Server]:
    with redis.Redis.from_url(empty_redis, decode_responses=True) as client:
        yield Server(empty_redis, client)


@pytest.fixture
async def world(files: Backend, empty_redis: str) -> AsyncIterator[World]:
    """A service whose Redis is the server; its limits are counted, so that there is something to settle."""
    environment = {**files.environment, "BAPSANG_REDIS_URL": empty_redis}
    del environment["BAPSANG_RATE_LIMITS"]
    async with open_world(Backend("sqlite+redis", environment)) as opened:
        yield opened


async def metric(world: World, name: str) -> dict[str, float]:
    """Return the values of a metric by task."""
    lines = (await world.admin.get("/metrics")).text.splitlines()
    found = (line.removeprefix(f'{name}{{task="').split('"} ') for line in lines if line.startswith(f"{name}{{"))
    return {task: float(value) for task, value in found}


async def count(world: World, table: str) -> int:
    return int((await world.rows(f"SELECT COUNT(*) FROM {table}"))[0][0])  # noqa: S608 - a table's name


async def test_what_needs_redis_is_503_and_all_else_goes_on(world: World, server: Server) -> None:
    """In every way to refuse: nothing fails after its commit, a log-out is whole, and no background task ends."""
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    assert (await alice.send("PUT", f"/posts/{post_id}/likes")).status_code == 204
    await world.write_back()  # what cannot be read in Redis is read from the row
    for number, code in enumerate(CODES):
        carol = replace(bob)  # another device of the same person
        carol.token, carol.refresh_token = await world.log_in(bob.email)
        with server.refusing(code):
            posts = await count(world, "posts")
            gone = await bob.write_post()
            await bob.write_comment(post_id)
            assert (await bob.send("DELETE", f"/posts/{gone}")).status_code == 204, code
            assert (await alice.get(f"/posts/{post_id}")).json()["stats"]["isLiked"] is True, code
            assert len((await world.http.get(f"{API}/posts")).json()["items"]) == 1, code
            for answer in (
                await bob.send("PUT", f"/posts/{post_id}/likes"),
                await bob.toggle(post_id),
                await world.http.post(f"{API}/auth/tokens", json={"email": bob.email, "password": PASSWORD}),
                await keyed(bob, "key-1"),
            ):
                assert_problem(answer, 503, "E503-1")
            assert await count(world, "posts") == posts + 1, code
            assert (await world.log_out(cookie=carol.refresh_token)).status_code == 204, code
            assert_problem(await carol.get("/users/me"), 401, "T003")
            assert_problem(await world.refresh(carol.refresh_token), 401, "E401-1")
            assert (await world.admin.get("/readyz")).status_code == 200, code

        async def all_announced(sessions: int = number + 1) -> bool:
            return int(server.client.xlen("auth:revoked")) == sessions

        await eventually(all_announced)  # by the task that has been refused twice a second
    assert (await bob.send("PUT", f"/posts/{post_id}/likes")).status_code == 204
    assert (await keyed(bob, "key-1")).status_code == 201
    running = await metric(world, "bapsang_task_running")
    assert {task for task, value in running.items() if value} == TASKS
    assert not any((await metric(world, "bapsang_task_failures_total")).values())


async def test_an_act_of_a_moderator_is_done_once_also_without_redis(world: World, server: Server) -> None:
    alice, root = await world.person(), await make_admin(world, await world.person())
    post_id = await alice.write_post()
    assert (await alice.send("PUT", f"/posts/{post_id}/likes")).status_code == 204
    await world.write_back()
    with server.refusing("MASTERDOWN"):
        for act, status in (("hide", 404), ("show", 200)):
            assert (await root.send("POST", f"/admin/posts/{post_id}/{act}")).status_code == 204
            assert (await alice.get(f"/posts/{post_id}")).status_code == status
    assert await count(world, "audit_log") == 2
    stats = (await alice.get(f"/posts/{post_id}")).json()["stats"]
    assert (stats["likeCount"], stats["isLiked"]) == (1, True)


async def test_a_refusal_between_the_commit_and_the_record_is_not_told_to_the_client(
    world: World, server: Server
) -> None:
    alice = await world.person()
    with contextlib.ExitStack() as refusing:

        def refuse(_: object) -> None:
            refusing.enter_context(server.refusing("NOREPLICAS"))

        event.listen(world.runtime.database.engine, "commit", refuse, once=True)
        answer = await keyed(alice, "key-1")
        assert server.client.config_get("min-replicas-to-write") == {"min-replicas-to-write": "1"}
    assert answer.status_code == 201
    assert await count(world, "posts") == 1


async def keyed(person: Person, key: str) -> httpx.Response:
    headers = {**person.headers, "Idempotency-Key": key}
    return await person.http.post(f"{API}/posts", json={"title": "오늘의 밥상", "content": "밥"}, headers=headers)
