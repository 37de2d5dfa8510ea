"""The check function: events come twice, late, out of order and not at all, and every upload is checked once or collected."""

import json
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer

import pytest
from tests.confined import confined
from tests.hostile import FILES
from tests.waiting import eventually

from bapsang_api.uploads import check_function
from bapsang_api.uploads.checking import Verdict, check
from bapsang_api.uploads.rules import checked_key
from bapsang_api.uploads.s3 import Objects

from .bucket import HOSTILE, Bucket, PhotoWorld, collect, colour_of, create_bucket, open_photo_world, photo, serving_s3
from .queues import MOST_RECEIVES, Queue, told
from .world import UNKNOWN, Backend, Person, assert_problem

#: How many events the storm has; BAPSANG_TEST_UPLOAD_EVENTS=10000 is the full one.
EVENTS = int(os.environ.get("BAPSANG_TEST_UPLOAD_EVENTS", "400"))
LATER = timedelta(hours=25)
KEY = "users/01JDAAAAAAAAAAAAAAAAAAAAAA/post/01JD0000000000000000000000.jpg"
PER_POST = 10
RED = colour_of(photo("red"))


@pytest.fixture(autouse=True)
def fresh(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The function in a new container, before this test's bucket."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    check_function._objects.cache_clear()
    yield
    check_function._objects.cache_clear()


def call(*bodies: str) -> list[str]:
    """Call the function with a batch of messages; return the numbers of those that it wants again."""
    batch = {"Records": [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]}
    return [one["itemIdentifier"] for one in check_function.handler(batch, None)["batchItemFailures"]]


def test_event_of_a_real_server_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hooked() as (hook, heard), serving_s3(tmp_path, "--event-webhook-url", hook) as origin:
        own = create_bucket(origin, "told")
        monkeypatch.setenv("BAPSANG_S3_BUCKET", own.name)
        monkeypatch.setenv("BAPSANG_S3_ENDPOINT", origin)
        check_function._objects.cache_clear()
        own.put(KEY, photo())
        eventually(lambda: any(KEY in body for body in heard))
        assert call(*heard) == []
        assert own.keys("checked/") == [checked_key(KEY)]
        # What the function writes itself is told as well by this server, and must not be taken for an upload.
        eventually(lambda: any(checked_key(KEY) in body for body in heard))
        assert call(*heard) == []
        assert own.keys("checked/") == [checked_key(KEY)]


@contextmanager
def hooked() -> Iterator[tuple[str, list[str]]]:
    """Run an address at which a server tells its events; yields it and what was told."""
    heard: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingTCPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", heard
        server.shutdown()


def test_upload_is_checked_and_loses_what_it_tells_besides(bucket: Bucket) -> None:
    bucket.put(KEY, photo())
    assert call(told(KEY)) == []
    kept = bucket.client.get_object(Bucket=bucket.name, Key=checked_key(KEY))
    assert (kept["ContentType"], kept["CacheControl"]) == ("image/jpeg", "public, max-age=86400")
    assert b"37.5665" not in kept["Body"].read()


def test_first_that_was_checked_stays_whatever_is_put_in_its_place(bucket: Bucket) -> None:
    bucket.put(KEY, photo("red"))
    assert call(told(KEY), told(KEY)) == []
    bucket.put(KEY, photo("blue"))
    assert call(told(KEY)) == []
    assert colour_of(bucket.client.get_object(Bucket=bucket.name, Key=checked_key(KEY))["Body"].read()) == RED


def test_of_functions_at_once_one_checks(bucket: Bucket) -> None:
    """Both look before either has written, and only the condition of the write is left to decide."""
    bucket.put(KEY, photo())
    together = threading.Barrier(2)

    class Together(Objects):
        def exists(self, key: str) -> bool:
            found = super().exists(key)
            together.wait(10)
            return found

    with ThreadPoolExecutor(2) as functions:
        found = list(functions.map(lambda _: check(Together(bucket.name, bucket.client), KEY), range(2)))
    assert sorted(found) == [Verdict.CHECKED, Verdict.KNOWN]


@pytest.mark.parametrize("content", [b"<html>", photo()[:-20], photo(form="PNG"), b"x" * (10 * 1024 * 1024 + 1)])
async def test_refused_upload_keeps_its_reason_until_it_is_used(photos: PhotoWorld, content: bytes) -> None:
    alice = await photos.person()
    key = await photos.upload(alice)
    photos.bucket.put(key, content)
    assert call(told(key)) == []
    assert photos.bucket.keys("checked/") == []
    answer = await alice.send("POST", "/posts", json={"title": "밥", "content": "국", "postImageKey": key})
    (error,) = assert_problem(answer, 400, "E400-1")["errors"]
    assert error["message"] != "업로드가 확인되지 않은 이미지입니다."
    # It was not used, so a good one may still take its place.
    photos.bucket.put(key, photo())
    assert call(told(key)) == []
    assert photos.bucket.keys("checked/") == [checked_key(key)]


def test_function_checks_hostile_uploads_within_little_memory_and_time(bucket: Bucket, tmp_path: Path) -> None:
    hostile = HOSTILE | {"jpeg: fill bytes": f"users/{UNKNOWN}/post/{UNKNOWN}.jpg"}
    for name, key in hostile.items():
        bucket.put(key, FILES[name].make(), FILES[name].content_type)
    with confined("function", tmp_path) as function:
        for key in hostile.values():
            outcome = function.say(told(key))
            assert (outcome.said, outcome.ended_by) == ('{"batchItemFailures": []}', 0), outcome
    assert bucket.keys("checked/") == [checked_key(hostile["jpeg: fill bytes"])]


async def test_picture_that_was_checked_is_shown_without_reading_the_upload_again(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = await photos.upload(alice, photo("red"))
    assert call(told(key)) == []
    photos.bucket.put(key, photo("blue"))
    detail = await photos.write_post(alice, postImageKey=key)
    shown = await photos.s3.get(detail["contentDetail"]["postImageUrl"])
    assert colour_of(shown.content) == RED
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["cache-control"] == "public, max-age=86400"


async def test_picture_of_a_signup_is_checked_too(photos: PhotoWorld) -> None:
    key = await photos.upload(None)
    assert call(told(key)) == []
    assert photos.bucket.keys("checked/") == [f"checked/{key}"]


async def test_nobody_is_shown_what_was_only_checked(photos: PhotoWorld) -> None:
    key = await photos.upload(await photos.person())
    assert call(told(key)) == []
    origin = photos.bucket.environment["BAPSANG_S3_ENDPOINT"]
    assert not await photos.loads(f"{origin}/{photos.bucket.name}/{checked_key(key)}")


def test_what_is_no_upload_is_let_be(bucket: Bucket) -> None:
    keys = [f"public/post/{KEY[-30:]}", checked_key(KEY), "users/x/post/y.jpg", "temp/a b+c%.jpg", KEY]
    test_event = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket.name})
    assert call(told(*keys), test_event, told()) == []
    assert bucket.keys() == []


