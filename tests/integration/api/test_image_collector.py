"""The image collector: what nobody shows goes after a day, what somebody shows stays, whatever happens at the same time."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bapsang_api.jobs import collect_images
from bapsang_api.kit.problem import Unavailable
from bapsang_api.uploads import store as images
from bapsang_api.uploads.collector import Report
from bapsang_api.uploads.rules import Category
from bapsang_api.uploads.service import ImageService, Named
from bapsang_api.uploads.usage import attach

from .bucket import ACCESS, DAY, SECRET, Bucket, PhotoWorld, collect, cut_off, open_photo_world, photo
from .process import log_lines, run
from .world import PASSWORD, Backend, Person, assert_problem

LATER = timedelta(hours=25)


async def let_pass(photos: PhotoWorld, time: timedelta, *people: Person) -> None:
    """Let time pass, after which these people have logged in anew."""
    photos.world.clock.passed += time
    for person in people:
        person.token, _ = await photos.world.log_in(person.email)


async def send(person: Person, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    answer = await person.send(method, path, json=body)
    assert answer.is_success, answer.text


def kept(photos: PhotoWorld) -> set[str]:
    """Return the ids of the images that are still there, each with its variants and its original."""
    assert photos.bucket.ids("public/") == photos.bucket.ids("originals/")
    return photos.bucket.ids("public/")


def id_of(image: dict[str, Any]) -> str:
    return str(image["key"]).rpartition("/")[2]


async def test_uploads_go_after_a_day_used_or_not_and_what_is_shown_stays(photos: PhotoWorld) -> None:
    alice = await photos.person()
    await photos.upload(alice)
    await photos.upload(None)
    await photos.upload(alice, category="OTHER")
    _, shown = await photos.show_photo(alice)
    photos.world.clock.passed += timedelta(hours=23)
    assert await collect(photos) == Report()
    photos.world.clock.passed += timedelta(hours=2)
    assert await collect(photos) == Report(uploads=4)
    assert photos.bucket.keys("users/") == photos.bucket.keys("temp/") == []
    assert kept(photos) == {id_of(shown)}
    assert await photos.loads(shown["url"])
    assert await collect(photos) == Report()


async def test_originals_go_after_their_days_and_what_is_shown_of_them_stays(
    photos: PhotoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await photos.person()
    _, shown = await photos.show_photo(alice)
    monkeypatch.setattr("bapsang_api.jobs.SystemClock", lambda: photos.world.clock)
    environment = {"BAPSANG_DATABASE_URL": photos.world.runtime.database.engine.url.render_as_string(False)}
    environment |= photos.bucket.environment | {"BAPSANG_ORIGINALS_DAYS": "7"}
    settings = Backend("", environment).settings
    for days, originals in ((6, {id_of(shown)}), (2, set())):
        photos.world.clock.passed += timedelta(days=days)
        assert await collect_images(settings, grace=DAY, dry_run=False)
        assert photos.bucket.ids("originals/") == originals
        assert photos.bucket.ids("public/") == {id_of(shown)}
    assert await photos.loads(shown["url"])


async def test_images_go_a_day_after_the_last_that_showed_them(photos: PhotoWorld) -> None:
    alice, bob = await photos.person(), await photos.person()
    removed, removed_image = await photos.show_photo(alice)
    deleted, deleted_image = await photos.show_photo(alice)
    replaced, replaced_image = await photos.show_photo(alice)
    for person in (alice, bob):
        await photos.show_profile(person)
    _, kept_image = await photos.show_photo(alice)
    hidden, hidden_image = await photos.show_photo(alice)
    await photos.world.change("UPDATE posts SET post_status = 'HIDDEN' WHERE id = :p", p=hidden)
    await let_pass(photos, LATER, alice, bob)
    assert (await collect(photos)).images == 0
    await send(alice, "PATCH", f"/posts/{removed}", {"images": []})
    await send(alice, "DELETE", f"/posts/{deleted}")
    await send(alice, "PATCH", f"/posts/{replaced}", {"postImageKey": kept_image["key"]})
    await send(alice, "PATCH", "/users/me", {"profileImageKey": ""})
    await send(bob, "PATCH", "/users/me/withdraw", {"password": PASSWORD})
    photos.world.clock.passed += timedelta(hours=23)
    assert (await collect(photos)).images == 0
    photos.world.clock.passed += timedelta(hours=2)
    assert await collect(photos) == Report(images=5)
    assert kept(photos) == {id_of(kept_image), id_of(hidden_image)}
    for image in (removed_image, deleted_image, replaced_image):
        assert not await photos.loads(image["url"])
    assert (await photos.world.rows("SELECT COUNT(*) FROM images"))[0][0] == 2


async def test_image_that_two_posts_show_stays_for_the_other(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = await photos.upload(alice)
    first, image = await photos.show_photo(alice, key)
    await photos.write_post(alice, postImageKey=key)
    await send(alice, "DELETE", f"/posts/{first}")
    photos.world.clock.passed += LATER
    assert await collect(photos) == Report(uploads=1, kept=1)
    assert await photos.loads(image["url"])
    assert await collect(photos) == Report()


async def test_upload_that_was_refused_leaves_nothing(photos: PhotoWorld) -> None:
    alice = await photos.person()
    for content in (b"<html>", cut_off()):  # the first look refuses the one, the decoder the other
        key = await photos.upload(alice, content)
        answer = await alice.send("POST", "/posts", json={"title": "밥", "content": "국", "postImageKey": key})
        assert_problem(answer, 400, "E400-1")
    photos.world.clock.passed += LATER
    assert await collect(photos) == Report(uploads=2, images=1)
    assert photos.bucket.keys() == []
    assert (await photos.world.rows("SELECT COUNT(*) FROM images"))[0][0] == 0


async def test_dry_run_counts_and_changes_nothing(photos: PhotoWorld) -> None:
    alice = await photos.person()
    post_id, _ = await photos.show_photo(alice)
    await send(alice, "DELETE", f"/posts/{post_id}")
    photos.world.clock.passed += LATER
    before = photos.bucket.keys(), await photos.world.rows("SELECT * FROM images")
    assert await collect(photos, dry_run=True) == Report(uploads=1, images=1)
    assert (photos.bucket.keys(), await photos.world.rows("SELECT * FROM images")) == before
    assert await collect(photos) == Report(uploads=1, images=1)


async def test_run_that_ended_halfway_is_finished_by_the_next(photos: PhotoWorld) -> None:
    alice = await photos.person()
    post_id, image = await photos.show_photo(alice)
    await send(alice, "PATCH", f"/posts/{post_id}", {"images": []})
    await let_pass(photos, LATER, alice)
    with pytest.raises(Unavailable):
        await collect(photos, BAPSANG_S3_ENDPOINT="http://127.0.0.1:1")
    # The image is still there, but nobody may begin to use it any more.
    assert await photos.loads(image["url"])
    assert_problem(
        await alice.send("PATCH", f"/posts/{post_id}", json={"images": [{"key": image["key"]}]}), 400, "E400-1"
    )
    assert (await collect(photos)).images == 1
    assert photos.bucket.keys() == []


async def test_upload_can_be_used_again_after_its_image_was_collected(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = await photos.upload(alice)
    first, _ = await photos.show_photo(alice, key)
    await send(alice, "DELETE", f"/posts/{first}")
    await let_pass(photos, LATER, alice)
    await collect(photos)
    photos.bucket.put(key, photo())
    _, again = await photos.show_photo(alice, key)
    assert await photos.loads(again["url"])


async def test_image_collected_before_its_post_was_written_is_refused(photos: PhotoWorld) -> None:
    alice, bob = await photos.person(), await photos.person()
    service: ImageService = photos.world.runtime.app.services[ImageService]
    named = [Named("postImageKey", await photos.upload(alice))]
    keys = await service.publish(named, owner_id=alice.user_id, category=Category.POST_IMAGE)

    async def write(person: Person) -> None:
        now = photos.world.clock.now()
        await photos.world.runtime.database.write(
            lambda connection: attach(connection, keys, owner_id=person.user_id, now=now)
        )

    with pytest.raises(Unavailable):
        await write(bob)  # nobody uses another's image, whatever the way to it
    photos.world.clock.passed += LATER
    with pytest.raises(Unavailable):
        await collect(photos, BAPSANG_S3_ENDPOINT="http://127.0.0.1:1")
    with pytest.raises(Unavailable):
        await write(alice)


async def test_image_that_somebody_is_about_to_use_is_not_collected(servers: Backend, bucket: Bucket) -> None:
    async with open_photo_world(servers, bucket) as photos:
        alice = await photos.person()
        post_id, image = await photos.show_photo(alice)
        await send(alice, "PATCH", f"/posts/{post_id}", {"images": []})
        photos.world.clock.passed += LATER
        attached, commit = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def use(connection: Connection) -> None:
            attach(connection, [image["key"]], owner_id=alice.user_id, now=photos.world.clock.now())
            loop.call_soon_threadsafe(attached.set)
            assert commit.wait(60)

        using = asyncio.create_task(photos.world.runtime.database.write(use))
        async with asyncio.timeout(30):
            await attached.wait()
        assert (await collect(photos)).images == 0
        commit.set()
        await using
        assert (await collect(photos)).images == 0
        assert await photos.loads(image["url"])


async def test_image_that_is_being_collected_cannot_be_used_any_more(servers: Backend, bucket: Bucket) -> None:
    async with open_photo_world(servers, bucket) as photos:
        alice = await photos.person()
        post_id, image = await photos.show_photo(alice)
        await send(alice, "PATCH", f"/posts/{post_id}", {"images": []})
        database, now = photos.world.runtime.database, photos.world.clock.now()
        condemned, commit = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def condemn(connection: Connection) -> None:
            ids = [unused.image_id for unused in images.unused(connection, now + LATER, None, 10, now, lock=True)]
            images.collect(connection, ids, now)
            loop.call_soon_threadsafe(condemned.set)
            assert commit.wait(60)

        collecting = asyncio.create_task(database.write(condemn))
        async with asyncio.timeout(30):
            await condemned.wait()
        using = asyncio.create_task(
            database.write(lambda connection: attach(connection, [image["key"]], owner_id=alice.user_id, now=now))
        )
        done, _ = await asyncio.wait({using}, timeout=0.5)
        assert not done
        commit.set()
        await collecting
        with pytest.raises(Unavailable):
            await using


async def test_many_uses_and_many_collectors_at_once_never_leave_a_post_without_its_image(
    servers: Backend, bucket: Bucket
) -> None:
    async with open_photo_world(servers, bucket) as photos:
        alice = await photos.person()
        shown = [await photos.show_photo(alice) for _ in range(8)]
        for post_id, _ in shown:
            await send(alice, "PATCH", f"/posts/{post_id}", {"images": []})
        await let_pass(photos, LATER, alice)

        async def use(post_id: str, image: dict[str, Any]) -> int:
            answer = await alice.send("PATCH", f"/posts/{post_id}", json={"images": [{"key": image["key"]}]})
            return answer.status_code

        # Two before any collector, four among them, two after them: both outcomes are certain to be there.
        before = [await use(*one) for one in shown[:2]]
        meanwhile, *_ = await asyncio.gather(
            asyncio.gather(*(use(*one) for one in shown[2:6])), *(collect(photos) for _ in range(3))
        )
        after = [await use(*one) for one in shown[6:]]
        assert (before, after) == ([200, 200], [400, 400])
        assert set(meanwhile) <= {200, 400, 503}
        for (_, image), status in zip(shown, [*before, *meanwhile, *after], strict=True):
            assert await photos.loads(image["url"]) == (status == 200)


def test_command_says_how_it_ended(tmp_path: Path, files: Backend, bucket: Bucket) -> None:
    environment = {**files.environment, **bucket.environment}
    environment |= {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
    assert run("migrate", cwd=tmp_path, **environment).returncode == 0
    bucket.put("temp/young.jpg", photo())
    done = run("image-collector", "--dry-run", "--older-than", "1", cwd=tmp_path, **environment)
    summary = log_lines(done.stderr)[-1]
    assert (done.returncode, summary["event"]) == (0, "image_collector.done")
    counted = Report().fields() | {"dry_run": True}
    assert set(counted) == {"uploads", "originals", "images", "kept", "dry_run"}
    assert {name: summary[name] for name in counted} == counted
    down = run("image-collector", cwd=tmp_path, **{**environment, "BAPSANG_S3_ENDPOINT": "http://127.0.0.1:1"})
    assert (down.returncode, log_lines(down.stderr)[-1]["event"]) == (1, "image_collector.failed")
    off = run("image-collector", cwd=tmp_path, **files.environment)
    assert (off.returncode, off.stderr.count("\n")) == (2, 1)
    assert "BAPSANG_S3_BUCKET is not set" in off.stderr
    assert run("image-collector", "--older-than", "0", cwd=tmp_path, **environment).returncode == 2
