"""The check function: events come twice, late, out of order and not at all; variants are those of the content that is used."""

import asyncio
import json
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer

import httpx
import pytest
from tests.hostile import FILES
from tests.photos import heic
from tests.waiting import eventually

from bapsang_api.uploads import check_function
from bapsang_api.uploads.check_function import Checked, check
from bapsang_api.uploads.s3 import Objects
from bapsang_api.uploads.worker import Worker

from .bucket import Bucket, PhotoWorld, colour_of, create_bucket, photo, serving_s3, working
from .queues import start_function, told
from .world import Backend, Person, assert_problem, open_world
from .world import eventually as until

KEY = "users/01JDAAAAAAAAAAAAAAAAAAAAAA/post/01JD0000000000000000000000.jpg"
RED, BLUE = colour_of(photo("red")), colour_of(photo("blue"))
#: Looks like a picture at first, and is none.
DAMAGED = photo()[:-20]
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def fresh(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    start_function(bucket, monkeypatch)


def call(*bodies: str) -> list[str]:
    """Call the function with a batch of messages; return the numbers of those that it wants again."""
    batch = {"Records": [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]}
    return [one["itemIdentifier"] for one in check_function.handler(batch, None)["batchItemFailures"]]


def folder(bucket: Bucket, key: str) -> str:
    """Return where the variants of what lies under an upload's key now belong."""
    etag = bucket.client.head_object(Bucket=bucket.name, Key=key)["ETag"].strip('"')
    return f"checked/{key}/{etag}"


def whole(*folders: str, size: int = 320) -> list[str]:
    """Return the keys of all objects of small photos that were made."""
    return sorted(f"{one}/{name}" for one in folders for name in (f"{size}.jpg", f"{size}.webp", "photo.json"))


def test_event_of_a_real_server_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hooked() as (hook, heard), serving_s3(tmp_path, "--event-webhook-url", hook) as origin:
        own = create_bucket(origin, "told")
        start_function(own, monkeypatch)
        own.put(KEY, photo())
        eventually(lambda: any(KEY in body for body in heard))
        assert call(*heard) == []
        made = whole(folder(own, KEY))
        assert own.keys("checked/") == made
        # What the function writes itself is told as well by this server, and must not be taken for an upload.
        eventually(lambda: all(any(key in body for body in heard) for key in made))
        assert call(*heard) == []
        assert own.keys("checked/") == made


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


def test_variants_are_made_ahead_of_time_and_lose_what_the_photo_tells_besides(bucket: Bucket) -> None:
    bucket.put(KEY, photo())
    assert call(told(KEY)) == []
    made = folder(bucket, KEY)
    assert bucket.keys("checked/") == whole(made)
    for name, content_type in (("320.webp", "image/webp"), ("320.jpg", "image/jpeg")):
        kept = bucket.client.get_object(Bucket=bucket.name, Key=f"{made}/{name}")
        assert (kept["ContentType"], kept["CacheControl"]) == (content_type, "public, max-age=31536000, immutable")
        content = kept["Body"].read()
        assert b"37.5665" not in content
        assert colour_of(content) == colour_of(photo())


def test_each_content_of_an_upload_has_variants_of_its_own(bucket: Bucket) -> None:
    folders = {}
    for colour in ("red", "blue"):
        bucket.put(KEY, photo(colour))
        assert call(told(KEY), told(KEY)) == []
        folders[colour] = folder(bucket, KEY)
    assert bucket.keys("checked/") == whole(*folders.values())
    for colour, made in folders.items():
        kept = bucket.client.get_object(Bucket=bucket.name, Key=f"{made}/320.webp")["Body"].read()
        assert colour_of(kept) == colour_of(photo(colour))


def test_content_that_is_put_in_its_place_while_it_is_read_is_not_taken_for_it(bucket: Bucket) -> None:
    bucket.put(KEY, photo("red"))

    class Overwritten(Objects):
        def etag_of(self, key: str) -> str | None:
            found = super().etag_of(key)
            bucket.put(KEY, photo("blue"))
            return found

    assert check(Overwritten(bucket.name, bucket.client), KEY) is Checked.ABSENT
    assert bucket.keys("checked/") == []
    assert call(told(KEY)) == []
    assert bucket.keys("checked/") == whole(folder(bucket, KEY))


def test_of_functions_at_once_one_writes_each_object(bucket: Bucket) -> None:
    """Both look before either has written, and only the condition of the write is left to decide."""
    bucket.put(KEY, photo())
    together = threading.Barrier(2)
    written: list[tuple[str, bool]] = []

    class Together(Objects):
        def exists(self, key: str) -> bool:
            found = super().exists(key)
            together.wait(10)
            return found

        def create(self, key: str, content: bytes, content_type: str) -> bool:
            created = super().create(key, content, content_type)
            written.append((key, created))
            return created

    with ThreadPoolExecutor(2) as functions:
        found = list(functions.map(lambda _: check(Together(bucket.name, bucket.client), KEY), range(2)))
    assert found == [Checked.MADE, Checked.MADE]
    assert sorted(written) == [(key, created) for key in whole(folder(bucket, KEY)) for created in (False, True)]
    assert check(Objects(bucket.name, bucket.client), KEY) is Checked.KNOWN


def test_what_a_function_left_that_was_ended_halfway_is_finished(bucket: Bucket) -> None:
    bucket.put(KEY, photo())
    assert call(told(KEY)) == []
    made = folder(bucket, KEY)
    for name in ("photo.json", "320.jpg"):
        bucket.client.delete_object(Bucket=bucket.name, Key=f"{made}/{name}")
    assert call(told(KEY)) == []
    assert bucket.keys("checked/") == whole(made)


@pytest.mark.parametrize("content", [b"<html>", DAMAGED, b"x" * (10 * MIB + 1)], ids=["html", "damaged", "too large"])
async def test_what_the_function_refuses_is_refused_when_it_is_used(photos: PhotoWorld, content: bytes) -> None:
    alice = await photos.person()
    key = await photos.upload(alice)
    photos.bucket.put(key, content)
    assert call(told(key)) == []
    assert photos.bucket.keys("checked/") == []
    answer = await alice.send("POST", "/posts", json={"title": "밥", "content": "국", "postImageKey": key})
    if answer.status_code == 201:  # the verdict came later than a request waits
        await photos.until_shown(answer.json()["postId"], "REFUSED")
    else:
        (error,) = assert_problem(answer, 400, "E400-1")["errors"]
        assert error["message"] != "업로드가 확인되지 않은 이미지입니다."
    assert photos.bucket.keys("public/") == []


def test_hostile_uploads_cost_the_function_itself_little(bucket: Bucket) -> None:
    """Whatever they cost the process that decodes: it has limits of its own."""
    hostile = ("jpeg: scans", "png: pixels, a byte a chunk", "webp: pictures", "jpeg: restart markers")
    keys = [f"temp/{number:026d}.jpg" for number in range(len(hostile))]
    for key, name in zip(keys, hostile, strict=True):
        bucket.put(key, FILES[name].make(), FILES[name].content_type)
    check_function._objects()
    tracemalloc.start()
    assert call(*map(told, keys)) == []
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 24 * MIB
    assert bucket.keys("checked/") == whole(folder(bucket, keys[-1]), size=96)


@asynccontextmanager
async def with_worker(backend: Backend, bucket: Bucket) -> AsyncIterator[tuple[PhotoWorld, Worker]]:
    """A running service and its worker, of which a test wants to know what it has done."""
    chosen = Backend(backend.name, {**backend.environment, **bucket.environment})
    async with open_world(chosen) as world, httpx.AsyncClient() as s3, working(world, bucket) as worker:
        yield PhotoWorld(world, bucket, s3, chosen), worker


async def copied_ahead(photos: PhotoWorld, person: Person) -> tuple[str, str]:
    """Upload what nobody could decode, with variants of another picture below `checked/`; return its key and their folder."""
    good, bad = await photos.upload(person, photo("red")), await photos.upload(person, DAMAGED)
    assert call(told(good)) == []
    source, target = (folder(photos.bucket, key) for key in (good, bad))
    for name in ("320.webp", "320.jpg", "photo.json"):
        photos.bucket.client.copy_object(
            Bucket=photos.bucket.name,
            Key=f"{target}/{name}",
            CopySource={"Bucket": photos.bucket.name, "Key": f"{source}/{name}"},
        )
    return bad, target


async def test_variants_that_were_made_ahead_are_published_without_decoding(servers: Backend, bucket: Bucket) -> None:
    async with with_worker(servers, bucket) as (photos, worker):
        alice = await photos.person()
        key, _ = await copied_ahead(photos, alice)
        detail = await photos.write_post(alice, postImageKey=key)
        shown = await photos.s3.get(await photos.until_shown(detail["postId"]))
        assert colour_of(shown.content) == RED
        assert shown.headers["content-type"] == "image/webp"
        assert shown.headers["cache-control"] == "public, max-age=31536000, immutable"
        (image,) = (await photos.world.http.get(f"/api/v1/posts/{detail['postId']}")).json()["contentDetail"]["images"]
        assert (image["width"], image["height"]) == (24, 32)
        assert bucket.keys("public/") == [f"{image['key']}/320.jpg", f"{image['key']}/320.webp"]
        assert (worker.tally.jobs["ready"], worker.tally.cpu_seconds) == (1, 0.0)


async def test_what_was_made_ahead_in_part_or_in_other_words_is_made_again(
    servers: Backend, bucket: Bucket, subtests: pytest.Subtests
) -> None:
    async with with_worker(servers, bucket) as (photos, worker):
        alice = await photos.person()
        for number, (name, content) in enumerate(
            [
                ("photo.json", None),
                ("photo.json", b"{"),
                ("photo.json", b'{"verdict": "ACCEPTED", "version": 2}'),
                ("photo.json", b'{"verdict": "REFUSED", "reason": "DAMAGED", "detail": "it is none"}'),
                ("320.jpg", None),
            ],
            1,
        ):
            with subtests.test(name=name, content=content):
                key = await photos.upload(alice, photo("red"))
                assert call(told(key)) == []
                spoiled = f"{folder(bucket, key)}/{name}"
                if content is None:
                    bucket.client.delete_object(Bucket=bucket.name, Key=spoiled)
                else:
                    bucket.put(spoiled, content)
                before = worker.tally.cpu_seconds
                detail = await photos.write_post(alice, postImageKey=key)
                assert colour_of((await photos.s3.get(await photos.until_shown(detail["postId"]))).content) == RED
                assert worker.tally.cpu_seconds > before
                assert len(bucket.keys("public/")) == 2 * number


async def test_post_shows_the_content_that_was_used_whatever_is_put_in_its_place(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = await photos.upload(alice, photo("red"))
    assert call(told(key)) == []
    url = await photos.until_shown((await photos.write_post(alice, postImageKey=key))["postId"])
    photos.bucket.put(key, photo("blue"))
    assert call(told(key)) == []
    again = await photos.write_post(alice, postImageKey=key)
    assert await photos.until_shown(again["postId"]) == url
    assert colour_of((await photos.s3.get(url)).content) == RED


@pytest.mark.parametrize("heard", [True, False])
async def test_post_shows_what_was_put_in_its_place_before_it_was_used(photos: PhotoWorld, heard: bool) -> None:
    alice = await photos.person()
    key = await photos.upload(alice, photo("red"))
    assert call(told(key)) == []
    photos.bucket.put(key, photo("blue"))
    assert not heard or call(told(key)) == []
    detail = await photos.write_post(alice, postImageKey=key)
    assert colour_of((await photos.s3.get(await photos.until_shown(detail["postId"]))).content) == BLUE


async def test_function_and_worker_at_once_make_the_same(photos: PhotoWorld) -> None:
    alice = await photos.person()
    keys = [await photos.upload(alice) for _ in range(5)]
    calls = [asyncio.to_thread(call, told(key)) for key in keys]
    details = [photos.write_post(alice, postImageKey=key) for key in keys]
    await asyncio.gather(*calls, *details)

    async def all_shown() -> bool:
        return len(photos.bucket.keys("public/")) == 2 * len(keys)

    await until(all_shown)
    assert photos.bucket.keys("checked/") == whole(*(folder(photos.bucket, key) for key in keys))
    listed = (await photos.world.http.get("/api/v1/posts")).json()["items"]
    for item in listed:
        assert colour_of((await photos.s3.get(await photos.until_shown(item["postId"]))).content) == colour_of(photo())


async def test_picture_of_a_signup_is_made_ahead_as_a_square(photos: PhotoWorld) -> None:
    key = await photos.upload(None, heic())
    assert call(told(key)) == []
    made = folder(photos.bucket, key)
    names = ("256.jpg", "256.webp", "96.jpg", "96.webp", "photo.json")
    assert photos.bucket.keys("checked/") == [f"{made}/{name}" for name in names]
    told_of = photos.bucket.client.get_object(Bucket=photos.bucket.name, Key=f"{made}/photo.json")["Body"].read()
    assert {(one["width"], one["height"]) for one in json.loads(told_of)["variants"]} == {(96, 96), (256, 256)}


async def test_nobody_is_shown_what_was_only_checked(photos: PhotoWorld) -> None:
    key = await photos.upload(await photos.person())
    assert call(told(key)) == []
    for made in whole(folder(photos.bucket, key)):
        assert not await photos.loads(f"{photos.origin}/{made}")


def test_what_is_no_upload_is_let_be(bucket: Bucket) -> None:
    keys = [f"public/post/{KEY[-30:]}", f"checked/{KEY}/0/photo.json", "users/x/post/y.jpg", "temp/a b+c%.jpg", KEY]
    keys += [KEY.replace("/post/", "/misc/"), f"originals/{KEY[-30:-4]}"]
    test_event = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket.name})
    assert call(told(*keys), test_event, told()) == []
    bucket.put(KEY.replace("/post/", "/misc/"), photo())  # nothing shows it
    assert call(told(*keys)) == []
    assert bucket.keys("checked/") == []


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
    assert bucket.keys("checked/") == whole(folder(bucket, KEY))


def test_everything_comes_again_while_s3_is_down(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put(KEY, photo())
    monkeypatch.setenv("BAPSANG_S3_ENDPOINT", "http://127.0.0.1:1")
    assert call(told(KEY), told(KEY)) == ["0", "1"]
    monkeypatch.undo()


def test_upload_comes_again_that_could_not_be_decided_and_the_log_says_why(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A system that does not allow the confinement, for one: the child ends with an exit code, and nothing was decoded."""
    bucket.put(KEY, photo())
    monkeypatch.setattr("bapsang_api.media.process._COMMAND", ("/bin/sh", "-c", "exit 70", "sh"))
    assert call(told(KEY)) == ["0"]
    (failed,) = [one for one in caplog.records if one.message == "uploads.event_failed"]
    assert failed.error == "UndecidedError: the process ended with exit code 70"  # type: ignore[attr-defined]
    assert bucket.keys("checked/") == []
    monkeypatch.undo()
