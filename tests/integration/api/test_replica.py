"""A replica that lags or fails: who reads from it, who never does, and what they see."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from tests.waiting import eventually as until

from bapsang_api.kit.db.replica import RETRY_SECONDS, Circuit, ReplicatedDatabase
from bapsang_api.migrate import migrate
from bapsang_api.readmodel import feed

from .databases import MigratedDatabases, mysql_database
from .world import API, PASSWORD, Backend, Person, World, assert_problem, eventually, open_world

READER = "reader"


@dataclass(frozen=True)
class Pair:
    """A service's back end with a replica, and the hands of its administrator."""

    backend: Backend
    database: str
    source: Engine
    replica: Engine

    def on_replica(self, statement: str) -> None:
        with self.replica.connect() as connection:
            connection.execute(text(statement))

    def lag(self) -> None:
        """From here on the replica receives everything and shows nothing of it."""
        self.on_replica("STOP REPLICA SQL_THREAD")

    def catch_up(self) -> None:
        self.on_replica("START REPLICA SQL_THREAD")
        with self.source.connect() as connection:
            done = connection.execute(text("SELECT @@GLOBAL.gtid_executed")).scalar()
        with self.replica.connect() as connection:
            waited = connection.execute(text("SELECT WAIT_FOR_EXECUTED_GTID_SET(:done, 30)"), {"done": done}).scalar()
        assert waited == 0, "the replica did not catch up"


@contextmanager
def _paired(servers: tuple[str, str], url: str, rest: dict[str, str]) -> Iterator[Pair]:
    """Yield the pair whose source has the database at `url`; `rest` is what else the environment holds."""
    source, replica = (create_engine(server, isolation_level="AUTOCOMMIT") for server in servers)
    name = str(make_url(url).database)
    reader_url = make_url(servers[1]).set(username=READER, password="secret", database=name)
    environment = {
        **rest,
        "BAPSANG_DATABASE_URL": url,
        "BAPSANG_DATABASE_READER_URL": reader_url.render_as_string(hide_password=False),
    }
    pair = Pair(Backend("replicated", environment), name, source, replica)
    with source.connect() as connection:
        connection.execute(text(f"CREATE USER IF NOT EXISTS {READER} IDENTIFIED BY 'secret'"))
        connection.execute(text(f"GRANT SELECT ON *.* TO {READER}"))
    pair.catch_up()
    yield pair
    pair.on_replica("SET GLOBAL offline_mode = OFF")
    pair.catch_up()
    source.dispose()
    replica.dispose()


@pytest.fixture
def unmigrated(replicated_mysql: tuple[str, str], servers: Backend) -> Iterator[Pair]:
    """A pair with an empty database on both sides."""
    with (
        mysql_database(replicated_mysql[0], f"bapsang_test_{secrets.token_hex(4)}") as url,
        _paired(replicated_mysql, url, servers.environment) as pair,
    ):
        yield pair


@pytest.fixture(scope="module")
def migrated_source(replicated_mysql: tuple[str, str]) -> Iterator[MigratedDatabases]:
    databases = MigratedDatabases(replicated_mysql[0])
    yield databases
    databases.close()


@pytest.fixture
def pair(replicated_mysql: tuple[str, str], migrated_source: MigratedDatabases, servers: Backend) -> Iterator[Pair]:
    """A pair with the current schema and no rows on both sides."""
    with migrated_source.lent() as url, _paired(replicated_mysql, url, servers.environment) as pair:
        yield pair


@pytest.fixture
async def replicated(pair: Pair) -> AsyncIterator[World]:
    async with open_world(pair.backend) as opened:
        yield opened


def database_of(world: World) -> ReplicatedDatabase:
    assert isinstance(world.runtime.database, ReplicatedDatabase)
    return world.runtime.database


async def listed(world: World, headers: dict[str, str] | None = None) -> list[str]:
    """Return the posts that are found: a list that no process keeps a copy of."""
    answer = await world.http.get(f"{API}/search/posts", params={"q": "밥상"}, headers=headers)
    assert answer.status_code == 200, answer.text
    return [item["postId"] for item in answer.json()["items"]]


async def listens(world: World) -> None:
    """Wait until the process receives messages, as if it had done so for long: then it knows who has written."""

    async def subscribed() -> bool:
        return world.runtime.feed.listening_since < float("inf")

    await eventually(subscribed)
    world.runtime.feed.listening_since = float("-inf")


