"""The queue of photos: each is made once, whoever else is at work, is killed, or takes away what it belongs to meanwhile."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from bapsang_api.kit.problem import Unavailable
from bapsang_api.media.messages import MESSAGES
from bapsang_api.media.process import Outcome
from bapsang_api.media.verdict import Reason
from bapsang_api.uploads import making
from bapsang_api.uploads.rules import Category
from bapsang_api.uploads.service import ImageService, Named
from bapsang_api.uploads.worker import LEASE, MOST_ATTEMPTS

from .bucket import Bucket, PhotoWorld, open_idle_world, open_worker, photo
from .test_takedown import send, settle, takedown
from .world import PASSWORD, Backend, Person, make_admin

AFTER_LEASE = LEASE + timedelta(seconds=1)
ROWS = "SELECT id, photo, attempts, due_at, leased_until FROM images ORDER BY id"


@pytest.fixture
async def idle(servers: Backend, bucket: Bucket) -> AsyncIterator[PhotoWorld]:
    """A running service with a bucket that waits for nobody, and where nobody makes variants until a test does."""
    async with open_idle_world(servers, bucket) as photos:
        service: ImageService = photos.world.runtime.app.services[ImageService]
        service._wait = 0.0
        yield photos


class KilledError(Exception):
    """The worker's process has ended."""


