"""Uploads against a real S3 server: what may be put where, what of it is shown, and every way to abuse it."""

import asyncio
import base64
import io
import json
import re
from typing import Any

import pytest
from PIL import Image

from .bucket import SEOUL, Bucket, PhotoWorld, colour_of, open_photo_world, photo
from .world import API, UNKNOWN, Backend, Person, World, assert_problem, open_world

REQUEST = {"fileName": "a.png", "contentType": "image/png", "fileSizeByte": 1, "category": "POST_IMAGE"}


async def refused(person: Person, **body: Any) -> list[str]:
    """Write a post that has to be refused for its images; return the fields that the answer names."""
    answer = await person.send("POST", "/posts", content=json.dumps({"title": "밥", "content": "국", **body}))
    return [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]]


async def test_photo_goes_from_the_camera_to_every_page_that_shows_the_post(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = await photos.upload(alice)
    assert key.startswith(f"users/{alice.user_id}/post/")
    detail = await photos.write_post(alice, postImageKey=key)
    url = detail["contentDetail"]["postImageUrl"]
    assert "?" not in url
    shown = await photos.s3.get(url)
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/webp")
    assert shown.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert colour_of(shown.content) == colour_of(photo())
    part = await photos.s3.get(url, headers={"Range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, shown.content[4:10])
    unseen = {"Sec-Purpose": "prefetch"}
    assert (await photos.world.http.get(f"{API}/posts/{detail['postId']}", headers=unseen)).json() == detail
    listed = (await photos.world.http.get(f"{API}/posts")).json()
    assert listed["items"][0]["thumbnailUrl"] == url
    own = (await alice.get("/users/me/posts")).json()["items"]
    assert own == [{**item, "state": "PUBLISHED"} for item in listed["items"]]


async def test_only_what_was_published_is_anybodys_to_see(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = await photos.upload(alice)
    assert not await photos.loads(f"{photos.origin}/{key}")
    assert not await photos.loads(f"{photos.origin}?list-type=2")
    await photos.write_post(alice, postImageKey=key)
    assert not await photos.loads(f"{photos.origin}/{key}")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
async def test_place_of_a_photo_never_leaves_and_it_is_upright(photos: PhotoWorld, form: str) -> None:
    alice = await photos.person()
    original = photo(form=form)  # 32 x 24, to be turned
    assert SEOUL.encode() in original
    key = await photos.upload(alice, original, contentType=f"image/{form.lower()}")
    (image,) = (await photos.write_post(alice, postImageKey=key))["contentDetail"]["images"]
    assert (image["width"], image["height"]) == (24, 32)
    for url, shown_as in ((image["url"], "WEBP"), (image["jpegUrl"], "JPEG")):
        shown = await photos.s3.get(url)
        assert SEOUL.encode() not in shown.content
        with Image.open(io.BytesIO(shown.content)) as seen:
            assert (seen.format, seen.size, dict(seen.getexif())) == (shown_as, (24, 32), {})
    kept = photos.bucket.keys("originals/")
    assert len(kept) == 1
    assert not await photos.loads(f"{photos.origin}/{kept[0]}")


async def test_pictures_come_in_the_size_that_a_page_needs(photos: PhotoWorld) -> None:
    alice = await photos.person()
    written = io.BytesIO()
    Image.effect_noise((2000, 1500), 60).convert("RGB").save(written, "JPEG")
    detail = await photos.write_post(alice, postImageKey=await photos.upload(alice, written.getvalue()))
    (image,) = detail["contentDetail"]["images"]
    item = (await photos.world.http.get(f"{API}/posts")).json()["items"][0]
    folder = f"{photos.origin}/{image['key']}"
    assert item["thumbnailUrl"] == f"{folder}/640.webp"
    assert image["url"] == detail["contentDetail"]["postImageUrl"] == f"{folder}/1080.webp"
    assert image["jpegUrl"] == f"{folder}/1080.jpg"
    assert item["thumbnail"]["srcset"] == ", ".join(f"{folder}/{width}.webp {width}w" for width in (320, 640))
    larger = [f"{folder}/{width}.webp {width}w" for width in (1080, 1600)]
    assert image["srcset"] == ", ".join([item["thumbnail"]["srcset"], *larger])
    same = {name: image[name] for name in ("state", "width", "height", "placeholder", "color")}
    assert same == {**same, "state": "READY", "width": 2000, "height": 1500}
    assert {**item["thumbnail"], "srcset": None} == {**same, "srcset": None}
    assert detail["contentDetail"]["postImage"] == {**same, "srcset": image["srcset"]}
    assert len(base64.b64decode(image["placeholder"] + "==")) <= 40
    assert re.fullmatch("#[0-9a-f]{6}", image["color"])
    for width in (320, 640, 1080, 1600):
        with Image.open(io.BytesIO((await photos.s3.get(f"{folder}/{width}.webp")).content)) as seen:
            assert seen.size == (width, width * 3 // 4)


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/jpg"])
async def test_content_type_is_signed_as_the_client_names_it(photos: PhotoWorld, content_type: str) -> None:
    alice = await photos.person()
    signed = await photos.presign(alice, photo(), contentType=content_type)
    assert signed["contentType"] == content_type
    assert (await photos.put(signed, photo())).status_code == 200
    await photos.write_post(alice, postImageKey=signed["objectKey"])


@pytest.mark.parametrize("content_type", ["image/heic", "image/heif", "image/avif", "image/gif"])
async def test_what_phones_take_can_be_uploaded(photos: PhotoWorld, content_type: str) -> None:
    alice = await photos.person()
    signed = await photos.presign(alice, photo(), contentType=content_type)
    assert signed["contentType"] == content_type
    assert signed["objectKey"].endswith(f".{content_type.removeprefix('image/')}")
    assert (await photos.put(signed, photo())).status_code == 200


async def test_presigned_url_allows_one_object_of_one_type_and_length_for_ten_minutes(photos: PhotoWorld) -> None:
    alice = await photos.person()
    content = photo()
    signed = await photos.presign(alice, content)
    url, jpeg = signed["presignedUrl"], {"Content-Type": "image/jpeg"}
    assert "X-Amz-Expires=600" in url
    key = signed["objectKey"]
    for method, target, body, headers in (
        ("PUT", url, content[:-1], jpeg),
        ("PUT", url, content + b"x", jpeg),
        ("PUT", url, content, {"Content-Type": "text/html"}),
        ("PUT", url, content, {}),
        ("PUT", url.replace(key, key.replace(alice.user_id, UNKNOWN)), content, jpeg),
        ("PUT", url.replace(key, "public/post/x.jpg"), content, jpeg),
        ("PUT", url.replace("X-Amz-Expires=600", "X-Amz-Expires=6000"), content, jpeg),
        ("GET", url, None, {}),
        ("DELETE", url, None, {}),
    ):
        answer = await photos.s3.request(method, target, content=body, headers=headers)
        assert answer.status_code == 403, (method, target, headers)
    assert photos.bucket.keys() == []
    assert (await photos.put(signed, content)).status_code == 200


async def test_upload_outside_the_rules_is_refused(file_world: World, subtests: pytest.Subtests) -> None:
    alice = await file_world.person()
    for field, value in (
        ("fileName", ""),
        ("fileName", "가" * 256),
        ("fileName", None),
        ("contentType", "image/tiff"),
        ("contentType", "text/html"),
        ("contentType", "image/svg+xml"),
        ("contentType", "image/png\r\nx: y"),
        ("fileSizeByte", 0),
        ("fileSizeByte", -1),
        ("fileSizeByte", 10 * 1024 * 1024 + 1),
        ("fileSizeByte", 1.5),
        ("fileSizeByte", "12"),
        ("fileSizeByte", True),
        ("category", "post_image"),
        ("category", ["POST_IMAGE"]),
        ("category", None),
    ):
        with subtests.test(field=field, value=value):
            answer = await alice.send("POST", "/uploads/presign", json={**REQUEST, field: value})
            assert [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]] == [field]
            missing = {name: given for name, given in REQUEST.items() if name != field}
            answer = await alice.send("POST", "/uploads/presign", json=missing)
            assert assert_problem(answer, 400, "E400-1")["errors"] == [{"field": field, "message": "필수 값입니다."}]


async def test_each_category_has_its_place_at_both_addresses(photos: PhotoWorld, subtests: pytest.Subtests) -> None:
    alice = await photos.person()
    for category, prefix in (
        ("PROFILE_IMAGE", "users/{}/profile/"),
        ("POST_IMAGE", "users/{}/post/"),
        ("OTHER", "users/{}/misc/"),
        ("TEMP_PROFILE_IMAGE", "temp/"),
    ):
        for base in (API, ""):
            with subtests.test(category=category, prefix=prefix, base=base):
                body = {**REQUEST, "category": category, "fileSizeByte": 10 * 1024 * 1024}
                answer = await photos.world.http.post(f"{base}/uploads/presign", json=body, headers=alice.headers)
                assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
                assert list(answer.json()) == ["presignedUrl", "objectKey", "contentType"]
                assert answer.json()["objectKey"].startswith(prefix.format(alice.user_id))


@pytest.mark.parametrize("base", [API, ""])
async def test_without_a_token_only_the_picture_of_a_signup_may_be_uploaded(photos: PhotoWorld, base: str) -> None:
    assert_problem(await photos.world.http.post(f"{base}/uploads/presign", json=REQUEST), 401, "T001")
    refusal = await photos.world.http.post(f"{base}/uploads/presign/temp", json=REQUEST)
    assert [error["field"] for error in assert_problem(refusal, 400, "E400-1")["errors"]] == ["category"]
    body = {**REQUEST, "category": "TEMP_PROFILE_IMAGE"}
    answer = await photos.world.http.post(f"{base}/uploads/presign/temp", json=body)
    assert answer.json()["objectKey"].startswith("temp/")


async def test_uploads_without_a_token_are_limited_by_address(backend: Backend, bucket: Bucket) -> None:
    async with open_photo_world(backend, bucket, BAPSANG_RATE_LIMITS="presign_temp=2/60,ip=off,signup=off") as photos:
        body = {**REQUEST, "category": "TEMP_PROFILE_IMAGE"}
        for path, status in ((API, 200), ("", 200), ("", 429), (API, 429)):
            answer = await photos.world.http.post(f"{path}/uploads/presign/temp", json=body)
            assert answer.status_code == status


async def test_only_own_and_uploaded_images_of_the_right_category_can_be_used(photos: PhotoWorld) -> None:
    alice, bob = await photos.person(), await photos.person()
    bobs, unused = await photos.upload(bob), await photos.upload(bob)
    published = (await photos.write_post(bob, postImageKey=bobs))["contentDetail"]["images"][0]["key"]
    never_uploaded = (await photos.presign(alice, photo()))["objectKey"]
    profile = await photos.upload(alice, category="PROFILE_IMAGE")
    temporary = await photos.upload(None)
    own = f"users/{alice.user_id}/post/"
    photos.bucket.put(f"{own}sub/{UNKNOWN}.jpg", photo())
    for key in (
        bobs,
        unused,
        published,
        never_uploaded,
        profile,
        temporary,
        bobs.replace(bob.user_id, f"{alice.user_id}/post/../../{bob.user_id}"),
        f"{own}../../{bob.user_id}/post/{UNKNOWN}.jpg",
        f"{own}sub/{UNKNOWN}.jpg",
        f"/{bobs}",
        f"{own}{UNKNOWN}.gif",
        f"{own}{UNKNOWN}",
        own,
        "https://evil.example.com/a.png",
        f"public/post/{UNKNOWN}.jpg",
        "\ud800",
        "가" * 5000,
    ):
        assert await refused(alice, postImageKey=key) == ["postImageKey"], key
        assert await refused(alice, images=[{"key": key}]) == ["images.0.key"], key
    answer = await alice.send("PATCH", "/users/me", json={"profileImageKey": temporary})
    assert_problem(answer, 400, "E400-1")
    assert await alice.picture() is None


async def test_each_image_that_cannot_be_used_is_named(photos: PhotoWorld) -> None:
    alice = await photos.person()
    good, page = await photos.upload(alice), await photos.upload(alice, b"<html><script>alert(1)</script>")
    listed = [{"key": page}, {"key": good}, {"key": "nonsense"}]
    assert await refused(alice, images=listed) == ["images.2.key"]
    assert await refused(alice, images=listed[:2]) == ["images.0.key"]


async def test_file_that_is_not_the_image_it_claims_is_refused_when_it_is_used(
    photos: PhotoWorld, subtests: pytest.Subtests
) -> None:
    alice, png = await photos.person(), photo(form="PNG")
    for name, content, content_type in (
        ("html", b"<html><script>alert(1)</script></html>", "image/png"),
        ("gif", b"GIF89a" + bytes(50), "image/png"),
        ("pdf", b"%PDF-1.7" + bytes(50), "image/jpeg"),
        ("truncated", photo()[:-200], "image/jpeg"),
        ("html behind a signature", b"\x89PNG\r\n\x1a\n<html>", "image/png"),
        ("bomb", png.replace((32).to_bytes(4) + (24).to_bytes(4), b"\0\1\0\0\0\1\0\0"), "image/png"),
    ):
        with subtests.test(name):
            key = await photos.upload(alice, content, contentType=content_type)
            assert await refused(alice, postImageKey=key) == ["postImageKey"]
            assert photos.bucket.keys("public/") == []


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_content_tells_the_type_whatever_was_declared(photos: PhotoWorld, form: str) -> None:
    alice = await photos.person()
    written = io.BytesIO()
    Image.new("RGB", (32, 24), "green").save(written, form)
    for declared in ("image/png", "image/webp"):
        key = await photos.upload(alice, written.getvalue(), contentType=declared)
        url = (await photos.write_post(alice, postImageKey=key))["contentDetail"]["postImageUrl"]
        assert colour_of((await photos.s3.get(url)).content) == colour_of(written.getvalue())


async def test_object_that_grew_too_large_is_refused(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = (await photos.presign(alice, photo()))["objectKey"]
    photos.bucket.put(key, photo() + bytes(10 * 1024 * 1024))
    assert await refused(alice, postImageKey=key) == ["postImageKey"]


async def test_overwriting_an_upload_after_it_was_used_has_no_effect(photos: PhotoWorld) -> None:
    alice = await photos.person()
    brown = photo("brown")
    signed = await photos.presign(alice, brown)
    await photos.put(signed, brown)
    first = await photos.write_post(alice, postImageKey=signed["objectKey"])
    assert (await photos.put(signed, b"<html>".ljust(len(brown)))).status_code == 200  # the URL still works
    again = await photos.write_post(alice, postImageKey=signed["objectKey"])
    url = first["contentDetail"]["postImageUrl"]
    assert again["contentDetail"]["postImageUrl"] == url
    assert colour_of((await photos.s3.get(url)).content) == colour_of(brown)


async def test_several_images_keep_their_order_and_words(photos: PhotoWorld) -> None:
    alice = await photos.person()
    keys = [await photos.upload(alice, photo(colour)) for colour in ("red", "green", "blue")]
    listed = [{"key": keys[0], "alt": "김치 🌶"}, {"key": keys[1]}, {"key": keys[2], "alt": ""}]
    content = (await photos.write_post(alice, images=listed, postImageKey="does not count"))["contentDetail"]
    assert [image["alt"] for image in content["images"]] == ["김치 🌶", None, None]
    assert content["postImageUrl"] == content["images"][0]["url"]
    for image, colour in zip(content["images"], ("red", "green", "blue"), strict=True):
        assert colour_of((await photos.s3.get(image["url"])).content) == colour_of(photo(colour))


async def test_images_outside_the_rules_are_refused(file_world: World, subtests: pytest.Subtests) -> None:
    for images, field in (
        ([{"key": "x"}] * 11, "images"),
        ([{"key": "x", "alt": "가" * 201}], "images.0.alt"),
        ([{"alt": "밥"}], "images.0.key"),
        (["x"], "images.0"),
        ({"key": "x"}, "images"),
    ):
        with subtests.test(images=images, field=field):
            assert await refused(await file_world.person(), images=images) == [field]


async def test_images_of_a_post_are_replaced_reordered_and_removed(photos: PhotoWorld) -> None:
    alice = await photos.person()
    keys = [await photos.upload(alice, photo(colour)) for colour in ("red", "green")]
    detail = await photos.write_post(alice, images=[{"key": key, "alt": str(key)} for key in keys])
    red, green = detail["contentDetail"]["images"]
    path = f"/posts/{detail['postId']}"

    async def change(**body: Any) -> list[dict[str, Any]]:
        answer = await alice.send("PATCH", path, json=body)
        assert answer.status_code == 200, answer.text
        content = answer.json()["contentDetail"]
        images: list[dict[str, Any]] = content["images"]
        assert content["postImageUrl"] == (images[0]["url"] if images else None)
        assert (await photos.world.http.get(f"{API}{path}")).json() == answer.json()
        return images

    assert await change(title="밥") == [red, green]
    assert await change(images=None, postImageKey=None) == [red, green]
    assert await change(images=[{"key": green["key"], "alt": green["alt"]}, {"key": keys[0], "alt": "빨강"}]) == [
        green,
        {**red, "alt": "빨강"},
    ]
    blue, *rest = await change(postImageKey=await photos.upload(alice, photo("blue")))
    assert (blue["alt"], rest) == (None, [{**red, "alt": "빨강"}])
    assert colour_of((await photos.s3.get(blue["url"])).content) == colour_of(photo("blue"))
    assert await change(postImageKey=blue["key"]) == [blue, *rest]
    assert await change(postImageKey="") == rest
    assert await change(images=[]) == []
    assert await change(postImageKey="") == []
    assert (await photos.world.http.get(f"{API}/posts")).json()["items"][0]["thumbnailUrl"] is None


async def test_one_upload_used_by_many_requests_at_once_shows_everywhere(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = await photos.upload(alice)
    details = await asyncio.gather(*(photos.write_post(alice, postImageKey=key) for _ in range(10)))
    for detail in details:
        assert await photos.loads(await photos.until_shown(detail["postId"]))


async def test_without_a_bucket_uploads_are_off_and_no_key_is_good(file_world: World) -> None:
    alice = await file_world.person()
    answer = await alice.send("POST", "/uploads/presign", json=REQUEST)
    assert assert_problem(answer, 503, "E503-1")
    assert int(answer.headers["Retry-After"]) >= 600
    key = f"users/{alice.user_id}/post/{UNKNOWN}.png"
    assert await refused(alice, postImageKey=key) == ["postImageKey"]
    assert (await alice.send("POST", "/posts", json={"title": "밥", "content": "국"})).status_code == 201


async def test_while_s3_is_down_only_new_images_answer_503(files: Backend, bucket: Bucket) -> None:
    async with open_photo_world(files, bucket, BAPSANG_S3_ENDPOINT="http://127.0.0.1:1") as photos:
        alice = await photos.person()
        key = (await photos.presign(alice, photo()))["objectKey"]  # signing asks nobody
        answer = await alice.send("POST", "/posts", json={"title": "밥", "content": "국", "postImageKey": key})
        assert_problem(answer, 503, "E503-1")
        await photos.write_post(alice)
        assert (await photos.world.http.get(f"{API}/posts")).status_code == 200


async def test_without_credentials_uploads_answer_503(
    files: Backend, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with open_world(Backend(files.name, {**files.environment, **bucket.environment})) as world:
        alice = await world.person()
        assert_problem(await alice.send("POST", "/uploads/presign", json=REQUEST), 503, "E503-1")


async def test_addresses_for_clients_and_pages_can_differ_from_that_of_the_api(files: Backend, bucket: Bucket) -> None:
    addresses = {
        "BAPSANG_S3_UPLOAD_URL": "https://upload.example.com",
        "BAPSANG_S3_PUBLIC_URL": "https://images.example.com/",
    }
    async with open_photo_world(files, bucket, **addresses) as photos:
        alice = await photos.person()
        signed = await photos.presign(alice, photo())
        assert signed["presignedUrl"].startswith(f"https://upload.example.com/{bucket.name}/{signed['objectKey']}?")
        bucket.put(signed["objectKey"], photo())
        content = (await photos.write_post(alice, postImageKey=signed["objectKey"]))["contentDetail"]
        assert content["postImageUrl"] == f"https://images.example.com/{content['images'][0]['key']}/320.webp"
