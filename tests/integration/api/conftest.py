"""Back ends and services for the API's integration tests."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bapsang_api.migrate import migrate

from .bucket import ACCESS, SECRET, Bucket, PhotoWorld, create_bucket, open_photo_world, serving_s3
from .world import Backend, World, mysql_database, open_world


@pytest.fixture(scope="session")
def signing_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RSA key as the operator mounts it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path_factory.mktemp("keys") / "signing-key.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


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


@pytest.fixture
def servers(empty_mysql: str, empty_redis: str, signing_key_file: Path) -> Backend:
    """A migrated MySQL database and an empty Redis."""
    migrate(empty_mysql)
    environment = {
        "BAPSANG_DATABASE_URL": empty_mysql,
        "BAPSANG_REDIS_URL": empty_redis,
        "BAPSANG_SIGNING_KEY_FILE": str(signing_key_file),
        "BAPSANG_ADMIN_PORT": "0",
        "BAPSANG_RATE_LIMITS": "off",
    }
    return Backend("mysql+redis", environment)


@pytest.fixture
def files(tmp_path: Path, signing_key_file: Path) -> Backend:
    """A SQLite file and the embedded Redis."""
    environment = {
        "BAPSANG_DATABASE_URL": f"sqlite:///{tmp_path}/bapsang.sqlite3",
        "BAPSANG_SIGNING_KEY_FILE": str(signing_key_file),
        "BAPSANG_ADMIN_PORT": "0",
        "BAPSANG_RATE_LIMITS": "off",
    }
    return Backend("sqlite+embedded", environment)


@pytest.fixture(params=["files", "servers"], ids=["sqlite+embedded", "mysql+redis"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every scenario runs on both."""
    chosen: Backend = request.getfixturevalue(request.param)
    return chosen


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