class Stop:
    """Stops a worker between its claim and the first object that it writes; then lets it go on, or ends it after the last."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._made, self._patch = making.made, patch
        self._reached, self._go = threading.Event(), threading.Event()
        self.kills = False

    def _wait(self, *arguments: Any, **options: Any) -> Outcome | None:
        self._reached.set()
        assert self._go.wait(60)
        outcome = self._made(*arguments, **options)
        if self.kills:
            raise KilledError
        return outcome

    async def begin(self, work: Callable[[], Awaitable[bool]]) -> "asyncio.Task[bool]":
        """Begin to work; return once the worker has claimed its job. Who begins afterwards is not stopped."""
        self._patch.setattr(making, "made", self._wait)
        task = asyncio.ensure_future(work())
        assert await asyncio.to_thread(self._reached.wait, 60)
        self._patch.setattr(making, "made", self._made)
        return task

    async def end(self, working: "asyncio.Task[bool]") -> None:
        self._go.set()
        with pytest.raises(KilledError) if self.kills else contextlib.nullcontext():
            assert await working


def state(photos: PhotoWorld) -> dict[str, list[str]]:
    """Return the objects of images by where they are."""
    return {place: photos.bucket.keys(f"{place}/") for place in ("public", "withheld", "originals")}


async def write(photos: PhotoWorld, person: Person) -> tuple[str, str]:
    """Write a post with a photo that is not made yet; return their ids."""
    detail = await photos.write_post(person, postImageKey=await photos.upload(person))
    (image,) = detail["contentDetail"]["images"]
    assert image["state"] == "PENDING"
    return detail["postId"], image["key"].rpartition("/")[2]


async def publish(photos: PhotoWorld, count: int) -> list[str]:
    """Put photos into the queue, and return the keys of their images."""
    alice, ids = await photos.person(), photos.world.runtime.ids
    keys = [f"users/{alice.user_id}/post/{ids.new()}.jpg" for _ in range(count)]
    for key in keys:
        photos.bucket.put(key, photo())
    service: ImageService = photos.world.runtime.app.services[ImageService]
    published: list[str] = []
    for first in range(0, count, 10):
        named = [Named("images", key) for key in keys[first : first + 10]]
        published += await service.publish(named, owner_id=alice.user_id, category=Category.POST_IMAGE)
    return published


@pytest.mark.parametrize("kills", [False, True])
@pytest.mark.parametrize("act", ["delete", "replace", "withdraw"])
async def test_what_goes_while_it_is_made_leaves_nothing(
    idle: PhotoWorld, monkeypatch: pytest.MonkeyPatch, act: str, kills: bool
) -> None:
    alice, stop = await idle.person(), Stop(monkeypatch)
    stop.kills = kills
    if act == "withdraw":
        key = await idle.upload(alice, category="PROFILE_IMAGE")
        await send(alice, "PATCH", "/users/me", {"profileImageKey": key})
    else:
        post_id, _ = await write(idle, alice)
    async with open_worker(idle) as worker:
        working = await stop.begin(worker.work_once)
        match act:
            case "delete":
                await send(alice, "DELETE", f"/posts/{post_id}")
            case "replace":
                await send(alice, "PATCH", f"/posts/{post_id}", {"images": []})
            case _:
                await send(alice, "PATCH", "/users/me/withdraw", {"password": PASSWORD})
        assert await takedown(idle).run() == 0  # what it took away now would be there again
        await stop.end(working)
        if kills:
            assert await takedown(idle).run() == 0
            idle.world.clock.passed += AFTER_LEASE
            assert not await worker.work_once()
        await settle(idle)
        assert state(idle) == {"public": [], "withheld": [], "originals": []}
        assert await idle.world.rows("SELECT 1 FROM images") == []


@pytest.mark.parametrize("kills", [False, True])
async def test_what_is_hidden_while_it_is_made_is_loaded_by_nobody_and_comes_back_whole(
    idle: PhotoWorld, monkeypatch: pytest.MonkeyPatch, kills: bool
) -> None:
    admin, alice = await make_admin(idle.world, await idle.person()), await idle.person()
    stop, (post_id, image_id) = Stop(monkeypatch), await write(idle, alice)
    stop.kills = kills
    names = [f"public/post/{image_id}/320.{form}" for form in ("jpg", "webp")]
    async with open_worker(idle) as worker:
        working = await stop.begin(worker.work_once)
        await send(admin, "POST", f"/admin/posts/{post_id}/hide")
        assert await takedown(idle).run() == 0
        await stop.end(working)
        if kills:
            idle.world.clock.passed += AFTER_LEASE
        await settle(idle)
        hidden = [f"withheld/{name}" for name in names]
        assert state(idle) == {"public": [], "withheld": hidden, "originals": [f"originals/{image_id}"]}
        assert not await worker.work_once()
        admin.token, _ = await idle.world.log_in(admin.email)
        await send(admin, "POST", f"/admin/posts/{post_id}/show")
        await settle(idle)
        assert await worker.work_once() == kills  # who was killed had not told anybody
    assert await idle.loads(await idle.until_shown(post_id))
    assert state(idle) == {"public": names, "withheld": [], "originals": [f"originals/{image_id}"]}


async def test_what_is_hidden_before_it_is_made_is_made_after_it_is_shown_again(idle: PhotoWorld) -> None:
    admin, alice = await make_admin(idle.world, await idle.person()), await idle.person()
    post_id, _ = await write(idle, alice)
    await send(admin, "POST", f"/admin/posts/{post_id}/hide")
    async with open_worker(idle) as worker:
        assert not await worker.work_once()
        await settle(idle)
        assert not await worker.work_once()
        assert state(idle)["public"] == state(idle)["withheld"] == []
        await send(admin, "POST", f"/admin/posts/{post_id}/show")
        await settle(idle)
        assert await worker.work_once()
    assert await idle.loads(await idle.until_shown(post_id))


async def test_who_is_late_by_more_than_the_lease_writes_nothing_that_is_hidden(
    idle: PhotoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, alice = await make_admin(idle.world, await idle.person()), await idle.person()
    stop, (post_id, _) = Stop(monkeypatch), await write(idle, alice)
    async with open_worker(idle) as worker, open_worker(idle) as other:
        working = await stop.begin(worker.work_once)
        await send(admin, "POST", f"/admin/posts/{post_id}/hide")
        idle.world.clock.passed += AFTER_LEASE
        await settle(idle)
        await stop.end(working)
        await settle(idle)
        assert state(idle)["public"] == []
        # The same once another has made it.
        admin.token, _ = await idle.world.log_in(admin.email)
        await send(admin, "POST", f"/admin/posts/{post_id}/show")
        await settle(idle)
        await idle.world.change("UPDATE images SET due_at = created_at")
        stop = Stop(monkeypatch)
        working = await stop.begin(worker.work_once)
        idle.world.clock.passed += AFTER_LEASE
        assert await other.work_once()
        admin.token, _ = await idle.world.log_in(admin.email)
        await send(admin, "POST", f"/admin/posts/{post_id}/hide")
        await settle(idle)
        await stop.end(working)
        await settle(idle)
        assert state(idle)["public"] == []


async def test_many_at_work_make_each_photo_once(idle: PhotoWorld, caplog: pytest.LogCaptureFixture) -> None:
    published = await publish(idle, 40)
    async with contextlib.AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(open_worker(idle)) for _ in range(4)]

        async def drain(work: Callable[[], Awaitable[bool]]) -> None:
            while await work():
                pass

        with caplog.at_level(logging.INFO):
            await asyncio.gather(*(drain(worker.work_once) for worker in workers))
    done = [vars(record) for record in caplog.records if record.getMessage() == "photos.done"]
    made = [one["image_id"] for one in done if one["outcome"] == "ready"]
    assert sorted(made) == sorted(key.rpartition("/")[2] for key in published)
    assert [sum(worker.tally.jobs[what] for worker in workers) for what in ("ready", "lost")] == [40, 0]
    assert all(worker.tally.jobs["ready"] for worker in workers)
    rows = await idle.world.rows("SELECT DISTINCT attempts, due_at, leased_until FROM images")
    assert rows == [(1, None, None)]
    assert len(idle.bucket.keys("public/")) == 80


async def test_job_of_who_died_is_anothers_after_the_lease_and_nobody_is_heard_late(
    idle: PhotoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(idle, 1)
    first, second = Stop(monkeypatch), Stop(monkeypatch)
    async with open_worker(idle) as slow, open_worker(idle) as other:
        late = await first.begin(slow.work_once)
        assert not await other.work_once()
        idle.world.clock.passed += AFTER_LEASE
        working = await second.begin(other.work_once)
        before = await idle.world.rows(ROWS)
        await first.end(late)
        assert slow.tally.jobs == {"ready": 0, "refused": 0, "postponed": 0, "lost": 1}
        assert await idle.world.rows(ROWS) == before  # it is the other's still
        assert idle.bucket.keys("public/") == []  # what would be written now, takedown might have removed before
        await second.end(working)
        assert other.tally.jobs["ready"] == 1
    assert [row[2:] for row in await idle.world.rows(ROWS)] == [(2, None, None)]


async def test_photo_that_nobody_can_decide_on_is_refused_after_five_attempts(idle: PhotoWorld) -> None:
    alice = await idle.person()
    post_id, image_id = await write(idle, alice)
    idle.bucket.client.delete_object(Bucket=idle.bucket.name, Key=f"originals/{image_id}")
    async with open_worker(idle) as worker:
        for seconds in (2, 4, 8, 16):
            assert await worker.work_once()
            assert not await worker.work_once()
            idle.world.clock.passed += timedelta(seconds=seconds / 2)
            assert not await worker.work_once()
            assert (await idle.detail(post_id))["images"][0]["state"] == "PENDING"
            idle.world.clock.passed += timedelta(seconds=seconds / 2)
        assert await worker.work_once()
        assert worker.tally.jobs == {"ready": 0, "refused": 1, "postponed": MOST_ATTEMPTS - 1, "lost": 0}
        idle.world.clock.passed += timedelta(days=1)
        assert not await worker.work_once()
    await idle.until_shown(post_id, "REFUSED")
    assert (await idle.detail(post_id))["images"][0]["message"] == MESSAGES[Reason.BROKEN]


async def test_photo_that_ends_each_who_makes_it_is_refused_after_five_attempts(
    idle: PhotoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await idle.person()
    post_id, _ = await write(idle, alice)
    async with open_worker(idle) as worker:
        for _ in range(MOST_ATTEMPTS):
            stop = Stop(monkeypatch)
            stop.kills = True
            await stop.end(await stop.begin(worker.work_once))
            assert not await worker.work_once()
            idle.world.clock.passed += AFTER_LEASE
        assert await worker.work_once()
        assert worker.tally.jobs["refused"] == 1
    await idle.until_shown(post_id, "REFUSED")
    assert (await idle.detail(post_id))["images"][0]["message"] == MESSAGES[Reason.KILLED]


async def test_outage_of_s3_is_the_fault_of_no_photo(idle: PhotoWorld) -> None:
    alice = await idle.person()
    post_id, _ = await write(idle, alice)
    async with open_worker(idle, BAPSANG_S3_ENDPOINT="http://127.0.0.1:1") as worker:
        for _ in range(2 * MOST_ATTEMPTS):
            with pytest.raises(Unavailable):
                await worker.work_once()
            assert not await worker.work_once()
            idle.world.clock.passed += timedelta(seconds=2)
    async with open_worker(idle) as worker:
        assert await worker.work_once()
    assert await idle.loads(await idle.until_shown(post_id))
