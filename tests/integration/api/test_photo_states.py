"""What readers see of a photo before it is made, once it is, and when it cannot be: in every process, without asking for it."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bapsang_api.media.messages import MESSAGES
from bapsang_api.media.verdict import Reason
from bapsang_api.notifications.news import PHOTO_REFUSED
from bapsang_api.uploads.s3 import Objects, Stored
from bapsang_api.uploads.service import WAIT_SECONDS

from .bucket import Bucket, PhotoWorld, cut_off, open_idle_world, open_worker, photo
from .world import API, Backend, Person, World, assert_problem, eventually, open_world

SLACK_SECONDS = 3.0  # of a busy machine
OF_POST = {"detail", "image", "jpeg", "list"}
OF_AUTHOR = {"author", "listed author", "commenter", "me"}


@pytest.fixture
async def idle(servers: Backend, bucket: Bucket) -> AsyncIterator[PhotoWorld]:
    """A running service with a bucket, where nobody makes variants until a test does."""
    async with open_idle_world(servers, bucket) as opened:
        yield opened


async def drain(photos: PhotoWorld) -> None:
    """Have all variants made that are due, by a worker of its own."""
    async with open_worker(photos) as worker:
        while await worker.work_once():
            pass


async def seen(world: World, alice: Person, post_id: str) -> dict[str, tuple[str | None, dict[str, Any]]]:
    """Return all places at which a process shows pictures of a post and its author: the URL, and what is beside it."""
    headers = alice.headers | {"Sec-Purpose": "prefetch"}
    detail, listed, thread, me = [
        (await world.http.get(f"{API}{path}", headers=headers)).json()
        for path in (f"/posts/{post_id}", "/posts", f"/posts/{post_id}/comments", "/users/me")
    ]
    content, item, commenter = detail["contentDetail"], listed["items"][0], thread["items"][0]["author"]
    return {
        "detail": (content["postImageUrl"], content["postImage"]),
        "image": (content["images"][0]["url"], content["images"][0]),
        "jpeg": (content["images"][0]["jpegUrl"], content["images"][0]),
        "list": (item["thumbnailUrl"], item["thumbnail"]),
        "author": (detail["author"]["authorProfileUrl"], detail["author"]["authorProfile"]),
        "listed author": (item["author"]["authorProfileUrl"], item["author"]["authorProfile"]),
        "commenter": (commenter["authorProfileImageUrl"], commenter["authorProfileImage"]),
        "me": (me["presignedProfileImageUrl"], me["profileImage"]),
    }


async def test_post_is_there_before_its_photo_which_every_process_shows_once_it_is_made(
    idle: PhotoWorld, servers: Backend, bucket: Bucket
) -> None:
    alice = await idle.person()
    keys = [await idle.upload(alice, category=category) for category in ("POST_IMAGE", "PROFILE_IMAGE")]
    began = time.monotonic()
    detail = await idle.write_post(alice, postImageKey=keys[0])
    assert WAIT_SECONDS <= time.monotonic() - began < WAIT_SECONDS + SLACK_SECONDS
    assert (await alice.send("PATCH", "/users/me", json={"profileImageKey": keys[1]})).status_code == 204
    post_id = detail["postId"]
    await alice.write_comment(post_id)
    async with open_world(Backend("other", {**servers.environment, **bucket.environment})) as other:
        for world in (idle.world, other):
            for place, (url, shown) in (await seen(world, alice, post_id)).items():
                assert (url, shown["state"], shown["srcset"], shown["color"]) == (None, "PENDING", None, None), place
                assert shown["placeholder"], place
                assert (shown["width"], shown["height"]) == ((24, 32) if place in OF_POST else (24, 24)), place
        async with open_worker(idle) as worker:
            for made in (OF_POST, OF_AUTHOR):  # each by itself: one could tell of the other
                assert await worker.work_once()
                for world in (idle.world, other):

                    async def is_made(world: World = world, made: set[str] = made) -> bool:
                        places = await seen(world, alice, post_id)
                        return all(places[place][0] and places[place][1]["state"] == "READY" for place in made)

                    await eventually(is_made)
        for world in (idle.world, other):
            for url, shown in (await seen(world, alice, post_id)).values():
                assert await idle.loads(str(url))
                assert shown["color"]
    after = (await idle.world.http.get(f"{API}/posts/{post_id}")).json()
    assert after["updatedAt"] is None
    assert (after["title"], after["createdAt"]) == (detail["title"], detail["createdAt"])


async def test_photo_that_cannot_be_decoded_is_refused_later_with_word_to_its_author(idle: PhotoWorld) -> None:
    alice = await idle.person()
    post_id = (await idle.write_post(alice, postImageKey=await idle.upload(alice, cut_off())))["postId"]
    key = (await idle.detail(post_id))["images"][0]["key"]
    await drain(idle)
    await idle.until_shown(post_id, "REFUSED")
    content = await idle.detail(post_id)
    (image,) = content["images"]
    assert (content["postImageUrl"], content["postImage"]["state"]) == (None, "REFUSED")
    told = {name: image[name] for name in ("key", "url", "jpegUrl", "srcset", "message")}
    assert told == {"key": key, "url": None, "jpegUrl": None, "srcset": None, "message": MESSAGES[Reason.DAMAGED]}
    assert (image["width"], image["height"]) == (400, 300)
    (item,) = (await alice.get("/users/me/notifications")).json()["items"]
    assert (item["kind"], item["text"], item["post"]["postId"]) == ("SYSTEM", PHOTO_REFUSED, post_id)
    good = await idle.upload(alice)
    for images in ([{"key": key, "alt": "밥"}, {"key": good}], [{"key": good}], []):
        answer = await alice.send("PATCH", f"/posts/{post_id}", json={"images": images})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["contentDetail"]["images"]) == len(images)
    assert idle.bucket.keys("public/") == []


async def test_photo_that_cannot_be_decoded_is_refused_at_once_where_there_is_time(photos: PhotoWorld) -> None:
    alice = await photos.person()
    for field, named in (
        ("postImageKey", {"postImageKey": await photos.upload(alice, cut_off())}),
        ("images.0.key", {"images": [{"key": await photos.upload(alice, cut_off())}]}),
    ):
        answer = await alice.send("POST", "/posts", json={"title": "밥", "content": "국", **named})
        (error,) = assert_problem(answer, 400, "E400-1")["errors"]
        assert error == {"field": field, "message": MESSAGES[Reason.DAMAGED]}
    key = await photos.upload(alice, cut_off(), category="PROFILE_IMAGE")
    answer = await alice.send("PATCH", "/users/me", json={"profileImageKey": key})
    assert assert_problem(answer, 400, "E400-1")["errors"] == [
        {"field": "profileImageKey", "message": MESSAGES[Reason.DAMAGED]}
    ]
    assert await photos.world.rows("SELECT 1 FROM posts") == []
    assert await photos.world.rows("SELECT 1 FROM notifications") == []  # the answers have said it


async def test_upload_that_is_overwritten_after_it_was_looked_at_is_not_what_is_shown(
    photos: PhotoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await photos.person()
    key = await photos.upload(alice)
    read_head = Objects.read_head

    def overwrite(self: Objects, key: str, *, most: int) -> Stored | None:
        stored = read_head(self, key, most=most)
        photos.bucket.put(key, b"<html>")
        return stored

    with monkeypatch.context() as racing:
        racing.setattr(Objects, "read_head", overwrite)
        answer = await alice.send("POST", "/posts", json={"title": "밥", "content": "국", "postImageKey": key})
    assert_problem(answer, 503, "E503-1")
    assert photos.bucket.keys("originals/") == []
    assert await photos.world.rows("SELECT COUNT(due_at), COUNT(confirmed_at) FROM images") == [(0, 0)]
    photos.bucket.put(key, photo())
    await photos.show_photo(alice, key)


async def test_photo_is_in_the_queue_only_once_its_original_is_there(
    photos: PhotoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await photos.person()
    copy = Objects.copy_unchanged

    def copy_late(self: Objects, source: str, key: str, etag: str) -> None:
        time.sleep(1)  # a worker looks five times meanwhile
        copy(self, source, key, etag)

    monkeypatch.setattr(Objects, "copy_unchanged", copy_late)
    await photos.show_photo(alice)
    assert await photos.world.rows("SELECT attempts, due_at FROM images") == [(1, None)]


async def test_four_posts_of_ten_large_photos_at_once_are_published(idle: PhotoWorld) -> None:
    """P17 of the field: one of four was 503. A request reads the beginning of each, and S3 copies the rest."""
    people = [await idle.person() for _ in range(4)]
    large = photo() + bytes(4 * 1024 * 1024)  # what follows a picture is dropped
    keys = {person.user_id: [f"users/{person.user_id}/post/{n:026d}.jpg" for n in range(10)] for person in people}
    for key in itertools.chain.from_iterable(keys.values()):
        idle.bucket.put(key, large)
    posts = (idle.write_post(person, images=[{"key": key} for key in keys[person.user_id]]) for person in people)
    for detail in await asyncio.gather(*posts):
        assert [image["state"] for image in detail["contentDetail"]["images"]] == ["PENDING"] * 10
    assert len(idle.bucket.keys("originals/")) == 40
