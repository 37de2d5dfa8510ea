"""Takedown: what is deleted or hidden can be loaded by nobody within seconds, what is shown again by everybody."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from bapsang_api.kit.problem import Unavailable
from bapsang_api.uploads.storage import Storage
from bapsang_api.uploads.store import DueImage
from bapsang_api.uploads.takedown import Takedown
from bapsang_api.users.models import Extent

from .bucket import Bucket, PhotoWorld, open_photo_world
from .test_erasure import erasure
from .world import PASSWORD, Backend, Person, assert_problem, make_admin


def takedown(photos: PhotoWorld) -> Takedown:
    running = photos.world.runtime.takedown
    assert running is not None
    return running


async def settle(photos: PhotoWorld) -> None:
    """Have all decisions carried out, here or by the service itself."""
    while await photos.world.rows("SELECT 1 FROM images WHERE settle_at IS NOT NULL"):
        await takedown(photos).run()


async def send(person: Person, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    answer = await person.send(method, path, json=body)
    assert answer.is_success, answer.text


async def test_what_is_deleted_replaced_or_left_behind_goes_at_once(photos: PhotoWorld) -> None:
    alice, bob = await photos.person(), await photos.person()
    deleted, first = await photos.show_photo(alice)
    changed, second = await photos.show_photo(alice)
    _, kept = await photos.show_photo(alice)
    urls = [first["url"], second["url"], *[await photos.show_profile(person) for person in (alice, bob)]]
    assert [await photos.loads(url) for url in urls] == [True] * 4
    await send(alice, "DELETE", f"/posts/{deleted}")
    await send(alice, "PATCH", f"/posts/{changed}", {"images": []})
    await send(alice, "PATCH", "/users/me", {"profileImageKey": ""})
    await send(bob, "PATCH", "/users/me/withdraw", {"password": PASSWORD})
    await settle(photos)
    assert [await photos.loads(url) for url in urls] == [False] * 4
    assert await photos.loads(kept["url"])
    assert await photos.world.rows("SELECT object_key FROM images") == [(kept["key"],)]
    kept_id = {kept["key"].rpartition("/")[2]}
    assert photos.bucket.ids("public/") == photos.bucket.ids("originals/") == kept_id


async def test_picture_that_another_post_shows_stays(photos: PhotoWorld) -> None:
    admin, alice = await make_admin(photos.world, await photos.person()), await photos.person()
    key = await photos.upload(alice)
    first, image = await photos.show_photo(alice, key)
    second, _ = await photos.show_photo(alice, key)
    await send(admin, "POST", f"/admin/posts/{first}/hide")
    await settle(photos)
    assert await photos.loads(image["url"])
    await send(alice, "DELETE", f"/posts/{second}")
    await settle(photos)
    assert await photos.loads(image["url"])  # the hidden one may be shown again
    await send(admin, "POST", f"/admin/posts/{first}/hide")
    await settle(photos)
    assert not await photos.loads(image["url"])


async def test_hidden_picture_is_loaded_by_nobody_used_by_nobody_and_comes_back(photos: PhotoWorld) -> None:
    admin, alice = await make_admin(photos.world, await photos.person()), await photos.person()
    post_id, image = await photos.show_photo(alice)
    published = photos.bucket.keys("public/")
    assert [key.removeprefix(image["key"]) for key in published] == ["/320.jpg", "/320.webp"]
    before = (await photos.s3.get(image["url"])).content
    await send(admin, "POST", f"/admin/posts/{post_id}/hide")
    await settle(photos)
    for url in (image["url"], image["jpegUrl"]):
        assert not await photos.loads(url)
        assert not await photos.loads(url.replace("/public/", "/withheld/public/"))
    assert photos.bucket.keys("public/") == []
    assert photos.bucket.keys("withheld/") == [f"withheld/{key}" for key in published]
    again = await alice.send("POST", "/posts", json={"title": "밥", "content": "국", "postImageKey": image["key"]})
    assert_problem(again, 400, "E400-1")
    await send(admin, "POST", f"/admin/posts/{post_id}/show")
    await settle(photos)
    answer = await photos.s3.get(image["url"])
    assert (answer.content, answer.headers["Cache-Control"]) == (before, "public, max-age=31536000, immutable")
    assert photos.bucket.keys("withheld/") == []
    assert photos.bucket.keys("public/") == published
    await photos.show_photo(alice, image["key"])


async def test_hidden_picture_goes_for_good_with_its_author(photos: PhotoWorld) -> None:
    admin, alice = await make_admin(photos.world, await photos.person()), await photos.person()
    post_id, _ = await photos.show_photo(alice)
    await send(admin, "POST", f"/admin/posts/{post_id}/hide")
    await settle(photos)
    await erasure(photos.world).erase(alice.user_id, Extent.WORDS, reason=None)
    await settle(photos)
    assert [photos.bucket.keys(f"{place}/") for place in ("withheld", "public", "originals")] == [[]] * 3
    assert await photos.world.rows("SELECT 1 FROM images") == []


async def test_picture_that_is_attached_again_before_it_goes_stays(photos: PhotoWorld) -> None:
    alice = await photos.person()
    async with photos.world.runtime.database.exclusive("image-takedown") as lane:  # as if another process were at it
        assert lane is not None
        post_id, image = await photos.show_photo(alice)
        await send(alice, "PATCH", f"/posts/{post_id}", {"images": []})
        await send(alice, "PATCH", f"/posts/{post_id}", {"images": [{"key": image["key"]}]})
        assert await takedown(photos).run() == 0
    await settle(photos)
    assert await photos.loads(image["url"])


async def test_last_decision_stands_even_if_it_comes_while_the_one_before_is_carried_out(
    photos: PhotoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, alice = await make_admin(photos.world, await photos.person()), await photos.person()
    post_id, image = await photos.show_photo(alice)
    loop, moved = asyncio.get_running_loop(), takedown(photos)._settle
    acts: list[Callable[[], Coroutine[Any, Any, None]]] = [
        partial(send, admin, "POST", f"/admin/posts/{post_id}/show"),
        partial(send, admin, "POST", f"/admin/posts/{post_id}/hide"),
        partial(send, admin, "POST", f"/admin/posts/{post_id}/show"),
    ]

    def settle_late(self: Takedown, due: DueImage) -> None:
        moved(due)
        if acts:
            asyncio.run_coroutine_threadsafe(acts.pop(0)(), loop).result(30)

    monkeypatch.setattr(Takedown, "_settle", settle_late)
    await send(admin, "POST", f"/admin/posts/{post_id}/hide")
    await settle(photos)
    assert not acts
    assert await photos.loads(image["url"])


async def test_what_s3_refuses_is_tried_again_and_holds_nothing_up(
    photos: PhotoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bapsang_api.uploads.takedown.BATCH", 1)  # as if so many were refused
    alice = await photos.person()
    shown = [await photos.show_photo(alice) for _ in range(3)]
    refused, others = shown[0][1], [image for _, image in shown[1:]]
    remove = Storage.remove

    def refuse(self: Storage, keys: list[str]) -> None:
        if any(key.startswith(refused["key"]) for key in keys):
            raise Unavailable
        remove(self, keys)

    with monkeypatch.context() as failing:
        failing.setattr(Storage, "remove", refuse)
        for post_id, _ in shown:
            await send(alice, "DELETE", f"/posts/{post_id}")
        while await photos.world.rows("SELECT 1 FROM images WHERE settle_at IS NOT NULL LIMIT 1 OFFSET 1"):
            with contextlib.suppress(Unavailable):
                await takedown(photos).run()
        assert not any([await photos.loads(image["url"]) for image in others])
        assert await photos.loads(refused["url"])
    await settle(photos)
    assert not await photos.loads(refused["url"])


async def test_the_service_takes_down_by_itself(
    backend: Backend, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bapsang_api.runtime.CHORES_SECONDS", 0.1)
    async with open_photo_world(backend, bucket) as photos:
        alice = await photos.person()
        post_id, image = await photos.show_photo(alice)
        await send(alice, "DELETE", f"/posts/{post_id}")
        for _ in range(150):
            await asyncio.sleep(0.2)
            if not await photos.loads(image["url"]):
                return
    pytest.fail("the picture is still there after 30 s")
