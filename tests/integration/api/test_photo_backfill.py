"""Photos from before there were variants: shown as they were, until `bapsang-api variants --all` has variants made of them."""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bapsang_api.uploads import queries
from bapsang_api.uploads.backfill import AT_ONCE, BackFill

from .bucket import ACCESS, SECRET, Bucket, PhotoWorld, open_idle_world, open_worker, photo
from .process import BARE, PROGRAM
from .test_photo_queue import publish
from .test_takedown import send, settle
from .world import API, Backend, eventually, make_admin

OLD = 2 * AT_ONCE + 5  # two batches at most are made before it is started again


@asynccontextmanager
async def running(photos: PhotoWorld, *arguments: str) -> AsyncIterator[Process]:
    """Run a command with what it needs and nothing else: there is no Redis."""
    environment = {
        "BAPSANG_DATABASE_URL": photos.backend.environment["BAPSANG_DATABASE_URL"],
        "BAPSANG_ADMIN_PORT": "0",
    }
    environment |= {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET} | photos.bucket.environment
    started = await asyncio.create_subprocess_exec(*PROGRAM, *arguments, env={**BARE, **environment}, stderr=PIPE)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await asyncio.wait_for(started.wait(), 30)


async def progress(process: Process) -> AsyncIterator[tuple[int, int]]:
    """Yield how many are done, and how many are left, each time that the command says so."""
    assert process.stderr is not None
    async for line in process.stderr:
        if b" done, " in line:
            done, left = line.decode().split(" done, ")
            yield int(done), int(left.partition(" ")[0])


async def make_old(photos: PhotoWorld) -> None:
    """Have all images look as those do that were published before there were variants."""
    for key in photos.bucket.keys("originals/"):
        photos.bucket.put(f"public/post/{key.rpartition('/')[2]}.jpg", photo())
        photos.bucket.client.delete_object(Bucket=photos.bucket.name, Key=key)
    for statement in (
        "UPDATE images SET object_key = CONCAT(object_key, '.jpg'), photo = NULL, etag = NULL, due_at = NULL,"
        " unused_since = NULL, confirmed_at = created_at",
        "UPDATE post_images SET object_key = CONCAT(object_key, '.jpg')",
        "UPDATE post_contents SET post_image_key = CONCAT(post_image_key, '.jpg')",
        "UPDATE posts SET picture_version = picture_version + 1",
    ):
        await photos.world.change(statement)


async def test_older_photos_are_shown_as_before_until_they_have_variants(servers: Backend, bucket: Bucket) -> None:
    async with open_idle_world(servers, bucket) as photos:
        alice = await photos.person()
        detail = await photos.write_post(alice, postImageKey=await photos.upload(alice))
        post_id, image_id = detail["postId"], detail["contentDetail"]["images"][0]["key"].rpartition("/")[2]
        await publish(photos, OLD - 1)
        await make_old(photos)
        old_url = f"{photos.origin}/public/post/{image_id}.jpg"
        assert await photos.until_shown(post_id) == old_url
        content, item = await photos.detail(post_id), (await photos.world.http.get(f"{API}/posts")).json()["items"][0]
        assert content["images"][0]["url"] == content["images"][0]["jpegUrl"] == item["thumbnailUrl"] == old_url
        assert content["postImage"] == item["thumbnail"] == dict.fromkeys(item["thumbnail"]) | {"state": "READY"}

        async with running(photos, "media") as media:
            async with running(photos, "variants", "--all") as ended:
                told = [await anext(progress(ended))]
                ended.kill()
            assert told == [(AT_ONCE, OLD - AT_ONCE)]
            (waiting,) = await photos.world.rows("SELECT COUNT(*) FROM images WHERE due_at IS NOT NULL")
            assert waiting[0] <= AT_ONCE  # so many at most come before a new upload
            async with running(photos, "variants", "--all") as again:
                told = [each async for each in progress(again)]
                assert await asyncio.wait_for(again.wait(), 30) == 0
            assert told[-1][1] == 0
            assert told[-1][0] <= OLD - AT_ONCE  # what was done is not done again
            media.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(media.wait(), 30) == 0
        assert await photos.world.rows("SELECT COUNT(*), COUNT(photo), COUNT(due_at) FROM images") == [(OLD, OLD, 0)]
        new_url = f"{photos.origin}/public/post/{image_id}/320.webp"

        async def is_new() -> bool:
            return bool((await photos.detail(post_id))["postImageUrl"] == new_url)

        await eventually(is_new)
        assert await photos.loads(new_url)
        assert await photos.loads(old_url)  # somebody may have kept it
        await send(alice, "DELETE", f"/posts/{post_id}")
        await settle(photos)
        assert image_id not in photos.bucket.ids("public/") | photos.bucket.ids("originals/")
        assert not await photos.loads(old_url)


async def test_what_is_worked_on_is_not_put_into_the_queue_again(servers: Backend, bucket: Bucket) -> None:
    async with open_idle_world(servers, bucket) as photos:
        await publish(photos, 1)
        database, now = photos.world.runtime.database, photos.world.clock.now()
        job = await database.write(lambda connection: queries.claim(connection, now, now))
        assert job is not None
        before = await photos.world.rows("SELECT attempts, due_at FROM images")
        await database.write(lambda connection: queries.enqueue(connection, [job.image_id], now))
        assert await photos.world.rows("SELECT attempts, due_at FROM images") == before


async def test_what_is_hidden_meanwhile_is_not_waited_for(servers: Backend, bucket: Bucket) -> None:
    async with open_idle_world(servers, bucket) as photos:
        admin, alice = await make_admin(photos.world, await photos.person()), await photos.person()
        post_id = (await photos.write_post(alice, postImageKey=await photos.upload(alice)))["postId"]
        await make_old(photos)
        database, told = photos.world.runtime.database, list[tuple[int, int]]()
        filling = asyncio.create_task(BackFill(database, photos.world.clock, lambda *each: told.append(each)).run())
        await eventually(lambda: photos.world.rows("SELECT 1 FROM images WHERE due_at IS NOT NULL"))
        assert (await database.read(queries.backlog)).jobs == 1
        await send(admin, "POST", f"/admin/posts/{post_id}/hide")
        await asyncio.wait_for(filling, 30)
        assert told == [(1, 0)]
        assert (await database.read(queries.backlog)).jobs == 0
        await send(admin, "POST", f"/admin/posts/{post_id}/show")
        await settle(photos)
        async with open_worker(photos) as worker:
            assert await worker.work_once()
        assert await photos.world.rows("SELECT COUNT(photo) FROM images") == [(1,)]
