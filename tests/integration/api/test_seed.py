"""The seeder against real databases, and how what it made is read."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import Connection, Engine, create_engine, event, text

from bapsang_api.kit.db.keyset import Keyset
from bapsang_api.likes.rows import store as likes
from bapsang_api.posts import queries as posts
from bapsang_api.seed.plan import Sizes
from bapsang_api.seed.service import PASSWORD, Seeder
from bapsang_api.tables import METADATA
from bapsang_api.upkeep.recount import Recount
from bapsang_api.users import store as users

from .databases import connected
from .process import log_lines, run_here
from .world import API, Backend, World, open_world

pytestmark = pytest.mark.both_databases

SMALL = ("--users", "50", "--posts", "200", "--likes", "600")
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)


def count(url: str, table: str) -> int:
    with connected(url) as connection:
        found = connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one()  # noqa: S608 - names from below
    return int(found)


@pytest.fixture
def done(backend: Backend, tmp_path: Path) -> dict[str, Any]:
    """The last line of the log of a command that seeded the back end."""
    seeded = run_here("seed", *SMALL, "--comments-per-post", "6", cwd=tmp_path, **backend.environment)
    assert seeded.returncode == 0, seeded.stderr
    return log_lines(seeded.stderr)[-1]


async def test_a_seeded_service_is_read_counted_and_logged_in_to(backend: Backend, done: dict[str, Any]) -> None:
    async with open_world(backend) as world:
        ((comments,),) = await world.rows("SELECT COUNT(*) FROM comments")
        assert comments > 1_000
        assert (done["event"], done["rows"]) == ("seed.done", 2 * 50 + 2 * 200 + 600 + comments)
        report = await Recount(world.runtime.database, None).run(None, dry_run=True)
        assert (report.posts, report.differences) == (200, 0)

        login = await world.http.post(f"{API}/auth/tokens", json={"email": done["login"], "password": PASSWORD})
        assert login.status_code == 201
        headers = {"Authorization": login.headers["Authorization"]}
        posts = await scrolled(world, "/posts")
        assert len(posts) == 200
        assert await comments_of(world, posts[:20]) > 50
        for path, table in (("/users/me/posts", "posts"), ("/users/me/likes", "user_post_likes")):
            mine = f"SELECT COUNT(*) FROM {table} JOIN user_auth USING (user_id) WHERE email = :email"  # noqa: S608
            ((number,),) = await world.rows(mine, email=done["login"])
            assert len(await scrolled(world, path, headers)) == number > 0


async def scrolled(world: World, path: str, headers: dict[str, str] | None = None) -> list[str]:
    """Return the ids of a whole list of posts, of which none comes twice."""
    seen = [item["postId"] for item in await items(world, path, headers)]
    assert len(set(seen)) == len(seen)
    return seen


async def comments_of(world: World, post_ids: list[str]) -> int:
    """Check that the comments of posts, with their replies, are as many as the counters say; return how many there are."""
    found = 0
    for post_id in post_ids:
        path, shown = f"/posts/{post_id}/comments", 0
        for top in await items(world, path):
            replies = await items(world, f"{path}/{top['commentId']}/replies")
            assert len(replies) == top["replyCount"] == len(nested(top))
            assert {reply["depth"] for reply in replies} <= {1, 2, 3}
            shown += 1 + len(replies)
        assert shown == (await world.http.get(f"{API}/posts/{post_id}")).json()["stats"]["commentCount"]
        found += shown
    return found


def nested(comment: dict[str, Any]) -> list[dict[str, Any]]:
    return [below for reply in comment["replies"] for below in (reply, *nested(reply))]


async def items(world: World, path: str, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Return a whole list, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await world.http.get(f"{API}{path}", params={"size": "90", **cursor}, headers=headers)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["nextCursor"] is None:
            return found
        cursor = {"cursorId": page["nextCursor"]["id"], "cursorCreatedAt": page["nextCursor"]["createdAt"]}


def test_what_is_there_is_neither_lost_nor_mixed_without_being_told_so(tmp_path: Path, servers: Backend) -> None:
    def seed(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_here("seed", *SMALL, *arguments, cwd=tmp_path, **servers.environment)

    url = servers.environment["BAPSANG_DATABASE_URL"]
    assert seed().returncode == 0
    refused = seed()
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--append" in refused.stderr
    assert count(url, "posts") == 200
    assert seed("--append").returncode == 0
    assert (count(url, "users"), count(url, "posts")) == (100, 400)
    asked = seed("--wipe")  # nobody is there to answer
    assert (asked.returncode, count(url, "posts")) == (2, 400)
    assert "--yes" in asked.stderr
    with redis.Redis.from_url(servers.environment["BAPSANG_REDIS_URL"]) as client:
        client.set("like:size:x", 1)
        assert seed("--wipe", "--yes").returncode == 0
        assert client.dbsize() == 0
    assert (count(url, "users"), count(url, "posts")) == (50, 200)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--users", "0"], "--users: posts need at least one user"),
        (["--users", "-1"], "'--users': Input should be greater than or equal to 0"),
        (["--users", "1", "--posts", "1", "--likes", "2"], "--likes: at most 1"),
        (["--until", "yesterday"], "yesterday is not a time such as"),
        (["--append", "--wipe"], "not allowed with"),
        (["--into", "production/bapsang"], "--into production/bapsang: BAPSANG_DATABASE_URL names ./bapsang.sqlite3"),
    ],
)
def test_wrong_usage_exits_2_and_touches_nothing(tmp_path: Path, arguments: list[str], says: str) -> None:
    ended = run_here("seed", *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_tables_is_refused_and_one_that_is_down_fails(tmp_path: Path, empty_mysql: str) -> None:
    environment = {"BAPSANG_DATABASE_URL": empty_mysql, "BAPSANG_REDIS_URL": "redis://127.0.0.1:1/0"}
    refused = run_here("seed", *SMALL, cwd=tmp_path, **environment)
    assert refused.returncode == 2
    assert "bapsang-api migrate" in refused.stderr
    environment["BAPSANG_DATABASE_URL"] = "mysql+pymysql://u:secret@127.0.0.1:1/x"
    failed = run_here("seed", *SMALL, cwd=tmp_path, **environment)
    assert (failed.returncode, log_lines(failed.stderr)[-1]["event"]) == (1, "seed.failed")
    assert "secret" not in failed.stderr


@pytest.fixture(scope="module")
def filled(kept_servers: Backend) -> Iterator[Engine]:
    """A MySQL database with a few thousand posts, whose statistics are current; for tests that only read."""
    url = kept_servers.environment["BAPSANG_DATABASE_URL"]
    seeder = Seeder(url, METADATA.sorted_tables)
    seeder.fill(Sizes(users=500, posts=5_000, comments_per_post=0, likes=10_000, seed=1, until=UNTIL), "x")
    seeder.close()
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("ANALYZE TABLE users, user_auth, posts, post_contents, user_post_likes")).all()
    yield engine
    engine.dispose()


def plans(engine: Engine, work: Callable[[Connection], object]) -> dict[str, dict[str, Any]]:
    """Run `work` and return how MySQL reads each table of its statements, by table name."""
    statements: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool) -> None:
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        work(connection)
        event.remove(engine, "before_cursor_execute", note)
        found: dict[str, dict[str, Any]] = {}
        for statement, parameters in statements:
            for row in connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {statement}", parameters).mappings():
                found[str(row["table"])] = dict(row)
    assert found
    return found


@pytest.mark.parametrize("depth", [0, 20, 4_900], ids=["first page", "second page", "page 245"])
def test_every_page_of_the_feed_is_read_off_its_index_however_deep(filled: Engine, depth: int) -> None:
    with filled.connect() as connection:
        newest_first = text("SELECT created_at, id FROM posts ORDER BY created_at DESC LIMIT 1 OFFSET :depth")
        created_at, post_id = connection.execute(newest_first, {"depth": depth}).one()
    before = Keyset(created_at.replace(tzinfo=UTC), post_id) if depth else None
    plan = plans(filled, lambda connection: posts.places(connection, None, before, 21))
    assert plan["posts"]["key"] == "ix_posts_feed", plan
    for table in plan.values():
        assert "filesort" not in str(table["Extra"])
        assert "temporary" not in str(table["Extra"])

    def pages(connection: Connection) -> None:
        connection.execute(text("FLUSH STATUS"))
        posts.places(connection, None, before, 21)

    with filled.connect() as connection:
        pages(connection)
        read = {
            name: int(value) for name, value in connection.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
        }
    # 21 posts, at any depth; an OFFSET would step over all that come before.
    assert sum(read.values()) < 100, read


@pytest.mark.parametrize(
    ("work", "keys"),
    [
        (lambda connection, post_id: posts.versions(connection, [post_id]), {"posts": "PRIMARY", "users": "PRIMARY"}),
        (posts.detail, {"posts": "PRIMARY", "users": "PRIMARY", "post_contents": "PRIMARY"}),
        (lambda connection, post_id: likes.stored(connection, [(post_id, post_id)]), {}),
        (lambda connection, post_id: likes.stored_users(connection, post_id, "", 20), {"user_post_likes": "PRIMARY"}),
        (lambda connection, _: users.nickname_taken(connection, "x"), {}),
        (lambda connection, _: users.id_of(connection, "seed1@example.com"), {"user_auth": "uq_user_auth_email"}),
    ],
    ids=["standing", "detail", "liked", "likers", "nickname", "id"],
)
def test_hot_look_ups_scan_no_table(
    filled: Engine, work: Callable[[Connection, str], object], keys: dict[str, str]
) -> None:
    with filled.connect() as connection:
        post_id = str(connection.execute(text("SELECT id FROM posts ORDER BY id LIMIT 1")).scalar_one())
    plan = plans(filled, lambda connection: work(connection, post_id))
    for name, table in plan.items():
        assert table["type"] not in {"ALL", "index"}, (name, table)
    assert {name: plan[name]["key"] for name in keys} == keys