def test_message_that_cannot_be_read_comes_back_alone(bucket: Bucket) -> None:
    bucket.put(KEY, photo())
    broken = [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"Records": [{}]}',
        '{"Records": 1}',
        '{"Records": [{"s3": {"object": 1}}]}',
    ]
    assert call(*broken, told(KEY)) == [str(number) for number in range(len(broken))]
    assert bucket.keys("checked/") == [checked_key(KEY)]


def test_everything_comes_again_while_s3_is_down(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put(KEY, photo())
    monkeypatch.setenv("BAPSANG_S3_ENDPOINT", "http://127.0.0.1:1")
    assert call(told(KEY), told(KEY)) == ["0", "1"]
    monkeypatch.undo()


class Storm:
    """Uploads of several people, and what is told of them: often, late, in any order, of some never.

    Of each hundred uploads ten are told of never, five are no pictures, ten are overwritten while events come in, and
    twenty are not used. The events are as many as asked for, and a few messages that nobody can read.
    """

    def __init__(self, people: list[Person], bucket: Bucket, dice: random.Random) -> None:
        self.bucket, self.dice = bucket, dice
        self.keys: dict[str, Person] = {}
        for number in range(EVENTS // 4):
            person = people[number % len(people)]
            self.keys[f"users/{person.user_id}/post/{number:026d}.jpg"] = person
        order = list(self.keys)
        tenth = len(order) // 10
        self.lost, self.overwritten = set(order[:tenth]), set(order[tenth : 2 * tenth])
        self.bad = set(order[2 * tenth : 2 * tenth + tenth // 2])
        self.unused = set(dice.sample(order, 2 * tenth))
        self.messages = self._messages([key for key in order if key not in self.lost])

    def _messages(self, heard: list[str]) -> list[str]:
        """Return the bodies of messages: each of `heard` once, and the rest at random, so some come many times."""
        extra = self.dice.choices(heard, k=EVENTS - len(heard))
        return [told(key) for key in (*heard, *extra)] + ["{"] * 3

    def upload(self, colour: str, keys: set[str]) -> None:
        good = photo(colour)
        with ThreadPoolExecutor(8) as senders:
            list(senders.map(lambda key: self.bucket.put(key, b"<html>" if key in self.bad else good), sorted(keys)))


async def test_storm_of_events_leaves_every_upload_checked_once_or_collected(
    servers: Backend, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_photo_world(servers, bucket) as photos:
        people = [await photos.person() for _ in range(5)]
        storm = Storm(people, bucket, random.Random(EVENTS))
        storm.upload("red", set(storm.keys))

        checked: Counter[str] = Counter()

        def noted(objects: Objects, key: str) -> Verdict:
            verdict = check(objects, key)
            checked[key] += verdict is Verdict.CHECKED
            return verdict

        monkeypatch.setattr(check_function, "check", noted)
        queue = Queue(storm.dice, dies=0.03)
        half = len(storm.messages) // 2
        storm.dice.shuffle(storm.messages)
        queue.deliver(storm.messages[:half], check_function.handler)
        first = tags(bucket)
        with ThreadPoolExecutor(1) as overwriting:
            overwritten = overwriting.submit(storm.upload, "blue", storm.overwritten)
            queue.deliver(storm.messages[half:], check_function.handler)
            overwritten.result()
        queue.deliver([told(key) for key in sorted(storm.overwritten)], check_function.handler)

        # Exactly once: of all calls for an upload one has checked it, and what it wrote is still there.
        wanted = set(storm.keys) - storm.lost - storm.bad
        assert {key for key, times in checked.items() if times} == wanted
        assert {key: times for key, times in checked.items() if times > 1} == {}
        after = tags(bucket)
        assert set(after) == {checked_key(key) for key in wanted}
        assert {key for key, tag in first.items() if after[key] != tag} == set()
        assert [message.body for message in queue.dead if message.received == MOST_RECEIVES] == ["{"] * 3
        assert queue.delivered >= EVENTS

        # Used: those that no event told of as well; each has one image, and it shows what was checked.
        good = [key for key in storm.keys if key not in storm.bad and key not in storm.unused]
        shown = await use(photos, people, storm, good)
        rows = await photos.world.rows(
            "SELECT upload_key, COUNT(*) FROM images WHERE confirmed_at IS NOT NULL GROUP BY upload_key"
        )
        assert dict(rows) == dict.fromkeys(good, 1)
        published = tags(bucket, "public/")
        assert {key for key in good if key in wanted and published[shown[key]] != after[checked_key(key)]} == set()
        for key in sorted(storm.bad)[:3]:
            body = {"title": "밥", "content": "국", "postImageKey": key}
            assert_problem(await storm.keys[key].send("POST", "/posts", json=body), 400, "E400-1")

        # Collected: a day later there is nothing but what posts show.
        photos.world.clock.passed += LATER
        await collect(photos)
        assert set(tags(bucket, "")) == set(shown.values())
        assert (await photos.world.rows("SELECT COUNT(*) FROM images"))[0][0] == len(good)


def tags(bucket: Bucket, prefix: str = "checked/") -> dict[str, str]:
    """Return what stands for the content of every object below `prefix`, by key."""
    pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix)
    return {one["Key"]: one["ETag"] for page in pages for one in page.get("Contents", ())}


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
