"""Revisions come and go on a filled database while the service works: nobody notices."""

import contextlib
import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from tests.waiting import eventually

from bapsang_api.migrate import LOCK_WAIT_SECONDS
from bapsang_api.migrations import versions
from bapsang_api.seed.plan import Sizes
from bapsang_api.seed.service import Seeder
from bapsang_api.tables import METADATA

from .process import Service, client, serving
from .test_schema import HEAD
from .world import API, PASSWORD, Backend

NEXT = f'''
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{HEAD}"


def upgrade():
    op.add_column("posts", sa.Column("tone", sa.String(9), nullable=False, server_default="plain"))
    op.create_index("ix_posts_tone", "posts", ["tone", "created_at"])
    op.create_table("tones", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("tones")
    op.drop_index("ix_posts_tone", "posts")
    op.drop_column("posts", "tone")
'''
SIZES = Sizes(users=200, posts=4_000, comments_per_post=0, likes=2_000, seed=1, until=datetime(2026, 11, 1, tzinfo=UTC))


class Traffic:
    """Readers and a writer who go on until told to stop, and what they were answered."""

    def __init__(self, service: Service) -> None:
        self.answers: Counter[str] = Counter()
        name = secrets.token_hex(4)
        account = {"email": f"{name}@example.com", "password": PASSWORD, "nickname": name}
        with client(f"{service.url}{API}") as http:
            assert http.post("/auth/users", json=account).status_code == 201
            token = http.post("/auth/tokens", json=account).headers["Authorization"]
        self._base, self._headers = f"{service.url}{API}", {"Authorization": token}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._act, args=(number,)) for number in range(3)]

    def _act(self, number: int) -> None:
        with client(self._base, headers=self._headers) as http:
            while not self._stop.is_set():
                if number == 0:
                    answer = http.post("/posts", json={"title": "밥", "content": "국"})
                    self.answers[f"write {answer.status_code}"] += 1
                    http.put(f"/posts/{answer.json().get('postId')}/likes")
                self.answers[f"read {http.get('/posts').status_code}"] += 1

    def more(self) -> None:
        """Wait for further reads and writes."""
        reads, writes = self.answers["read 200"], self.answers["write 201"]
        eventually(lambda: self.answers["read 200"] > reads + 5 and self.answers["write 201"] > writes + 2, seconds=60)

    @property
    def failed(self) -> int:
        return sum(count for answer, count in self.answers.items() if not answer.endswith((" 200", " 201")))

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


@pytest.fixture(scope="module")
def service(kept_servers: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on a filled database."""
    seeder = Seeder(kept_servers.environment["BAPSANG_DATABASE_URL"], METADATA.sorted_tables)
    seeder.fill(SIZES, "x")
    seeder.close()
    with serving(tmp_path_factory.mktemp("service"), **kept_servers.environment) as opened:
        yield opened


@pytest.fixture
def traffic(service: Service) -> Iterator[Traffic]:
    """Traffic that the service answers from before the test until after it."""
    with Traffic(service) as going:
        going.more()
        yield going


@pytest.fixture
def database(kept_servers: Backend) -> Iterator[Connection]:
    engine = create_engine(kept_servers.environment["BAPSANG_DATABASE_URL"])
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def revisions(database: Connection, tmp_path: Path) -> Config:
    """The service's revisions and one more, applied as `bapsang-api migrate` does."""
    (tmp_path / "next.py").write_text(NEXT)
    config = Config()
    config.set_main_option("script_location", str(Path(versions.__path__[0]).parent))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{versions.__path__[0]}\n{tmp_path}")
    config.attributes["connection"] = database
    database.execute(text(f"SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}"))
    return config


def test_a_revision_that_adds_comes_and_goes_without_a_failed_request(
    traffic: Traffic, database: Connection, revisions: Config
) -> None:
    for _ in range(2):
        command.upgrade(revisions, "next")
        database.commit()
        traffic.more()
        command.downgrade(revisions, HEAD)
        database.commit()
        traffic.more()
    assert traffic.failed == 0, traffic.answers


def test_a_migration_that_meets_a_long_transaction_gives_up_before_its_readers_do(
    kept_servers: Backend, traffic: Traffic, database: Connection, revisions: Config
) -> None:
    with _long_transaction(kept_servers):
        with pytest.raises(OperationalError, match="1205"):
            command.upgrade(revisions, "next")
        database.rollback()
    traffic.more()
    assert traffic.failed == 0, traffic.answers
    command.upgrade(revisions, "next")
    command.downgrade(revisions, HEAD)
    database.commit()


def test_a_change_that_blocks_the_table_is_noticed(traffic: Traffic, database: Connection) -> None:
    database.execute(text("LOCK TABLES posts WRITE"))  # as an ALTER that copies a large table does
    eventually(lambda: traffic.failed > 0, seconds=60)
    database.execute(text("UNLOCK TABLES"))
    traffic.more()


@contextlib.contextmanager
def _long_transaction(backend: Backend) -> Iterator[None]:
    engine = create_engine(backend.environment["BAPSANG_DATABASE_URL"])
    with engine.connect() as connection:
        connection.execute(text("SELECT COUNT(*) FROM posts"))
        yield
    engine.dispose()
