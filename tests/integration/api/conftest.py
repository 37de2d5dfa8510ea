"""Back ends and services for the API's integration tests."""

import functools
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from argon2 import PasswordHasher
from botocore.loaders import JSONFileLoader
from cryptography.hazmat.primitives import serialization

from bapsang_api import local_jobs, runtime
from bapsang_api.auth import passwords
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.ids import Ids
from bapsang_api.mail.outbox import Outbox
from bapsang_api.migrate import migrate

from .bucket import ACCESS, SECRET, Bucket, PhotoWorld, create_bucket, open_photo_world, serving_s3
from .databases import MigratedDatabases, mysql_database
from .world import Backend, World, open_world


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[PasswordHasher]:
    """Let a service within this process spend half a millisecond on a password, not 65: half of all tests' time was that.

    Services that tests start as processes, and the unit tests, hash as in production. Yields production's hasher.
    """
    usual = passwords._HASHER
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield usual


@pytest.fixture(scope="session", autouse=True)
def keys_read_once() -> Iterator[None]:
    """Read each signing key once: to check that its factors are prime takes 60 ms, for each service anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serialization, "load_pem_private_key", functools.cache(serialization.load_pem_private_key))
        yield


@pytest.fixture(scope="session", autouse=True)
def descriptions_read_once() -> Iterator[None]:
    """Read AWS's descriptions of its services once: they take each client 0.1 s."""
    read = functools.cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: read(path))
        yield


@pytest.fixture(scope="session", autouse=True)
def write_back_by_hand() -> Iterator[None]:
    """On the embedded Redis a service writes back every five seconds, which on a busy machine is in the middle of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_jobs, "SYNC_SECONDS", 3600.0)
        yield


@pytest.fixture
def usual_passwords(quick_passwords: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash as in production, for what happens while a password is hashed."""
    monkeypatch.setattr(passwords, "_HASHER", quick_passwords)


@pytest.fixture
def empty_mysql(mysql_url: str) -> Iterator[str]:
    """The URL of a MySQL database without tables."""
    with mysql_database(mysql_url, f"bapsang_test_{secrets.token_hex(4)}") as url:
        yield url


@pytest.fixture
def empty_redis(redis_url: str) -> str:
    """The URL of a Redis database without keys."""
    client = redis.Redis.from_url(redis_url)
    client.flushdb()
    client.close()
    return redis_url


@pytest.fixture(scope="session")
def migrated_databases(mysql_url: str) -> Iterator[MigratedDatabases]:
    databases = MigratedDatabases(mysql_url)
    yield databases
    databases.close()


@pytest.fixture
def servers(migrated_databases: MigratedDatabases, empty_redis: str, signing_key_file: Path) -> Iterator[Backend]:
    """A migrated MySQL database and an empty Redis."""
    with migrated_databases.lent() as url:
        yield _on_servers(url, empty_redis, signing_key_file)


@pytest.fixture(scope="module")
def kept_servers(mysql_url: str, redis_url: str, signing_key_file: Path) -> Iterator[Backend]:
    """The same once for a module, whose tests see each other's rows; nothing else of the module may empty Redis."""
    with mysql_database(mysql_url, f"bapsang_test_{secrets.token_hex(4)}") as url:
        migrate(url)
        yield _on_servers(url, redis_url, signing_key_file)


def _on_servers(database_url: str, redis_url: str, signing_key_file: Path) -> Backend:
    environment = {
        "BAPSANG_DATABASE_URL": database_url,
        "BAPSANG_REDIS_URL": redis_url,
        "BAPSANG_SIGNING_KEY_FILE": str(signing_key_file),
        "BAPSANG_ADMIN_PORT": "0",
        "BAPSANG_RATE_LIMITS": "off",
        "BAPSANG_HOLD_POSTS": "off",
    }
    return Backend("mysql+redis", environment)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the current schema and no rows, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "bapsang.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def files(tmp_path: Path, migrated_file: Path, signing_key_file: Path) -> Backend:
    """A migrated SQLite file and the embedded Redis."""
    shutil.copy(migrated_file, tmp_path)
    environment = {
        "BAPSANG_DATABASE_URL": f"sqlite:///{tmp_path}/bapsang.sqlite3",
        "BAPSANG_SIGNING_KEY_FILE": str(signing_key_file),
        "BAPSANG_ADMIN_PORT": "0",
        "BAPSANG_RATE_LIMITS": "off",
        "BAPSANG_HOLD_POSTS": "off",
    }
    return Backend("sqlite+embedded", environment)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run on MySQL and Redis, as production does; on SQLite and the embedded Redis too where a module's SQL differs."""
    if "backend" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both_databases")
        metafunc.parametrize("backend", [*(("sqlite+embedded",) if both else ()), "mysql+redis"], indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    """A database and a Redis, as `pytest_generate_tests` chose them."""
    chosen: Backend = request.getfixturevalue("files" if request.param == "sqlite+embedded" else "servers")
    return chosen


@pytest.fixture
def mail_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a service within this process write letters, which tests read in the outbox as they were written."""

    def opened(clock: Clock, ids: Ids, _seal: object, **_on: bool) -> Outbox:
        return Outbox(clock, ids, lambda content, _: content, on=True)

    monkeypatch.setattr(runtime, "Outbox", opened)


@pytest.fixture
async def world(backend: Backend) -> AsyncIterator[World]:
    """A running service."""
    async with open_world(backend) as opened:
        yield opened


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of an S3 server on which the tests may create buckets."""
    with serving_s3(tmp_path_factory.mktemp("s3")) as origin:
        yield origin


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A new bucket, and the credentials for it where boto3 looks for them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setattr("bapsang_api.runtime.CHORES_SECONDS", 3600.0)  # tests run it themselves
    return create_bucket(s3_url, f"test-{secrets.token_hex(6)}")


@pytest.fixture
async def photos(backend: Backend, bucket: Bucket) -> AsyncIterator[PhotoWorld]:
    """A running service with a bucket."""
    async with open_photo_world(backend, bucket) as opened:
        yield opened


@pytest.fixture
async def file_world(files: Backend) -> AsyncIterator[World]:
    """A running service on SQLite, for what happens before any database is asked."""
    async with open_world(files) as opened:
        yield opened
