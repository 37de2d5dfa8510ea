"""Migrations: the same history on MySQL and SQLite ends in exactly the tables that the code describes."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.exc import IntegrityError

from bapsang_api.comments import store as comments
from bapsang_api.home import queries as home
from bapsang_api.kit.db.connections import open_engine, take_mysql_lock
from bapsang_api.kit.db.keyset import Keyset
from bapsang_api.likes.rows import store as likes
from bapsang_api.migrate import LOCK, MigrationError, migrate
from bapsang_api.migrations import versions
from bapsang_api.posts import queries as posts
from bapsang_api.tables import METADATA, MODELS

from .databases import connected
from .world import Backend, World, open_world

HEAD = max(path.stem[1:5] for path in Path(versions.__path__[0]).glob("r*.py"))


@pytest.fixture
def database_url(backend: Backend) -> str:
    url = backend.environment["BAPSANG_DATABASE_URL"]
    migrate(url)
    return url


def test_migrated_tables_are_those_of_the_models(database_url: str) -> None:
    with connected(database_url) as connection:
        dialect = connection.dialect.name

        def here(item: Any, *_: object) -> bool:
            return bool(item.info.get("dialect", dialect) == dialect)  # an index that only one database has

        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": here})
        assert compare_metadata(context, METADATA) == []
    assert len(MODELS) == len(METADATA.tables)


def test_migrating_again_changes_nothing(database_url: str) -> None:
    assert migrate(database_url) == migrate(database_url) == HEAD


def test_newest_migration_can_be_taken_back_and_applied_again(database_url: str) -> None:
    with connected(database_url) as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(versions.__path__[0]).parent))
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
        connection.commit()
    assert migrate(database_url) == HEAD
    test_migrated_tables_are_those_of_the_models(database_url)


def test_the_release_before_goes_on_writing_to_the_newest_schema(database_url: str) -> None:
    # It names no column that it does not know, so each has to do without a value.
    with connected(database_url) as connection:
        newest = _columns(connection)
        config = Config()
        config.set_main_option("script_location", str(Path(versions.__path__[0]).parent))
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
        before = _columns(connection)
        connection.commit()
    migrate(database_url)
    added = {
        (table, name): column
        for table, columns in newest.items()
        for name, column in columns.items()
        if table in before and name not in before[table]
    }
    needed = [where for where, column in added.items() if not column["nullable"] and column["default"] is None]
    assert needed == []


def _columns(connection: Connection) -> dict[str, dict[str, Any]]:
    inspector = inspect(connection)
    return {
        table: {column["name"]: column for column in inspector.get_columns(table)}
        for table in inspector.get_table_names()
    }


def test_an_older_image_leaves_a_newer_schema_alone(database_url: str) -> None:
    # A rollback runs the older image's migration: it must let the rollout go on, not end in an error.
    with connected(database_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.commit()
    assert migrate(database_url) == "9999"


def test_a_migration_that_died_halfway_is_finished_by_the_next(empty_mysql: str) -> None:
    migrate(empty_mysql)
    with connected(empty_mysql) as connection:
        connection.execute(text("DROP TABLE user_post_likes"))
        connection.execute(text("DELETE FROM alembic_version"))
        connection.commit()
    assert migrate(empty_mysql) == HEAD
    with connected(empty_mysql) as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM user_post_likes")).scalar() == 0


def test_two_runs_never_change_the_schema_at_once(empty_mysql: str) -> None:
    engine = open_engine(empty_mysql)
    rival = take_mysql_lock(engine, f"{engine.url.database}:{LOCK}", wait_seconds=0)
    assert rival is not None
    with pytest.raises(MigrationError, match="another migration is running"):
        migrate(empty_mysql)
    waiting = threading.Thread(target=migrate, args=(empty_mysql,), kwargs={"wait_seconds": 20})
    waiting.start()
    rival.close()
    waiting.join(20)
    assert not waiting.is_alive()
    assert migrate(empty_mysql) == HEAD
    engine.dispose()


def test_a_database_that_does_not_answer_is_reported_not_awaited_for_ever() -> None:
    with pytest.raises(MigrationError, match="2003") as refused:
        migrate("mysql+pymysql://nobody:secret@127.0.0.1:1/x", wait_seconds=0.2, sleep=lambda _: None)
    assert "secret" not in str(refused.value)


def test_every_hangul_syllable_is_a_nickname_of_its_own(servers: Backend) -> None:
    # A collation that ignored more than case would refuse the one because of the other.
    rows = [{"id": f"{number:026d}", "nickname": chr(0xAC00 + number)} for number in range(11_172)]
    with connected(servers.environment["BAPSANG_DATABASE_URL"]) as connection:
        insert = text(
            "INSERT INTO users (id, nickname, user_role, user_status, created_at)"
            " VALUES (:id, :nickname, 'USER', 'ACTIVE', NOW(6))"
        )
        connection.execute(insert, rows)
        with pytest.raises(IntegrityError):
            connection.execute(insert, [{"id": "x" * 26, "nickname": "힣"}])


def test_the_feed_is_read_off_its_index(servers: Backend) -> None:
    with connected(servers.environment["BAPSANG_DATABASE_URL"]) as connection:
        plan = connection.execute(
            text(
                "EXPLAIN FORMAT=TREE SELECT id FROM posts WHERE post_status = 'ACTIVE' AND created_at <= NOW(6) AND"
                " (created_at < NOW(6) OR (created_at = NOW(6) AND id < 'x'))"
                " ORDER BY created_at DESC, id DESC LIMIT 21"
            )
        ).scalar()
    assert "ix_posts_feed" in str(plan)
    assert "Sort" not in str(plan)


async def test_lists_of_comments_and_own_posts_and_likes_are_read_off_their_indexes(servers: Backend) -> None:
    # Planned over real rows: on empty tables any plan is as good as another.
    async with open_world(servers) as world:
        alice = await world.person()
        post_id = await alice.write_post()
        top = await alice.write_comment(post_id)
        await _multiply(world, post_id=post_id, top=top, user_id=alice.user_id)
        place = Keyset(world.clock.now(), "Z" * 26)
        plans: list[str] = []

        def explain(connection: Connection) -> None:
            asked: list[tuple[str, Any]] = []

            def note(_c: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
                asked.append((statement, values))

            event.listen(connection, "before_cursor_execute", note)
            comments.roots(connection, post_id, place, 21)
            comments.replies(connection, top, Keyset(datetime(2000, 1, 1, tzinfo=UTC), None), 21)
            comments.first_replies(connection, [top], 51)
            posts.own(connection, alice.user_id, place, 21)
            home.written_by(connection, alice.user_id, place, 21)
            home.bookmarked(connection, alice.user_id, place, 21)
            likes.page(connection, alice.user_id, place, 21)
            home.home_feed(connection, alice.user_id, place, 21)
            event.remove(connection, "before_cursor_execute", note)
            for statement, values in asked:
                plan = connection.exec_driver_sql(f"EXPLAIN FORMAT=TREE {statement}", values)
                plans.append(str(plan.scalar()))

        await world.runtime.database.read(explain)
    merged = plans.pop()
    # The newest of each who is followed, and a page of some: both from the end of the index on, nothing is sorted for it.
    assert merged.count("posts using ix_posts_author (user_id = ") == merged.count("(reverse)") == 2, merged
    indexes = ("ix_comments_post", "ix_comments_group", "ix_comments_group", "ix_posts_user", "ix_posts_author")
    indexes += ("ix_bookmarks_user", "ix_user_post_likes_user")
    for plan, index in zip(plans, indexes, strict=True):
        assert index in plan, plan
        # What is fetched may be sorted once more, by the outermost step; nothing is sorted to find out what to fetch.
        assert "Sort" not in plan.partition("Limit:")[2], plan


async def _multiply(world: World, *, post_id: str, top: str, user_id: str) -> None:
    """Fill users, posts, likes, comments and one group with hundreds of rows each."""
    numbers = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT "  # 1000 is the most
    )
    # With few users the whole table would be read first and everything sorted afterwards.
    await world.change(
        "INSERT INTO users (id, nickname, user_role, user_status, created_at) "
        f"{numbers} LPAD(i, 26, '0'), LPAD(i, 10, 'u'), 'USER', 'ACTIVE', NOW(6) FROM n"
    )
    await world.change(
        "INSERT INTO posts (id, user_id, title, created_at, view_count, like_count, comment_count, post_status) "
        f"{numbers} LPAD(i, 26, '0'), IF(i % 2, :u, LPAD(i, 26, '0')), 't', NOW(6) - INTERVAL i MINUTE,"
        " 0, 0, 0, 'ACTIVE' FROM n",
        u=user_id,
    )
    await world.change(
        "INSERT INTO user_post_likes (post_id, user_id, created_at) SELECT id, user_id, created_at FROM posts"
    )
    await world.change(
        "INSERT INTO bookmarks (post_id, user_id, created_at) SELECT id, :u, created_at FROM posts", u=user_id
    )
    await world.change(
        "INSERT INTO follows (follower_id, followed_id, created_at) SELECT :u, id, NOW(6) FROM users WHERE id <> :u",
        u=user_id,
    )
    for depth, parent in ((0, "NULL"), (1, ":top")):
        await world.change(
            "INSERT INTO comments (comment_id, user_id, post_id, parent_id, depth, comment_group, content, created_at,"
            f" comment_status, listed, reply_count) {numbers} CONCAT('{depth}', LPAD(i, 25, '0')), :u, :p, {parent},"
            f" {depth}, :top, 'c', NOW(6) - INTERVAL i MINUTE, 'ACTIVE', TRUE, 0 FROM n",
            u=user_id,
            p=post_id,
            top=top,
        )
    await world.change("ANALYZE TABLE users, posts, user_post_likes, comments")