async def test_only_the_author_sees_a_new_post_before_the_replica_does(pair: Pair, replicated: World) -> None:
    alice, bob = await replicated.person(), await replicated.person()
    pair.catch_up()
    pair.lag()
    await listens(replicated)
    post_id = await alice.write_post()
    assert await listed(replicated, alice.headers) == [post_id]
    assert await listed(replicated, bob.headers) == []
    assert await listed(replicated) == []
    async with open_world(pair.backend) as other_process:
        assert await listed(other_process, alice.headers) == [post_id]
    pair.catch_up()
    assert await listed(replicated, bob.headers) == await listed(replicated) == [post_id]


async def test_lists_and_details_show_what_is_new_in_every_process_although_the_replica_lags(pair: Pair) -> None:
    async with open_world(pair.backend) as here, open_world(pair.backend) as there:

        async def both_listen() -> bool:
            ((_, listening),) = await here.runtime.redis.pubsub_numsub("bapsang:changes")
            return bool(listening == 2)

        async def shows(world: World, title: str) -> bool:
            listed = (await world.http.get(f"{API}/posts")).json()["items"]
            detail = (await world.http.get(f"{API}/posts/{post_id}")).json()
            return [item["title"] for item in listed] == [detail.get("title")] == [title]

        await eventually(both_listen)
        alice = await here.person()
        pair.catch_up()
        pair.lag()
        post_id = await alice.write_post("하나")
        assert await shows(here, "하나")
        await eventually(partial(shows, there, "하나"))
        await alice.send("PATCH", f"/posts/{post_id}", json={"title": "둘"})
        assert await shows(here, "둘")
        await eventually(partial(shows, there, "둘"))


