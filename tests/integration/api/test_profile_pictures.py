"""Pictures of people, at the signup and later, on a real S3 server."""

import tracemalloc
from typing import Any

from tests.hostile import FILES

from bapsang_api.media.messages import MESSAGES
from bapsang_api.media.verdict import Reason

from .bucket import HOSTILE, Bucket, PhotoWorld, open_photo_world
from .world import API, PASSWORD, UNKNOWN, Backend, Person, World, assert_problem, eventually

#: Why each is refused; None: the decoder leaves out what is hostile about it.
REASONS = {
    "jpeg: restart intervals": Reason.TOO_MANY_PARTS,
    "jpeg: scans": Reason.TOO_MANY_PARTS,
    "png: palettes": Reason.TOO_MANY_PARTS,
    "webp: frames": Reason.DAMAGED,
}

#: Bytes that Python allocates while an upload of 10 MiB is refused: a request reads 256 KiB of it, and the worker, which on SQLite
#: is in the same process, the whole, once.
MOST_MEMORY = 24 * 1024 * 1024


async def sign_up(world: World, key: str | None, number: int = 1) -> Any:
    """Sign up with a picture and return the answer."""
    body = {"email": f"new{number}@example.com", "password": PASSWORD, "nickname": f"새사람{number}"}
    return await world.http.post(f"{API}/auth/users", json={**body, "profileImageKey": key})


async def test_picture_of_a_signup_becomes_the_new_users_own(photos: PhotoWorld) -> None:
    key = await photos.upload(None)
    created = await sign_up(photos.world, key)
    assert created.status_code == 201, created.text
    token, _ = await photos.world.log_in("new1@example.com")
    new = Person(photos.world.http, "new1@example.com", "새사람1", created.json()["userId"], token, "")
    await eventually(new.picture)
    url = await new.picture()
    assert url is not None
    assert await photos.loads(url)
    detail = await photos.write_post(new)
    assert detail["author"]["authorProfileUrl"] == url
    assert (await photos.world.http.get(f"{API}/posts")).json()["items"][0]["author"]["authorProfileUrl"] == url
    assert_problem(await sign_up(photos.world, key, 2), 400, "E400-1")


async def test_hostile_picture_of_a_signup_is_judged_within_little_memory(files: Backend, bucket: Bucket) -> None:
    for name, key in HOSTILE.items():
        bucket.put(key, FILES[name].make(), FILES[name].content_type)
    async with open_photo_world(files, bucket) as photos:
        for number, (name, key) in enumerate(HOSTILE.items()):
            tracemalloc.start()
            answer = await sign_up(photos.world, key, number)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert most < MOST_MEMORY
            reason = REASONS[name]
            if reason is None:
                assert answer.status_code == 201, name
                continue
            (error,) = assert_problem(answer, 400, "E400-1")["errors"]
            assert error == {"field": "profileImageKey", "message": MESSAGES[reason]}, name
        assert (await sign_up(photos.world, await photos.upload(None))).status_code == 201


async def test_signup_takes_no_other_key_than_that_of_a_signup(photos: PhotoWorld) -> None:
    alice = await photos.person()
    own = await photos.upload(alice, category="PROFILE_IMAGE")
    for key in (own, f"temp/{UNKNOWN}.jpg", "temp/../users/x.jpg"):
        answer = await sign_up(photos.world, key)
        assert [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]] == ["profileImageKey"]
    assert (await sign_up(photos.world, "")).status_code == 201


async def test_signup_refused_for_its_nickname_can_be_sent_again_with_the_same_picture(photos: PhotoWorld) -> None:
    key = await photos.upload(None)
    assert (await sign_up(photos.world, None, 1)).status_code == 201
    body = {"email": "new2@example.com", "password": PASSWORD, "nickname": "새사람1", "profileImageKey": key}
    assert_problem(await photos.world.http.post(f"{API}/auth/users", json=body), 409, "E409-1")
    assert (await sign_up(photos.world, key, 2)).status_code == 201


async def test_picture_of_a_profile_changes_stays_and_goes(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = await photos.upload(alice, category="PROFILE_IMAGE")
    assert (await alice.send("PATCH", "/users/me", json={"profileImageKey": key})).status_code == 204
    await eventually(alice.picture)
    url = await alice.picture()
    assert url is not None
    assert await photos.loads(url)
    for body in ({"profileImageKey": None}, {"nickname": "앨리스"}, {"profileImageKey": key}):
        assert (await alice.send("PATCH", "/users/me", json=body)).status_code == 204
        assert await alice.picture() == url
    path = f"/posts/{(await photos.write_post(alice))['postId']}/comments"
    top = (await alice.send("POST", path, json={"content": "맛있겠다"})).json()
    await alice.send("POST", path, json={"content": "정말", "parentId": top["commentId"]})
    (listed,) = (await photos.world.http.get(f"{API}{path}")).json()["items"]
    for comment in (top, listed, *listed["replies"]):
        assert comment["author"]["authorProfileImageUrl"] == url
    assert (await alice.send("PATCH", "/users/me", json={"profileImageKey": ""})).status_code == 204
    assert await alice.picture() is None


async def test_picture_of_who_withdrew_is_not_shown(photos: PhotoWorld) -> None:
    alice = await photos.person()
    key = await photos.upload(alice, category="PROFILE_IMAGE")
    await alice.send("PATCH", "/users/me", json={"profileImageKey": key})
    detail = await photos.write_post(alice)
    assert (await alice.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})).status_code == 204
    shown = (await photos.world.http.get(f"{API}/posts/{detail['postId']}")).json()
    nobody = {"userId": None, "nickname": "탈퇴한 사용자", "authorProfileUrl": None, "authorProfile": None}
    assert shown["author"] == nobody
