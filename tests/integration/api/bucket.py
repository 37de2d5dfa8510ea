"""A bucket on a real S3 server, and photos to put into it."""

import asyncio
import contextlib
import functools
import io
import json
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from PIL import Image
from tests.waiting import eventually

from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database
from bapsang_api.posts.store import images_in_use as post_images
from bapsang_api.runtime import CHANGED, REFUSED
from bapsang_api.uploads import service
from bapsang_api.uploads.collector import ImageCollector, Report
from bapsang_api.uploads.storage import Storage
from bapsang_api.uploads.worker import Worker
from bapsang_api.users.store import images_in_use as profile_images
from bapsang_local.settings import from_environment

from .world import API, Backend, Person, World, open_world
from .world import eventually as until

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ACCESS, SECRET, REGION = "tests", "secret-of-the-tests", "ap-northeast-2"
#: Files of tests.hostile that are refused, and where each is uploaded without a login.
HOSTILE = {
    "jpeg: restart intervals": f"temp/{1:026d}.jpg",
    "jpeg: scans": f"temp/{2:026d}.jpg",
    "png: palettes": f"temp/{3:026d}.png",
    "webp: frames": f"temp/{4:026d}.webp",
}
SEOUL = "37.5665,126.9780"
DAY = timedelta(hours=24)
_ID = re.compile(r"/([0-9A-Z]{26})([/.]|$)")


@contextmanager
def serving_s3(folder: Path, *options: str) -> Iterator[str]:
    """Run an S3 server that keeps its objects in `folder`; yields its origin."""
    for _ in range(5):  # between the look for a free port and its use somebody else may take it
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [
                *(_versitygw(), "--access", ACCESS, "--secret", SECRET, "--region", REGION),
                *("--port", f"127.0.0.1:{port}", "--quiet", *options, "posix", folder),
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: process.poll() is not None or _listens(port), 60)  # noqa: B023
            if process.poll() is None:
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            process.kill()
            process.wait(10)
    pytest.fail("the S3 server ended five times")


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def _versitygw() -> str:
    """Return the S3 server that `make up` builds, or the host's own."""
    built = sorted(from_environment().bin.glob("versitygw-*"))
    found = str(built[-1]) if built else shutil.which("versitygw")
    if found is None:
        pytest.fail(
            "There is no S3 server to test against: run `make test-tools` first (or put versitygw on the PATH)."
        )
    return found


@dataclass(frozen=True)
class Bucket:
    """A bucket of one test, seen with the rights of its owner."""

    name: str
    client: "S3Client"
    environment: dict[str, str]

    def keys(self, prefix: str = "") -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [item["Key"] for item in listed.get("Contents", ())]

    def ids(self, prefix: str) -> set[str]:
        """Return the ids of those images of which there is an object below `prefix`."""
        return {found[1] for key in self.keys(prefix) if (found := _ID.search(key))}

    def put(self, key: str, content: bytes, content_type: str = "image/jpeg") -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content, ContentType=content_type)


@functools.cache
def _owner(origin: str) -> "S3Client":
    return boto3.session.Session().client(
        "s3", endpoint_url=origin, region_name=REGION, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET
    )


def create_bucket(origin: str, name: str) -> Bucket:
    """Create a bucket as a platform has to: everybody may read what is published, and nothing else."""
    client = _owner(origin)
    client.create_bucket(Bucket=name)
    resource = f"arn:aws:s3:::{name}/public/*"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource}
    client.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    environment = {"BAPSANG_S3_BUCKET": name, "BAPSANG_S3_REGION": REGION, "BAPSANG_S3_ENDPOINT": origin}
    return Bucket(name, client, environment)


@dataclass
class PhotoWorld:
    """A running service with a bucket, and a client that uploads to it as a browser does."""

    world: World
    bucket: Bucket
    s3: httpx.AsyncClient
    backend: Backend
    is_made: bool = False  # by somebody, and soon

    async def person(self) -> Person:
        return await self.world.person()

    async def presign(self, person: Person | None, content: bytes, **changes: Any) -> dict[str, str]:
        """Ask where to upload to; without a person for a sign-up."""
        body = {
            "fileName": "된장찌개.jpg",
            "contentType": "image/jpeg",
            "fileSizeByte": len(content),
            "category": "POST_IMAGE" if person else "TEMP_PROFILE_IMAGE",
            **changes,
        }
        if person:
            answer = await person.send("POST", "/uploads/presign", json=body)
        else:
            answer = await self.world.http.post(f"{API}/uploads/presign/temp", json=body)
        assert answer.status_code == 200, answer.text
        signed: dict[str, str] = answer.json()
        return signed

    async def put(self, signed: dict[str, str], content: bytes) -> httpx.Response:
        """Upload as the answer says: the content type and nothing else."""
        return await self.s3.put(
            signed["presignedUrl"], content=content, headers={"Content-Type": signed["contentType"]}
        )

    async def upload(self, person: Person | None, content: bytes | None = None, **changes: Any) -> str:
        """Upload a photo and return its key."""
        content = photo() if content is None else content
        signed = await self.presign(person, content, **changes)
        answer = await self.put(signed, content)
        assert answer.status_code == 200, answer.text
        return signed["objectKey"]

    async def write_post(self, person: Person, **images: Any) -> dict[str, Any]:
        """Write a post and return its detail, once its photos are made where somebody makes them."""
        answer = await person.send("POST", "/posts", json={"title": "오늘의 밥상", "content": "된장찌개", **images})
        assert answer.status_code == 201, answer.text
        detail: dict[str, Any] = answer.json()

        async def is_decided() -> bool:
            seen = await person.get(f"/posts/{detail['postId']}", headers={"Sec-Purpose": "prefetch"})
            detail.update(seen.json())
            return all(image["state"] != "PENDING" for image in detail["contentDetail"]["images"])

        if self.is_made and any(image["state"] == "PENDING" for image in detail["contentDetail"]["images"]):
            await until(is_decided)
        return detail

    async def show_photo(self, person: Person, key: str | None = None) -> tuple[str, dict[str, Any]]:
        """Write a post with a photo; return the post's id and the photo as its detail shows it."""
        detail = await self.write_post(person, postImageKey=key or await self.upload(person))
        return detail["postId"], detail["contentDetail"]["images"][0]

    async def show_profile(self, person: Person) -> str:
        """Give somebody a picture; return its URL once it is made."""
        key = await self.upload(person, category="PROFILE_IMAGE")
        assert (await person.send("PATCH", "/users/me", json={"profileImageKey": key})).status_code == 204
        await until(person.picture)
        return str(await person.picture())

    async def detail(self, post_id: str) -> dict[str, Any]:
        """Return the content of a post as its detail shows it; that is no view of it."""
        answer = await self.world.http.get(f"{API}/posts/{post_id}", headers={"Sec-Purpose": "prefetch"})
        content: dict[str, Any] = answer.json()["contentDetail"]
        return content

    @property
    def origin(self) -> str:
        """Where everybody loads what is published."""
        return f"{self.bucket.environment['BAPSANG_S3_ENDPOINT']}/{self.bucket.name}"

    async def until_shown(self, post_id: str, state: str = "READY") -> str:
        """Return the URL of a post's first picture once it is in this state, "" without one."""
        seen: dict[str, Any] = {}

        async def is_shown() -> bool:
            seen.update(await self.detail(post_id))
            return bool(seen["images"][0]["state"] == state)

        await until(is_shown)
        return seen["postImageUrl"] or ""

    async def loads(self, url: str) -> bool:
        """Whether everybody can load the image."""
        return (await self.s3.get(url)).status_code == 200


