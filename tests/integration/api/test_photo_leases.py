"""Workers that die, stand still or are two at a time: what each may still do to a photo, and what not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from bapsang_api.kit.problem import Unavailable
from bapsang_api.runtime import CHANGED
from bapsang_api.uploads import backfill, check_function, queries, rules, worker
from bapsang_api.uploads.s3 import Objects
from bapsang_api.uploads.storage import Storage
from bapsang_api.uploads.worker import MOST_ATTEMPTS, Worker

from .bucket import Backend, Bucket, PhotoWorld, open_idle_world, photo
from .test_takedown import settle, takedown
from .world import Person, make_admin

LATER = 2 * worker.LEASE
Act = Callable[[], Awaitable[Any]]


@pytest.fixture
async def photos(backend: Backend, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PhotoWorld]:
    """A running service with a bucket, where nobody makes variants, and nobody waits for them."""
    monkeypatch.setattr("bapsang_api.uploads.service.ImageService._until_made", _at_once)
    async with open_idle_world(backend, bucket) as opened:
        yield opened


async def _at_once(*_: object) -> dict[str, Any]:
    return {}


@asynccontextmanager
async def at_work(photos: PhotoWorld, before_write: Act | None = None) -> AsyncIterator[Worker]:
    """Have a worker, to which something happens before it writes its first object."""
    place = Backend("", photos.bucket.environment).settings.bucket
    assert place is not None
    storage = Storage(place)
    if before_write is not None:
        storage.objects = _Disturbed(storage.objects, before_write, asyncio.get_running_loop())
    try:
        yield Worker(photos.world.runtime.database, storage, photos.world.clock, CHANGED)
    finally:
        await storage.close()


class _Disturbed(Objects):
    def __init__(self, objects: Objects, act: Act, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(objects._bucket, objects._client)
        self._act: Act | None = act
        self._loop = loop

    def create(self, key: str, content: bytes, content_type: str) -> bool:
        if self._act is not None:
            act, self._act = self._act, None
            asyncio.run_coroutine_threadsafe(_run(act), self._loop).result(60)
        return super().create(key, content, content_type)


async def _run(act: Act) -> None:
    await act()


async def post_photo(photos: PhotoWorld, person: Person) -> tuple[str, str]:
    """Write a post with a photo that is still to be made; return the post's id and the key of its image."""
    detail = await photos.write_post(person, postImageKey=await photos.upload(person))
    (image,) = detail["contentDetail"]["images"]
    assert image["state"] == "PENDING"
    return detail["postId"], image["key"]


async def states(photos: PhotoWorld) -> list[str]:
    return [row[0][2:].partition('"')[0] for row in await photos.world.rows("SELECT photo FROM images")]


async def claimed(photos: PhotoWorld) -> queries.Job | None:
    """Claim a job as somebody does who then dies."""
    now = photos.world.clock.now()
    return await photos.world.runtime.database.write(partial(queries.claim, now=now, until=now + worker.LEASE))


@pytest.mark.parametrize("is_late", [False, True], ids=["in its lease", "after its lease"])
async def test_photo_that_is_hidden_while_it_is_made_is_loaded_by_nobody(photos: PhotoWorld, is_late: bool) -> None:
    admin, alice = await make_admin(photos.world, await photos.person()), await photos.person()
    post_id, _ = await post_photo(photos, alice)

    async def hide() -> None:
        assert (await admin.send("POST", f"/admin/posts/{post_id}/hide")).is_success
        if is_late:
            photos.world.clock.passed += LATER
        assert await takedown(photos).run() == int(is_late)  # while it is written, nobody moves it

    async with at_work(photos, hide) as one:
        assert await one.work_once()
        await settle(photos)
        assert photos.bucket.keys("public/") == []
        admin.token, _ = await photos.world.log_in(admin.email)
        assert (await admin.send("POST", f"/admin/posts/{post_id}/show")).is_success
        await settle(photos)
        await one.work_once()
    assert await photos.loads(await photos.until_shown(post_id))
    assert await states(photos) == ["READY"]


@pytest.mark.parametrize("is_late", [False, True], ids=["in its lease", "after its lease"])
async def test_photo_that_is_deleted_while_it_is_made_leaves_nothing(photos: PhotoWorld, is_late: bool) -> None:
    alice = await photos.person()
    post_id, _ = await post_photo(photos, alice)

    async def delete() -> None:
        assert (await alice.send("DELETE", f"/posts/{post_id}")).is_success
        if is_late:
            photos.world.clock.passed += LATER
        assert await takedown(photos).run() == int(is_late)

    async with at_work(photos, delete) as one:
        await one.work_once()
    await settle(photos)
    assert photos.bucket.keys("public/") == photos.bucket.keys("originals/") == []
    assert await photos.world.rows("SELECT 1 FROM images") == []


async def test_object_that_arrives_after_the_photo_was_withheld_is_withheld_too(photos: PhotoWorld) -> None:
    """Its worker had sent it when it froze."""
    admin, alice = await make_admin(photos.world, await photos.person()), await photos.person()
    post_id, key = await post_photo(photos, alice)

    async def hide() -> None:
        assert (await admin.send("POST", f"/admin/posts/{post_id}/hide")).is_success
        photos.world.clock.passed += LATER
        await settle(photos)
        photos.bucket.put(f"{key}/1080.jpg", photo())

    async with at_work(photos, hide) as one:
        await one.work_once()
    await settle(photos)
    assert photos.bucket.keys("public/") == []


