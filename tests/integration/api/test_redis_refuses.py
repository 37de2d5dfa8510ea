"""What is answered while Redis is gone or refuses: docs/api.md has the table, a row a feature, and each cell is tried here."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event

from bapsang_api.jobs import Act, administer, like_sync
from bapsang_api.kit.redis.client import OUTAGE, open_redis
from bapsang_api.likes.store import LikeStore
from bapsang_local.engine import Engine

from . import refusals
from .refusals import CODES, GONE, Server
from .world import API, PASSWORD, Backend, Person, World, assert_problem, eventually, make_admin, open_world

PAGE = Path(__file__).parents[3] / "docs/api.md"
TASKS = {"revocations", "recall", "rate_limits", "changes", "shedding", "streams"}
SEARCHES = 3
DONE = "done"


@dataclass
class Site:
    """Two processes that have served before Redis refuses, and one that starts afterwards, on the same servers.

    `ended` are tokens of sessions that have been ended since, `unannounced` the ids of those that Redis never learns of.
    """

    backend: Backend
    redis: Server
    here: World
    there: World
    root: Person
    fresh: World | None = None
    ended: list[dict[str, str]] = field(default_factory=list)
    unannounced: set[str] = field(default_factory=set)

    @property
    def started(self) -> World:
        """The process that has started since Redis refuses, and remembers nothing."""
        assert self.fresh is not None
        return self.fresh

    async def device(self, person: Person) -> Person:
        """Log somebody in on one more device."""
        other = replace(person)
        other.token, other.refresh_token = await self.here.log_in(person.email)
        return other

    async def all_ended(self, *devices: Person) -> None:
        """Check that these sessions are over here, and for good; the other process may take a moment."""
        for device in devices:
            assert_problem(await device.get("/users/me"), 401, "T003")
            assert_problem(await self.here.refresh(device.refresh_token), 401, "E401-1")
            self.ended.append(device.headers)

    async def ended_everywhere(self) -> bool:
        answers = [await self.there.http.get(f"{API}/users/me", headers=headers) for headers in self.ended]
        return {answer.status_code for answer in answers} == {401}

    async def count(self, table: str) -> int:
        return int((await self.here.rows(f"SELECT COUNT(*) FROM {table}"))[0][0])  # noqa: S608 - a table's name


Feature = Callable[[Site], AsyncIterator[str]]
FEATURES: dict[str, Feature] = {}


def row(name: str) -> Callable[[Feature], Feature]:
    """Register what tries a row. It yields once what it needs is there; then, while Redis refuses, its cell; what follows
    runs when Redis is back."""

    def register(feature: Feature) -> Feature:
        FEATURES[name] = feature
        return feature

    return register


def outcome(*answers: httpx.Response) -> str:
    """Return `done`, `503`, or what else was answered."""
    for answer in answers:
        if answer.status_code == 503:
            assert_problem(answer, 503, "E503-1")
            assert answer.headers["Retry-After"]
    found = {DONE if answer.is_success else str(answer.status_code) for answer in answers}
    return " ".join(sorted(found))


@row("likes")
async def liking(site: Site) -> AsyncIterator[str]:
    alice, bob = await site.here.person(), await site.here.person()
    post_id = await alice.write_post()
    assert (await alice.toggle(post_id)).status_code == 204
    yield ""
    path = f"/posts/{post_id}/likes"
    yield outcome(await bob.send("PUT", path), await alice.send("DELETE", path), await alice.toggle(post_id))
    stats = (await alice.get(f"/posts/{post_id}")).json()["stats"]
    assert (stats["likeCount"], stats["isLiked"]) == (1, True)


@row("views")
async def viewing(site: Site) -> AsyncIterator[str]:
    alice = await site.here.person()
    post_id = await alice.write_post()
    yield ""
    nobody = await site.here.http.get(f"{API}/posts/{post_id}")
    assert (outcome(nobody), outcome(await alice.get(f"/posts/{post_id}"))) == (DONE, DONE)
    yield "not counted"
    assert (await site.there.http.get(f"{API}/posts/{post_id}")).json()["stats"]["viewCount"] == 0


@row("writing, changing and deleting posts and comments, reports")
async def writing(site: Site) -> AsyncIterator[str]:
    alice, bob = await site.here.person(), await site.here.person()
    kept = await alice.write_post()
    yield ""
    gone = await alice.write_post()
    await alice.write_comment(kept)
    changed = await alice.send("PATCH", f"/posts/{kept}", json={"title": "다른 밥상"})
    reported = await bob.send("POST", f"/posts/{kept}/reports", json={"reason": "SPAM"})
    yield outcome(changed, reported, await alice.send("DELETE", f"/posts/{gone}"))


@row("hiding and showing a post")
async def moderating(site: Site) -> AsyncIterator[str]:
    alice = await site.here.person()
    post_id = await alice.write_post()
    assert (await alice.toggle(post_id)).status_code == 204
    await site.here.write_back()
    yield ""
    acts, entries = [], await site.count("audit_log")
    for act, status in (("hide", 404), ("show", 200)):
        acts.append(await site.root.send("POST", f"/admin/posts/{post_id}/{act}"))
        assert (await alice.get(f"/posts/{post_id}")).status_code == status
    assert await site.count("audit_log") == entries + 2
    yield outcome(*acts)
    stats = (await alice.get(f"/posts/{post_id}")).json()["stats"]
    assert (stats["likeCount"], stats["isLiked"]) == (1, True)


@row("counts and `isLiked` of lists and details")
async def reading(site: Site) -> AsyncIterator[str]:
    alice, bob = await site.here.person(), await site.here.person()
    post_id = await alice.write_post()
    assert (await alice.toggle(post_id)).status_code == 204
    await site.here.write_back()
    assert (await bob.toggle(post_id)).status_code == 204
    yield ""
    http = site.started.http
    listed = (await http.get(f"{API}/posts")).json()["items"]
    (count,) = [item["stats"]["likeCount"] for item in listed if item["postId"] == post_id]
    stats = (await http.get(f"{API}/posts/{post_id}", headers=bob.headers)).json()["stats"]
    known = {(1, 1, False): "of the last write-back", (2, 2, True): "of now"}
    yield known.get((count, stats["likeCount"], stats["isLiked"]), f"{count} {stats}")


@row("login, sign-up")
async def arriving(site: Site) -> AsyncIterator[str]:
    alice = await site.here.person()
    yield ""
    before = await site.count("users"), await site.count("auth_sessions")
    body = {"email": alice.email, "password": PASSWORD}
    login = await site.here.http.post(f"{API}/auth/tokens", json=body)
    new = {"email": "new@example.com", "password": PASSWORD, "nickname": "새사람"}
    cell = outcome(login, await site.here.http.post(f"{API}/auth/users", json=new))
    assert (await site.count("users"), await site.count("auth_sessions")) == before
    yield cell


@row("check of the own password, withdrawal")
async def withdrawing(site: Site) -> AsyncIterator[str]:
    alice = await site.here.person()
    yield ""
    body = {"password": PASSWORD}
    checked = await alice.send("POST", "/auth/password", json=body)
    cell = outcome(checked, await alice.send("PATCH", "/users/me/withdraw", json=body))
    assert (await alice.get("/users/me")).status_code == 200
    yield cell
    assert (await alice.send("PATCH", "/users/me/withdraw", json=body)).status_code == 204


@row("one-time links, a password change with `currentPassword`")
async def recovering(site: Site) -> AsyncIterator[str]:
    alice = await site.here.person()
    yield ""
    used = await site.here.http.post(f"{API}/auth/email-verifications", json={"token": "o" * 43})
    body = {"password": f"{PASSWORD}2", "currentPassword": PASSWORD}
    cell = outcome(used, await alice.send("PATCH", "/auth/password", json=body))
    assert (await alice.get("/users/me")).status_code == 200
    yield cell
    assert (await alice.send("PATCH", "/auth/password", json=body)).status_code == 200


@row("refresh")
async def refreshing(site: Site) -> AsyncIterator[str]:
    alice = await site.here.person()
    yield ""
    yield outcome(await site.here.refresh(alice.refresh_token))


@row("log-out, ending a session")
async def leaving(site: Site) -> AsyncIterator[str]:
    alice = await site.here.person()
    phone, tablet = await site.device(alice), await site.device(alice)
    yield ""
    acts = [await site.here.log_out(cookie=phone.refresh_token)]
    acts.append(await alice.send("DELETE", f"/users/me/sessions/{tablet.principal.session_id}"))
    await site.all_ended(phone, tablet)
    assert (await alice.get("/users/me")).status_code == 200
    yield outcome(*acts)


@row("password change")
async def changing_password(site: Site) -> AsyncIterator[str]:
    alice = await site.here.person()
    phone = await site.device(alice)
    yield ""
    answer = await alice.send("PATCH", "/auth/password", json={"password": f"{PASSWORD}2"})
    await site.all_ended(alice, phone)
    yield outcome(answer)
    body = {"email": alice.email, "password": f"{PASSWORD}2"}
    assert (await site.here.http.post(f"{API}/auth/tokens", json=body)).status_code == 201


@row("block, also by `bapsang-api admin`")
async def blocking(site: Site) -> AsyncIterator[str]:
    mallory, eve = await site.here.person(), await site.here.person()
    phone = await site.device(mallory)
    yield ""
    answer = await site.root.send("POST", f"/admin/users/{mallory.user_id}/block")
    await site.all_ended(mallory, phone)
    assert await administer(site.backend.settings, act=Act.BLOCK, target=eve.email, reason=None)
    assert_problem(await site.here.refresh(eve.refresh_token), 401, "E401-1")
    site.ended.append(eve.headers)
    site.unannounced.add(eve.principal.session_id)  # its process has ended
    yield outcome(answer)
    for person in (mallory, eve):
        body = {"email": person.email, "password": PASSWORD}
        assert_problem(await site.here.http.post(f"{API}/auth/tokens", json=body), 403, "E403-1")


@row("a request with `Idempotency-Key`")
async def sending_once(site: Site) -> AsyncIterator[str]:
    alice = await site.here.person()
    yield ""
    before = await site.count("posts")
    cell = outcome(await keyed(alice, "key-1"))
    assert await site.count("posts") == before
    yield cell
    assert (await keyed(alice, "key-1")).status_code == 201


@row("the other rate limits")
async def limiting(site: Site) -> AsyncIterator[str]:
    yield ""

    async def searched(world: World) -> list[int]:
        return [(await world.http.get(f"{API}/search/posts?q=밥상")).status_code for _ in range(SEARCHES + 1)]

    found = [await searched(world) for world in (site.here, site.started)]
    yield "counted in each process" if found == [[*[200] * SEARCHES, 429]] * 2 else str(found)


@row("readiness, of a new process too")
async def readiness(site: Site) -> AsyncIterator[str]:
    yield ""
    answers = [await world.admin.get("/readyz") for world in (site.here, site.started)]
    yield "ready" if [answer.text for answer in answers] == ["OK", "OK"] else str(answers)


@row("`bapsang_redis_up`")
async def observing(site: Site) -> AsyncIterator[str]:
    yield ""
    lines = (await site.here.admin.get("/metrics")).text.splitlines()
    (up,) = [line.split()[1] for line in lines if line.startswith("bapsang_redis_up ")]
    yield f"{float(up):g}"


@row("like-sync")
async def writing_back(site: Site) -> AsyncIterator[str]:
    """The last row: what it writes back changes what others read."""
    alice = await site.here.person()
    post_id = await alice.write_post()
    assert (await alice.toggle(post_id)).status_code == 204
    yield ""
    cell = DONE if await like_sync(site.backend.settings, batch_size=500) else "fails"
    assert await site.here.liked_rows(post_id) == (cell == DONE)
    yield cell
    await site.here.write_back()
    assert await site.here.liked_rows(post_id) == 1


def columns() -> Iterator[tuple[str, dict[str, str]]]:
    """Return the table of docs/api.md: of each code its cells, by feature."""
    section = PAGE.read_text().partition("\n### Without Redis\n")[2].partition("\n#")[0]
    head, _, *rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    for number, title in enumerate(head, start=1):
        codes = re.findall(r"`-([A-Z]+)`", title) + [GONE] * title.startswith("gone")
        for code in codes:
            yield code, {cells[0]: cells[number] for cells in rows}


@pytest.fixture(scope="module")
def server(engine: Engine) -> Iterator[Server]:
    with refusals.running(engine) as running:
        yield running


@pytest.fixture
def on_server(files: Backend, server: Server) -> Backend:
    """The limits are counted, so that there is something to settle."""
    server.client.flushall()
    limits = {"BAPSANG_RATE_LIMITS": f"search={SEARCHES}/60"}
    return Backend("sqlite+redis", {**files.environment, "BAPSANG_REDIS_URL": server.url, **limits})


@pytest.fixture
async def site(on_server: Backend, server: Server) -> AsyncIterator[Site]:
    async with open_world(on_server) as here, open_world(on_server) as there:
        for world in (here, there):
            await world.runtime.revoked.recall(world.runtime.database)  # as a process does before it is ready
        yield Site(on_server, server, here, there, await make_admin(here, await here.person()))


def test_the_table_has_each_code() -> None:
    assert sorted(code for code, _ in columns()) == sorted(CODES)


@pytest.mark.parametrize("code", CODES)
async def test_what_needs_redis_is_503_and_all_else_goes_on(site: Site, code: str) -> None:
    tried = {name: feature(site) for name, feature in FEATURES.items()}
    for feature in tried.values():
        await anext(feature)
    with site.redis.refusing(code):
        async with open_world(site.backend) as site.fresh:
            cells = {name: await anext(feature) for name, feature in tried.items()}
            await eventually(site.ended_everywhere)

    async def answers_again() -> bool:
        return (await site.root.send("PUT", f"/posts/{post_id}/likes")).status_code == 204

    post_id = await site.root.write_post()
    await eventually(answers_again)
    for feature in tried.values():
        assert await anext(feature, None) is None

    async def all_announced() -> bool:
        announced = {fields["sid"] for _, fields in site.redis.client.xrange("auth:revoked")}
        revoked = await site.here.rows("SELECT id FROM auth_sessions WHERE revoked_at IS NOT NULL")
        return announced | site.unannounced == {session_id for (session_id,) in revoked}

    await eventually(all_announced)  # by the task that was refused twice a second
    running = await metric(site.here, "bapsang_task_running")
    assert {task for task, value in running.items() if value} == TASKS
    assert not any((await metric(site.here, "bapsang_task_failures_total")).values())
    assert cells == dict(columns()).get(code)


async def test_likes_are_written_back_from_a_full_redis(site: Site) -> None:
    """Those that wait, and those that a run has left that died; with an append-only file that has to be waited for."""
    alice, bob = await site.here.person(), await site.here.person()
    left, waiting = await alice.write_post(), await alice.write_post()
    likes = LikeStore(site.here.runtime.redis)
    with site.redis.settings(appendonly="yes", appendfsync="always"):
        assert (await alice.toggle(left)).status_code == 204
        await likes.claim([left], "a run that died")
        assert (await bob.toggle(left)).status_code == (await alice.toggle(waiting)).status_code == 204
        with site.redis.refusing("OOM"):
            assert_problem(await bob.toggle(waiting), 503, "E503-1")
            assert await like_sync(site.backend.settings, batch_size=500)
            assert await like_sync(site.backend.settings, batch_size=500)  # what had come after the claim
            assert await site.count("user_post_likes") == 3
            assert not list(site.redis.client.scan_iter("like:[dc]*"))  # deltas, claims, marks


async def test_a_refusal_between_the_commit_and_the_record_is_not_told_to_the_client(site: Site) -> None:
    alice = await site.here.person()
    with contextlib.ExitStack() as refusing:

        def refuse(_: object) -> None:
            refusing.enter_context(site.redis.refusing("NOREPLICAS"))

        event.listen(site.here.runtime.database.engine, "commit", refuse, once=True)
        answer = await keyed(alice, "key-1")
        assert site.redis.client.config_get("min-replicas-to-write") == {"min-replicas-to-write": "1"}
    assert answer.status_code == 201
    assert await site.count("posts") == 1


async def test_what_waits_while_redis_becomes_a_replica_is_an_outage(server: Server) -> None:
    """As a write-back does that waits for the append-only file: UNBLOCKED is no bug of the program."""
    client = open_redis(server.url)
    waiting_for = asyncio.ensure_future(client.blpop(["nothing"], timeout=5))

    async def waits() -> bool:
        return bool(server.client.info("clients")["blocked_clients"])

    try:
        await eventually(waits)
        with server.refusing("READONLY"), pytest.raises(OUTAGE, match="UNBLOCKED"):
            await waiting_for
    finally:
        await client.aclose()


async def metric(world: World, name: str) -> dict[str, float]:
    """Return the values of a metric by task."""
    lines = (await world.admin.get("/metrics")).text.splitlines()
    found = (line.removeprefix(f'{name}{{task="').split('"} ') for line in lines if line.startswith(f"{name}{{"))
    return {task: float(value) for task, value in found}


async def keyed(person: Person, key: str) -> httpx.Response:
    headers = {**person.headers, "Idempotency-Key": key}
    return await person.http.post(f"{API}/posts", json={"title": "오늘의 밥상", "content": "밥"}, headers=headers)
