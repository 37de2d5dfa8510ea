"""Conventions of the contract: paths, ids, times, absent values, text, and who may read."""

import json
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bapsang_api.kit.clock import SEOUL
from bapsang_api.kit.ids import is_ulid

from .bucket import PhotoWorld, photo
from .world import API, PASSWORD, Person, World, assert_problem

WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?")
HANGUL = "각"  # three code points when decomposed


def fields(value: Any, name: str) -> list[Any]:
    """Return every value of the field `name`, however deep."""
    if isinstance(value, list):
        return [found for item in value for found in fields(item, name)]
    if not isinstance(value, dict):
        return []
    here = [value[name]] if name in value else []
    return here + [found for child in value.values() for found in fields(child, name)]


async def discussed_post(person: Person) -> tuple[str, str]:
    """Write a post with a comment and a reply; return the ids of post and comment."""
    post_id = await person.write_post()
    top = await person.write_comment(post_id)
    await person.write_comment(post_id, "고마워요", top)
    return post_id, top


async def test_answers_are_json_in_utf8_and_camel_case_and_mere_messages_plain_text(world: World) -> None:
    alice = await world.person()
    post_id, _ = await discussed_post(alice)
    for path in ("/posts", f"/posts/{post_id}", f"/posts/{post_id}/comments", "/users/me", "/users/me/posts"):
        answer = await alice.get(path)
        assert answer.headers["content-type"] == "application/json"
        answer.content.decode("utf-8")
        names = re.findall(r'"([^"]+)":', answer.text)
        assert names
        assert [name for name in names if not re.fullmatch(r"[a-z]+([A-Z][a-z]*)*", name)] == []
    for answer in (
        await world.http.get(f"{API}/auth/email", params={"email": "free@example.com"}),
        await world.http.get(f"{API}/auth/nickname", params={"nickname": "free"}),
        await alice.send("POST", "/auth/password", json={"password": PASSWORD}),
        await world.http.get(f"{API}/health"),
        await alice.send("PATCH", "/auth/password", json={"password": PASSWORD}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")


async def test_every_id_is_a_ulid_and_ids_sort_by_time(photos: PhotoWorld) -> None:
    alice, bob = await photos.person(), await photos.person()
    posts = [await alice.write_post() for _ in range(3)]
    comments = [await alice.write_comment(posts[0]) for _ in range(3)]
    for ids in ([alice.user_id, bob.user_id], posts, comments):
        assert [found for found in ids if not re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", found)] == []
        assert all(is_ulid(found) for found in ids)
        assert ids == sorted(ids)
    keys = [(await photos.presign(alice, photo()))["objectKey"] for _ in range(2)]
    assert all(is_ulid(key.rpartition("/")[2].partition(".")[0]) for key in keys)


async def test_an_object_shows_the_same_time_in_every_answer_and_is_stored_in_utc(world: World) -> None:
    alice = await world.person()
    written = (await alice.send("POST", "/posts", json={"title": "밥", "content": "국"})).json()
    post_id = written["postId"]
    changed = (await alice.send("PATCH", f"/posts/{post_id}", json={"title": "죽"})).json()
    comment = (await alice.send("POST", f"/posts/{post_id}/comments", json={"content": "맛"})).json()
    path = f"/posts/{post_id}/comments"
    reply = (await alice.send("POST", path, json={"content": "x", "parentId": comment["commentId"]})).json()
    edited = (await alice.send("PATCH", f"{path}/{comment['commentId']}", json={"content": "멋"})).json()
    detail, listed, mine, thread, replies = [
        (await alice.get(asked)).json()
        for asked in (f"/posts/{post_id}", "/posts", "/users/me/posts", path, f"{path}/{comment['commentId']}/replies")
    ]
    assert {*fields([written, changed, detail, listed, mine], "createdAt")} == {written["createdAt"]}
    assert {*fields([changed, detail], "updatedAt")} == {changed["updatedAt"]}
    assert fields(thread, "createdAt") == [comment["createdAt"], reply["createdAt"]]
    assert fields(replies, "createdAt") == [reply["createdAt"]]
    assert thread["items"][0]["updatedAt"] == edited["updatedAt"]
    for time in (*fields([detail, thread], "createdAt"), changed["updatedAt"], edited["updatedAt"]):
        assert WIRE_TIME.fullmatch(time), time
    shown = datetime.fromisoformat(written["createdAt"]).replace(tzinfo=SEOUL)
    assert abs(world.clock.now() - shown) < timedelta(minutes=1)
    ((stored,),) = await world.rows("SELECT created_at FROM posts")
    assert datetime.fromisoformat(str(stored)).replace(tzinfo=UTC) == shown


async def test_cursor_time_with_a_zone_is_converted_in_every_list(world: World, subtests: pytest.Subtests) -> None:
    alice = await world.person()
    post_id, top = await discussed_post(alice)
    for zone in ("Z", "+00:00", " 00:00", "-05:00", "+09:00", ""):
        with subtests.test(zone=zone):
            hours = {"Z": 0, "+00:00": 0, " 00:00": 0, "-05:00": -5}.get(zone, 9)
            for path, after in (
                ("/posts", timedelta(minutes=1)),
                ("/users/me/posts", timedelta(minutes=1)),
                (f"/posts/{post_id}/comments", timedelta(minutes=1)),
                (f"/posts/{post_id}/comments/{top}/replies", timedelta(minutes=-1)),  # the oldest come first
            ):
                for moment, found in ((world.clock.now() + after, 1), (world.clock.now() - after, 0)):
                    time = (moment + timedelta(hours=hours)).replace(tzinfo=None).isoformat() + zone
                    answer = await alice.get(path, params={"cursorCreatedAt": time, "cursorId": top})
                    assert answer.status_code == 200, answer.text
                    assert len(answer.json()["items"]) == found, (path, time)


async def test_no_field_is_left_out_where_there_is_no_value(world: World) -> None:
    alice = await world.person()
    post_id, _ = await discussed_post(alice)
    profile = (await alice.get("/users/me")).json()
    assert (profile["presignedProfileImageUrl"], profile["profileImage"]) == (None, None)
    detail, listed = (await alice.get(f"/posts/{post_id}")).json(), (await alice.get("/posts")).json()
    content = detail["contentDetail"]
    assert (detail["updatedAt"], content["postImageUrl"], content["postImage"]) == (None, None, None)
    author = {"userId": alice.user_id, "nickname": alice.nickname, "authorProfileUrl": None, "authorProfile": None}
    assert detail["author"] == listed["items"][0]["author"] == author
    assert listed["nextCursor"] is listed["items"][0]["thumbnailUrl"] is listed["items"][0]["thumbnail"] is None
    thread = (await alice.get(f"/posts/{post_id}/comments")).json()
    assert (thread["nextCursor"], thread["items"][0]["parentId"]) == (None, None)
    assert fields(thread, "authorProfileImageUrl") == fields(thread, "authorProfileImage") == [None, None]


async def test_unknown_request_fields_are_ignored(photos: PhotoWorld) -> None:
    world, extra = photos.world, {"extra": {"deep": [1]}, "userId": "x", "role": "ADMIN", "likeCount": 9}
    body = {"email": "extra@example.com", "password": PASSWORD, "nickname": "extra", **extra}
    assert (await world.http.post(f"{API}/auth/users", json=body)).status_code == 201
    assert (await world.http.post(f"{API}/auth/tokens", json=body)).status_code == 201
    assert await world.rows("SELECT user_role FROM users") == [("USER",)]
    alice = await world.person()
    post_id, top = await discussed_post(alice)
    upload = {"fileName": "a.png", "contentType": "image/png", "fileSizeByte": 1, "category": "TEMP_PROFILE_IMAGE"}
    for method, path, given, status in (
        ("POST", "/posts", {"title": "밥", "content": "국"}, 201),
        ("PATCH", f"/posts/{post_id}", {}, 200),
        ("POST", f"/posts/{post_id}/comments", {"content": "맛"}, 201),
        ("PATCH", f"/posts/{post_id}/comments/{top}", {"content": "멋"}, 201),
        ("POST", f"/posts/{post_id}/likes", {}, 204),
        ("POST", "/uploads/presign", upload, 200),
        ("POST", "/uploads/presign/temp", upload, 200),
        ("PATCH", "/users/me", {}, 204),
        ("POST", "/auth/password", {"password": PASSWORD}, 200),
        ("PATCH", "/users/me/withdraw", {"password": PASSWORD}, 204),
    ):
        answer = await alice.send(method, path, json={**given, **extra})
        assert answer.status_code == status, (path, answer.text)
    assert (await world.http.get(f"{API}/posts?size=5&extra=1")).status_code == 200


async def test_text_is_returned_as_written_in_nfc_and_never_escaped(world: World) -> None:
    alice = await world.person()
    text = f"<script>alert('{HANGUL}')</script> & \"밥\" \\ 🍚 \u202e é\t줄\n끝 "
    given = unicodedata.normalize("NFD", text)
    assert given != unicodedata.normalize("NFC", text)
    nickname = unicodedata.normalize("NFD", f"{HANGUL}밥상")
    assert (await alice.send("PATCH", "/users/me", json={"nickname": nickname})).status_code == 204
    assert (await alice.get("/users/me")).json()["nickname"] == f"{HANGUL}밥상"
    post_id = await alice.write_post(given, given)
    await alice.write_comment(post_id, given)
    detail, listed = await alice.get(f"/posts/{post_id}"), await alice.get("/posts")
    thread = await alice.get(f"/posts/{post_id}/comments")
    wanted = unicodedata.normalize("NFC", text)
    assert (*fields(detail.json(), "title"), *fields(listed.json(), "title")) == (wanted, wanted)
    assert detail.json()["contentDetail"]["content"] == wanted
    assert fields(thread.json(), "content") == [wanted]
    for answer in (detail, listed, thread):
        assert json.dumps(wanted, ensure_ascii=False)[1:-1] in answer.text
        assert "&lt;" not in answer.text


async def test_reading_needs_no_token_a_good_one_adds_what_is_personal_a_bad_one_is_refused(world: World) -> None:
    alice = await world.person()
    post_id, top = await discussed_post(alice)
    await alice.toggle(post_id)
    for path in (
        "/posts",
        f"/posts/{post_id}",
        f"/posts/{post_id}/comments",
        f"/posts/{post_id}/comments/{top}/replies",
    ):
        assert (await world.http.get(f"{API}{path}")).status_code == 200
        assert (await alice.get(path)).status_code == 200
        for bad, code in (("Bearer junk", "T003"), ("Basic YTpi", "T001"), (f"Bearer {alice.refresh_token}", "T003")):
            assert_problem(await world.http.get(f"{API}{path}", headers={"Authorization": bad}), 401, code)
    assert (await world.http.get(f"{API}/health")).status_code == 200
    assert not (await world.http.get(f"{API}/posts/{post_id}")).json()["stats"]["isLiked"]
    assert (await alice.get(f"/posts/{post_id}")).json()["stats"]["isLiked"]
    world.clock.passed += timedelta(minutes=31)
    assert_problem(await alice.get("/posts"), 401, "T002")