async def test_worker_that_outlived_its_lease_says_nothing_of_the_photo(photos: PhotoWorld) -> None:
    """The other's photo stays as it is: the row, and each byte."""
    alice = await photos.person()
    post_id, key = await post_photo(photos, alice)
    found: list[Any] = []

    async def overtake() -> None:
        photos.world.clock.passed += LATER
        async with at_work(photos) as other:
            assert await other.work_once()
        found.append((await photos.world.rows("SELECT * FROM images"), photos.bucket.keys("public/")))

    async with at_work(photos, overtake) as one:
        await one.work_once()
        assert one.tally.jobs == {**one.tally.jobs, "lost": 1, "ready": 0}
    assert found == [(await photos.world.rows("SELECT * FROM images"), photos.bucket.keys("public/"))]
    assert await photos.until_shown(post_id) == f"{photos.origin}/{key}/320.webp"


async def test_worker_that_outlived_its_lease_leaves_the_job_to_who_has_it_now(photos: PhotoWorld) -> None:
    await post_photo(photos, await photos.person())
    found: list[Any] = []

    async def overtake() -> None:
        photos.world.clock.passed += LATER
        assert await claimed(photos)
        found.append(await photos.world.rows("SELECT * FROM images"))

    async with at_work(photos, overtake) as one:
        await one.work_once()
    assert found == [await photos.world.rows("SELECT * FROM images")]


async def test_worker_that_outlived_its_lease_writes_nothing_more(
    photos: PhotoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it died then, nobody would know of what it wrote for an image that is gone."""
    await post_photo(photos, await photos.person())

    async def wait() -> None:
        photos.world.clock.passed += LATER

    monkeypatch.setattr(Worker, "_lost", _dies)
    async with at_work(photos, wait) as one:
        with pytest.raises(SystemError):
            await one.work_once()
    assert len(photos.bucket.keys("public/")) == 1  # what it had sent before


async def _dies(*_: object) -> str:
    raise SystemError


async def test_object_that_is_there_already_is_never_written_again(photos: PhotoWorld) -> None:
    _, key = await post_photo(photos, await photos.person())
    there = f"{key}/320.webp"
    photos.bucket.put(there, b"from somebody else")
    async with at_work(photos) as one:
        assert await one.work_once()
    assert photos.bucket.client.get_object(Bucket=photos.bucket.name, Key=there)["Body"].read() == b"from somebody else"


async def test_file_that_ends_its_worker_each_time_is_refused(photos: PhotoWorld) -> None:
    await post_photo(photos, await photos.person())
    for _ in range(MOST_ATTEMPTS):
        assert await claimed(photos)
        photos.world.clock.passed += LATER
    async with at_work(photos) as one:
        assert await one.work_once()
        assert one.tally.cpu_seconds == 0  # it has not been begun again
    assert await states(photos) == ["REFUSED"]
    assert photos.bucket.keys("public/") == []


async def test_photo_is_refused_for_no_outage_of_s3(photos: PhotoWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    post_id, _ = await post_photo(photos, await photos.person())
    async with at_work(photos) as one:
        with monkeypatch.context() as patch:
            patch.setattr(Objects, "read", _down)
            for _ in range(2 * MOST_ATTEMPTS):
                with pytest.raises(Unavailable):
                    await one.work_once()
                photos.world.clock.passed += LATER
        assert await one.work_once()
    assert await photos.until_shown(post_id)


def _down(*_: object, **__: object) -> None:
    raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")


async def test_job_that_is_somebodys_is_not_enqueued_again(photos: PhotoWorld) -> None:
    """A back-fill that is started again finds what the one before it has enqueued, and somebody at work on it."""
    await post_photo(photos, await photos.person())
    await photos.world.change("UPDATE images SET photo = NULL, etag = NULL")
    job = await claimed(photos)
    assert job is not None
    filling = asyncio.create_task(
        backfill.BackFill(photos.world.runtime.database, photos.world.clock, lambda *_: None).run()
    )
    await asyncio.sleep(backfill._ASK_SECONDS / 2)
    assert await claimed(photos) is None
    filling.cancel()


async def test_variants_that_another_version_has_made_ahead_are_made_anew(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = await photos.upload(alice)
    place = Backend("", photos.bucket.environment).settings.bucket
    assert place is not None
    objects = Objects(photos.bucket.name, photos.bucket.client)
    assert await asyncio.to_thread(check_function.check, objects, key) == check_function.Checked.MADE
    etag = objects.etag_of(key)
    assert etag is not None
    photos.bucket.put(f"{rules.checked_folder(key, etag)}/photo.json", b'{"verdict": "SOMETHING_NEW"}')
    detail = await photos.write_post(alice, postImageKey=key)
    async with at_work(photos) as one:
        assert await one.work_once()
    assert await photos.until_shown(detail["postId"])