async def test_replies_and_own_lists_are_current_for_who_wrote_and_lag_for_others(
    pair: Pair, replicated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = [await replicated.person() for _ in range(3)]
    post_id = await alice.write_post()
    top = await alice.write_comment(post_id)
    pair.catch_up()
    pair.lag()
    await listens(replicated)
    reply = await bob.write_comment(post_id, parent=top)
    newest = await bob.write_comment(post_id)
    own = await bob.write_post()
    await bob.toggle(post_id)
    await carol.toggle(post_id)  # likes live in Redis, so this is no write that the replica lacks
    await replicated.write_back()
    comments, replies = f"/posts/{post_id}/comments", f"/posts/{post_id}/comments/{top}/replies"

    async def ids(person: Person, path: str, name: str) -> list[str]:
        return [item[name] for item in (await person.get(path)).json()["items"]]

    async def seen(person: Person) -> list[list[str]]:
        names = {comments: "commentId", replies: "commentId", "/users/me/posts": "postId", "/users/me/likes": "postId"}
        return [await ids(person, path, name) for path, name in names.items()]

    assert await seen(bob) == [[newest, top], [reply], [own], [post_id]]
    assert await seen(carol) == [[newest, top], [], [], []]  # pages of comments are in the read model
    monkeypatch.setattr(feed, "RECENT_SECONDS", 0.0)
    assert await seen(bob) == [[newest, top], [], [], []]
    pair.catch_up()
    assert await seen(carol) == [[newest, top], [reply], [], [post_id]]


async def test_comments_of_a_post_that_the_replica_does_not_have_are_read_where_they_were_written(
    pair: Pair, replicated: World
) -> None:
    alice = await replicated.person()
    pair.catch_up()
    pair.lag()
    post_id = await alice.write_post()
    top = await alice.write_comment(post_id)
    reply = await alice.write_comment(post_id, parent=top)
    for path, first in ((f"/posts/{post_id}/comments", top), (f"/posts/{post_id}/comments/{top}/replies", reply)):
        answer = await replicated.http.get(API + path)
        assert [item["commentId"] for item in answer.json()["items"]] == [first]
    assert_problem(await replicated.http.get(f"{API}/posts/01JD0000000000000000000000/comments"), 404, "E404-1")


async def test_a_like_that_redis_does_not_hold_is_looked_for_in_the_replica(pair: Pair, replicated: World) -> None:
    alice = await replicated.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    pair.catch_up()
    pair.lag()
    await replicated.write_back()
    await replicated.runtime.redis.flushdb()

    async def is_liked() -> bool:
        return bool((await alice.get(f"/posts/{post_id}")).json()["stats"]["isLiked"])

    assert not await is_liked()
    pair.catch_up()
    assert await is_liked()


async def test_the_author_goes_back_to_the_replica_after_a_few_seconds(
    pair: Pair, replicated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await replicated.person()
    pair.catch_up()
    pair.lag()
    post_id = await alice.write_post()
    monkeypatch.setattr(feed, "RECENT_SECONDS", 60.0)
    assert await listed(replicated, alice.headers) == [post_id]
    monkeypatch.setattr(feed, "RECENT_SECONDS", 0.0)
    await listens(replicated)
    assert await listed(replicated, alice.headers) == []


async def test_without_redis_whoever_has_a_token_reads_what_is_current(pair: Pair, replicated: World) -> None:
    alice = await replicated.person()
    pair.catch_up()
    pair.lag()
    post_id = await alice.write_post()
    environment = {**pair.backend.environment, "BAPSANG_REDIS_URL": "redis://127.0.0.1:1/0"}
    async with open_world(Backend("no redis", environment)) as world:
        assert await listed(world, alice.headers) == [post_id]
        assert await listed(world) == []


async def test_a_link_may_be_faster_than_the_replica(pair: Pair, replicated: World) -> None:
    alice = await replicated.person()
    pair.catch_up()
    pair.lag()
    post_id = await alice.write_post()
    assert (await replicated.http.get(f"{API}/posts/{post_id}")).status_code == 200
    assert_problem(await replicated.http.get(f"{API}/posts/01JD0000000000000000000000"), 404, "E404-1")


async def test_what_decides_something_never_asks_the_replica(pair: Pair, replicated: World) -> None:
    pair.lag()
    alice = await replicated.person()
    body = {"email": alice.email, "password": PASSWORD, "nickname": alice.nickname}
    assert_problem(await replicated.http.post(f"{API}/auth/users", json=body), 409, "E409-1")
    assert (await replicated.http.get(f"{API}/auth/email", params={"email": alice.email})).status_code == 409
    assert (await replicated.refresh(alice.refresh_token)).status_code == 204
    post_id = await alice.write_post()
    bob = await replicated.person()
    assert (await bob.toggle(post_id)).status_code == 204
    assert len((await bob.get("/users/me/sessions")).json()["items"]) == 1
    assert (await bob.get("/users/me")).json()["nickname"] == bob.nickname


async def test_while_the_replica_is_down_the_writer_reads_and_then_it_is_used_again(
    pair: Pair, replicated: World
) -> None:
    now = [0.0]
    database_of(replicated)._circuit = Circuit(lambda: now[0])
    alice = await replicated.person()
    post_id = await alice.write_post()
    pair.on_replica("SET GLOBAL offline_mode = ON")
    assert await listed(replicated) == [post_id]
    assert (database_of(replicated).replica_up, database_of(replicated).fallbacks) == (False, 1)
    exposed = replicated.runtime.metrics.render().decode()
    assert "bapsang_db_replica_up 0.0" in exposed
    assert "bapsang_db_replica_fallbacks_total 1.0" in exposed

    assert await listed(replicated) == [post_id]
    assert database_of(replicated).fallbacks == 1  # it was not asked again
    now[0] += RETRY_SECONDS
    assert await listed(replicated) == [post_id]
    assert database_of(replicated).fallbacks == 2  # one try

    pair.on_replica("SET GLOBAL offline_mode = OFF")
    pair.catch_up()
    pair.lag()
    await alice.write_post()
    now[0] += RETRY_SECONDS
    assert await listed(replicated) == [post_id]  # as the replica has it
    assert database_of(replicated).replica_up


async def test_a_replica_whose_schema_lags_is_read_around(unmigrated: Pair) -> None:
    unmigrated.lag()
    migrate(unmigrated.backend.environment["BAPSANG_DATABASE_URL"])
    async with open_world(unmigrated.backend) as world:

        async def asked_for_the_newest() -> bool:  # as a process does when it starts
            return database_of(world).fallbacks == 1

        await eventually(asked_for_the_newest)
        assert await listed(world) == []
        assert database_of(world).fallbacks == 2
        assert database_of(world).replica_up


def test_the_replica_really_lags(pair: Pair) -> None:
    pair.lag()
    with pair.source.connect() as source, pair.replica.connect() as replica:
        source.execute(text(f"CREATE TABLE {pair.database}.mark (id INT PRIMARY KEY)"))
        shown = text("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = :d AND table_name = 'mark'")
        assert replica.execute(shown, {"d": pair.database}).scalar() == 0
        pair.catch_up()
        until(lambda: replica.execute(shown, {"d": pair.database}).scalar() == 1)