@asynccontextmanager
async def open_photo_world(backend: Backend, bucket: Bucket, **environment: str) -> AsyncIterator[PhotoWorld]:
    """Run a service with a bucket, and somebody who makes the variants of what is published.

    Requests wait for them as long as a busy machine takes, not two seconds.
    """
    async with open_idle_world(backend, bucket, **environment) as photos:
        photos.is_made = True
        needed = None if photos.backend.settings.local_database else working(photos.world, bucket)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(service, "WAIT_SECONDS", 60.0)
            async with needed or nullcontext():
                yield photos


@asynccontextmanager
async def open_idle_world(backend: Backend, bucket: Bucket, **environment: str) -> AsyncIterator[PhotoWorld]:
    """Run a service with a bucket; on MySQL nobody makes the variants of what is published."""
    chosen = Backend(backend.name, {**backend.environment, **bucket.environment, **environment})
    async with open_world(chosen) as world, httpx.AsyncClient(verify=False) as s3:  # noqa: S501 - it is plain HTTP
        yield PhotoWorld(world, bucket, s3, chosen)


@asynccontextmanager
async def working(world: World, bucket: Bucket) -> AsyncIterator[Worker]:
    """Run a worker, as `c-media` does."""
    async with one_worker(world, bucket, world.runtime.database) as worker:
        stop = asyncio.Event()
        task = asyncio.create_task(worker.run(stop))
        try:
            yield worker
        finally:
            stop.set()
            await task


@asynccontextmanager
async def open_worker(photos: PhotoWorld, **environment: str) -> AsyncIterator[Worker]:
    """Open a worker that has nothing in common with the service but its servers; `environment` changes where it finds S3."""
    database = Database(photos.backend.settings.database_url, Limits(connections=2))
    bucket = Bucket(photos.bucket.name, photos.bucket.client, {**photos.bucket.environment, **environment})
    try:
        async with one_worker(photos.world, bucket, database) as worker:
            yield worker
    finally:
        await database.close()


@asynccontextmanager
async def one_worker(world: World, bucket: Bucket, database: Database) -> AsyncIterator[Worker]:
    """Open a worker that does nothing yet."""
    settings = Backend("", bucket.environment).settings
    assert settings.bucket is not None
    storage = Storage(settings.bucket)
    try:
        yield Worker(database, storage, world.clock, CHANGED, REFUSED)
    finally:
        await storage.close()


async def collect(photos: PhotoWorld, *, dry_run: bool = False, **environment: str) -> Report:
    """Run the collector once; `environment` changes where it finds S3."""
    settings = Backend("", {**photos.bucket.environment, **environment}).settings
    assert settings.bucket is not None
    storage = Storage(settings.bucket)
    world = photos.world
    collector = ImageCollector(
        world.runtime.database,
        storage,
        world.clock,
        references=(profile_images, post_images),
        grace=DAY,
        originals=30 * DAY,
    )
    try:
        return await collector.run(dry_run=dry_run)
    finally:
        await storage.close()


def photo(colour: str = "brown", form: str = "JPEG", **options: Any) -> bytes:
    """Return a small picture that tells where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[29] = SEOUL
    written = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(written, form, exif=exif, **options)
    return written.getvalue()


def cut_off() -> bytes:
    """Return a photo that ends in the middle of its pixels: only who decodes it finds that out."""
    written = io.BytesIO()
    Image.effect_noise((400, 300), 60).convert("RGB").save(written, "JPEG")
    return written.getvalue()[: len(written.getvalue()) // 2]


def colour_of(content: bytes) -> tuple[int, ...]:
    pixel = Image.open(io.BytesIO(content)).convert("RGB").getpixel((5, 5))
    assert isinstance(pixel, tuple)
    return tuple(round(value / 64) for value in pixel)
