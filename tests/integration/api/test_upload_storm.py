"""The check function in a storm: whatever events do, and whoever is quicker, each post shows the content that it was written with."""

import asyncio
import os
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bapsang_api.uploads import check_function

from .bucket import Bucket, PhotoWorld, collect, colour_of, open_photo_world, photo
from .queues import MOST_RECEIVES, Queue, start_function, told
from .test_upload_events import folder, whole
from .world import Backend, Person, assert_problem
from .world import eventually as until

#: How many events the storm has, eight of an upload; BAPSANG_TEST_UPLOAD_EVENTS=10000 is the full one.
EVENTS = int(os.environ.get("BAPSANG_TEST_UPLOAD_EVENTS", "400"))
LATER = timedelta(hours=25)
PER_POST = 10


class Storm:
    """Uploads of several people, and what is told of them: often, late, in any order, of some never.

    Of each hundred uploads ten are told of never, five are no pictures, ten are overwritten while events come in, and
    twenty are not used. The events are as many as asked for, and a few messages that nobody can read.
    """

    def __init__(self, people: list[Person], bucket: Bucket, dice: random.Random) -> None:
        self.bucket, self.dice = bucket, dice
        self.keys: dict[str, Person] = {}
        for number in range(EVENTS // 8):
            person = people[number % len(people)]
            self.keys[f"users/{person.user_id}/post/{number:026d}.jpg"] = person
        order = list(self.keys)
        tenth = len(order) // 10
        self.lost, self.overwritten = set(order[:tenth]), set(order[tenth : 2 * tenth])
        self.bad = set(order[2 * tenth : 2 * tenth + tenth // 2])
        self.unused = set(dice.sample(order, 2 * tenth))
        self.good = [key for key in order if key not in self.bad and key not in self.unused]
        self.messages = self._messages([key for key in order if key not in self.lost])

    def _messages(self, heard: list[str]) -> list[str]:
        """Return the bodies of messages: each of `heard` once, and the rest at random, so some come many times."""
        extra = self.dice.choices(heard, k=EVENTS - len(heard))
        return [told(key) for key in (*heard, *extra)] + ["{"] * 3

    def upload(self, colour: str, keys: set[str]) -> None:
        good = photo(colour)
        with ThreadPoolExecutor(8) as senders:
            list(senders.map(lambda key: self.bucket.put(key, b"<html>" if key in self.bad else good), sorted(keys)))


async def test_storm_of_events_leaves_each_post_the_content_that_it_was_written_with(
    servers: Backend, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_function(bucket, monkeypatch)
    async with open_photo_world(servers, bucket) as photos:
        people = [await photos.person() for _ in range(5)]
        storm = Storm(people, bucket, random.Random(EVENTS))
        storm.upload("red", set(storm.keys))
        red = {key: folder(bucket, key) for key in storm.keys}

        queue = Queue(storm.dice, dies=0.03)
        half = len(storm.messages) // 2
        storm.dice.shuffle(storm.messages)
        await asyncio.to_thread(queue.deliver, storm.messages[:half], check_function.handler)
        first = objects(bucket)
        # Some are used while the function is still at it, and may be quicker.
        early = [key for key in storm.good if key not in storm.overwritten][::2]
        _, shown, _ = await asyncio.gather(
            asyncio.to_thread(queue.deliver, storm.messages[half:], check_function.handler),
            use(photos, people, storm, early),
            asyncio.to_thread(storm.upload, "blue", storm.overwritten),
        )
        await asyncio.to_thread(queue.deliver, map(told, sorted(storm.overwritten)), check_function.handler)

        # All variants of each content that an event told of, each written once; and of nothing else.
        now = {key: folder(bucket, key) for key in storm.keys}
        heard = set(storm.keys) - storm.lost - storm.bad
        replaced = {key for key in storm.overwritten if f"{red[key]}/photo.json" in objects(bucket)}
        after = objects(bucket)
        assert sorted(after) == whole(*(now[key] for key in heard), *(red[key] for key in replaced))
        assert {key for key, what in first.items() if after[key] != what} == set()
        assert [message.body for message in queue.dead if message.received == MOST_RECEIVES] == ["{"] * 3
        assert queue.delivered >= EVENTS

        # Used, also those that no event told of: each has one image, and it shows the content that was there.
        shown |= await use(photos, people, storm, [key for key in storm.good if key not in shown])
        assert set(shown) == set(storm.good)
        await until(lambda: no_more_to_make(photos))
        published = objects(bucket, "public/")
        assert sorted(published) == sorted(f"{shown[key]}/320.{form}" for key in storm.good for form in ("jpg", "webp"))
        for key in storm.good:
            content = bucket.client.get_object(Bucket=bucket.name, Key=f"{shown[key]}/320.webp")["Body"].read()
            assert colour_of(content) == colour_of(photo("blue" if key in storm.overwritten else "red"))
        rows = await photos.world.rows(
            "SELECT upload_key, COUNT(*) FROM images WHERE confirmed_at IS NOT NULL GROUP BY upload_key"
        )
        assert dict(rows) == dict.fromkeys(storm.good, 1)
        for key in sorted(storm.bad)[:3]:
            body = {"title": "밥", "content": "국", "postImageKey": key}
            assert_problem(await storm.keys[key].send("POST", "/posts", json=body), 400, "E400-1")

        # Collected: a day later there is nothing but what posts show, and what that was made of.
        photos.world.clock.passed += LATER
        await collect(photos)
        originals = {f"originals/{image.rpartition('/')[2]}" for image in shown.values()}
        assert set(objects(bucket, "")) == set(published) | originals
        assert objects(bucket, "public/") == published
        assert (await photos.world.rows("SELECT COUNT(*) FROM images"))[0][0] == len(storm.good)


def objects(bucket: Bucket, prefix: str = "checked/") -> dict[str, tuple[str, object]]:
    """Return what tells each object below `prefix` from any other, and from the same written again, by key."""
    pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix)
    return {one["Key"]: (one["ETag"], one["LastModified"]) for page in pages for one in page.get("Contents", ())}


async def no_more_to_make(photos: PhotoWorld) -> bool:
    return (await photos.world.rows("SELECT COUNT(*) FROM images WHERE due_at IS NOT NULL"))[0][0] == 0


async def use(photos: PhotoWorld, people: list[Person], storm: Storm, keys: list[str]) -> dict[str, str]:
    """Write posts that show these uploads; return the key under which each is published."""
    shown: dict[str, str] = {}
    for person in people:
        own = [key for key in keys if storm.keys[key] is person]
        for start in range(0, len(own), PER_POST):
            some = own[start : start + PER_POST]
            detail = await photos.write_post(person, images=[{"key": key} for key in some])
            images = detail["contentDetail"]["images"]
            shown |= {key: image["key"] for key, image in zip(some, images, strict=True)}
    return shown
