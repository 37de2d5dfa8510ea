"""Migrations: the same history on MySQL and SQLite ends in exactly the tables that the code describes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import IntegrityError

from bapsang_api.kit.db import open_engine, take_mysql_lock
from bapsang_api.migrate import LOCK, MigrationError, migrate
from bapsang_api.migrations import versions
from bapsang_api.tables import METADATA, MODELS

from .world import Backend

HEAD = max(path.stem[1:5] for path in Path(versions.__path__[0]).glob("r*.py"))


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def database_url(backend: Backend) -> str:
    url = backend.environment["BAPSANG_DATABASE_URL"]
    migrate(url)
    return url


def test_migrated_tables_are_those_of_the_models(database_url: str) -> None:
    with connected(database_url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
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
