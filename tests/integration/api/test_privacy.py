"""What the privacy policy promises about sign-up, logs, retention, exports and erasures."""

import io
import json
import secrets
import zipfile
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select

from bapsang_api.kit.clock import from_wire
from bapsang_api.kit.db.columns import table_of
from bapsang_api.posts.models import Post
from bapsang_api.privacy import queries
from bapsang_api.privacy.journal import Journal, Replayed
from bapsang_api.privacy.retention import purge
from bapsang_api.privacy.service import ExportService
from bapsang_api.tables import METADATA, MODELS
from bapsang_api.users.models import Extent

from .bucket import PhotoWorld
from .test_erasure import erase, erasure
from .world import API, PASSWORD, Person, World, assert_problem, eventually, make_admin

DAY = timedelta(days=1)
#: Tables that say nothing of a person but by others that are in the export, and why.
ELSEWHERE = {
    "user_auth": "in account: the e-mail. The hash of a password is no use to anybody but a thief",
    "account_links": "hashes of keys to the account, for a day",
    "user_numbers": "a number that stands for the id in memory",
    "refresh_tokens": "hashes of keys to the account, with their session in devices",
    "post_contents": "in posts",
    "post_texts": "an index of posts",
    "post_tags": "in posts",
    "tags": "words that many people use",
    "mail_undeliverable": "hashes of addresses that took no mail",
    "images": "pictures as they are kept; those that are shown are in images",
    "exports": "the export itself",
    "imported_ids": "ids of an older server beside those of here",
    "imported_likes": "in likes, unless they were taken back since",
    "import_steps": "how far an import is",
    "erasures": "there is none while the account lives",
}


async def sign_up(world: World, consent: Any = None, number: int = 1) -> httpx.Response:
    body = {"email": f"new{number}@example.com", "password": PASSWORD, "nickname": f"새사람{number}"}
    return await world.http.post(f"{API}/auth/users", json=body | ({} if consent is None else {"consent": consent}))


async def in_force(world: World) -> dict[str, Any]:
    terms = (await world.http.get(f"{API}/terms")).json()
    return {
        "termsOfService": terms["termsOfService"]["version"],
        "privacyPolicy": terms["privacyPolicy"]["version"],
        "isFourteenOrOlder": True,
    }


@pytest.mark.both_databases
async def test_consent_is_recorded_with_version_and_time_and_its_absence_as_such(world: World) -> None:
    consent = await in_force(world)
    page = (await world.http.get("/privacy-policy")).text
    assert f'<time datetime="{consent["privacyPolicy"]}">' in page
    given, old_client = await sign_up(world, consent, 1), await sign_up(world, None, 2)
    assert (given.status_code, old_client.status_code) == (201, 201)
    recorded = "SELECT document, version, recorded_at FROM user_consents WHERE user_id = :u ORDER BY document"
    rows = await world.rows(recorded, u=given.json()["userId"])
    assert [row[:2] for row in rows] == [
        ("AGE", "14+"),
        ("PRIVACY_POLICY", consent["privacyPolicy"]),
        ("TERMS_OF_SERVICE", consent["termsOfService"]),
    ]
    assert all(row[2] for row in rows)
    rows = await world.rows(recorded, u=old_client.json()["userId"])
    assert [row[1] for row in rows] == [None, None, None]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"termsOfService": "2020-01-01"}, "consent.termsOfService"),
        ({"privacyPolicy": ""}, "consent.privacyPolicy"),
        ({"privacyPolicy": "2026-12-01" * 9}, "consent.privacyPolicy"),
        ({"isFourteenOrOlder": False}, "consent.isFourteenOrOlder"),
        ({"isFourteenOrOlder": "yes"}, "consent.isFourteenOrOlder"),
        ({"isFourteenOrOlder": None}, "consent.isFourteenOrOlder"),
    ],
)
async def test_consent_to_something_else_and_somebody_too_young_are_refused(
    file_world: World, changed: dict[str, Any], field: str
) -> None:
    answer = await sign_up(file_world, await in_force(file_world) | changed)
    assert [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]] == [field]
    assert await file_world.rows("SELECT 1 FROM users") == []


@pytest.mark.both_databases
async def test_logins_are_logged_with_their_address_for_three_months(world: World) -> None:
    alice = await world.person()
    await world.http.post(f"{API}/auth/tokens", json={"email": alice.email, "password": "wrong"})
    logged = "SELECT user_id, act, address FROM access_log ORDER BY id"
    rows = await world.rows(logged)
    assert [row[:2] for row in rows] == [(alice.user_id, "SIGN_UP"), (alice.user_id, "LOG_IN")]
    assert all(row[2] for row in rows)
    world.clock.passed += 91 * DAY
    assert (await purge(world.runtime.database, world.clock))["purged_access"] == 0
    world.clock.passed += 2 * DAY
    assert (await purge(world.runtime.database, world.clock))["purged_access"] == 2
    assert await world.rows(logged) == []


async def everything(world: World) -> str:
    """Return all text of the database."""
    found = []
    for table in METADATA.sorted_tables:
        rows = await world.runtime.database.read(lambda connection, t=table: connection.execute(select(t)).all())
        found += [str(tuple(row)) for row in rows]
    return "\n".join(found)


@pytest.mark.both_databases
async def test_deleted_words_are_destroyed_after_a_month_and_every_counter_stays_right(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    gone, kept = await alice.write_post("지운글", "지운글의 내용"), await alice.write_post("남은글")
    for person in (alice, bob):
        await person.toggle(gone)
        await person.toggle(kept)
    await bob.write_comment(gone, "지운글의 댓글")
    comment = await bob.write_comment(kept, "지운댓글")
    await alice.write_comment(kept, "남은답글", comment)
    await world.write_back()
    await bob.send("DELETE", f"/posts/{kept}/comments/{comment}")
    await alice.send("DELETE", f"/posts/{gone}")
    words = ("지운글", "지운글의 내용", "지운글의 댓글", "지운댓글")
    world.clock.passed += 29 * DAY
    done = await purge(world.runtime.database, world.clock)
    assert (done["destroyed_posts"], done["destroyed_comments"]) == (0, 0)
    before = await everything(world)
    assert [word for word in words if word in before] == list(words)
    world.clock.passed += 2 * DAY
    done = await purge(world.runtime.database, world.clock)
    assert (done["destroyed_posts"], done["destroyed_comments"]) == (1, 1)
    left = await everything(world)
    assert not [word for word in words if word in left]
    assert "남은글" in left
    assert "남은답글" in left
    assert await world.liked_rows(gone) == 0
    assert await world.liked_rows(kept) == 2
    await erase(world, bob, with_posts=False)  # counts every row as well
    done = await purge(world.runtime.database, world.clock)
    assert (done["destroyed_posts"], done["destroyed_comments"]) == (0, 0)
    (item,) = (await world.http.get(f"{API}/posts/{kept}/comments")).json()["items"]
    assert (item["content"], item["replyCount"]) == ("삭제된 댓글입니다.", 1)


async def test_likes_of_a_deleted_post_go_in_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bapsang_api.privacy.retention._LIKES", 2)
    people = [await world.person() for _ in range(5)]
    post_id = await people[0].write_post()
    for person in people:
        await person.toggle(post_id)
    await world.write_back()
    await people[0].send("DELETE", f"/posts/{post_id}")
    world.clock.passed += 31 * DAY
    assert (await purge(world.runtime.database, world.clock))["destroyed_posts"] == 1
    assert (await world.like_count_column(post_id), await world.liked_rows(post_id)) == (0, 0)


@pytest.mark.both_databases
async def test_reports_go_after_a_year_and_the_audit_log_after_three(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    post_id = await alice.write_post()
    answer = await admin.send("POST", f"/posts/{post_id}/reports", json={"reason": "SPAM", "detail": "비밀"})
    assert answer.is_success, answer.text
    await admin.send("POST", f"/admin/posts/{post_id}/hide")
    audited = len(await world.rows("SELECT 1 FROM audit_log"))
    world.clock.passed += 364 * DAY
    done = await purge(world.runtime.database, world.clock)
    assert (done["purged_reports"], done["purged_audit"]) == (0, 0)
    world.clock.passed += 2 * DAY
    assert (await purge(world.runtime.database, world.clock))["purged_reports"] == 1
    world.clock.passed += 728 * DAY
    assert (await purge(world.runtime.database, world.clock))["purged_audit"] == 0
    world.clock.passed += 2 * DAY
    assert (await purge(world.runtime.database, world.clock))["purged_audit"] == audited
    assert await world.rows("SELECT 1 FROM audit_log") == []


async def test_erased_person_leaves_no_word_in_reports_and_consents(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await bob.write_post()
    await alice.send("POST", f"/posts/{post_id}/reports", json={"reason": "SPAM", "detail": "이웃집 이야기"})
    await erasure(world).erase(alice.user_id, Extent.TRACES, reason=None)
    left = await everything(world)
    assert "이웃집 이야기" not in left
    assert alice.email not in left
    assert await world.rows("SELECT reason, detail FROM reports") == [("SPAM", None)]
    assert await world.rows("SELECT 1 FROM user_consents WHERE user_id = :u", u=alice.user_id) == []


def exports(photos: PhotoWorld) -> ExportService:
    service: ExportService = photos.world.runtime.app.services[ExportService]
    return service


async def exported(photos: PhotoWorld, person: Person) -> dict[str, Any]:
    """Ask for an export, have it written, load it and return its files."""
    pending = await person.get("/users/me/export")
    assert (pending.status_code, pending.json()["status"]) == (202, "PENDING")
    assert pending.headers["Retry-After"]
    assert (await person.get("/users/me/export")).status_code == 202

    async def written() -> (
        bool
    ):  # not by a run that finds the lock of the one before, which MySQL lets go of a moment later
        await exports(photos).run()
        return (await person.get("/users/me/export")).status_code == 200

    await eventually(written)
    ready = await person.get("/users/me/export")
    assert (ready.status_code, ready.headers["Cache-Control"]) == (200, "no-store")
    loaded = await photos.s3.get(ready.json()["url"])
    assert loaded.headers["Content-Disposition"] == 'attachment; filename="bapsang.zip"'
    assert len(loaded.content) == ready.json()["sizeByte"]
    with zipfile.ZipFile(io.BytesIO(loaded.content)) as archive:
        assert archive.testzip() is None
        return {name: json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")}


async def test_export_holds_what_is_kept_of_a_person_and_of_nobody_else(photos: PhotoWorld) -> None:
    world = photos.world
    admin, alice = await make_admin(world, await photos.person()), await photos.person()
    mine = (await photos.write_post(alice, postImageKey=await photos.upload(alice), tags=["김치", "찌개"]))["postId"]
    other = await admin.write_post("남의글", "남의 내용")
    await alice.write_comment(other, "내 댓글")
    await admin.write_comment(mine, "남의 댓글")
    await alice.toggle(other)
    await world.write_back()
    await alice.send("POST", f"/posts/{other}/reports", json={"reason": "SPAM", "detail": "내 신고"})
    await admin.send("POST", f"/admin/users/{alice.user_id}/unblock", json={"reason": "풀림"})
    files = await exported(photos, alice)
    assert set(files) == {f"{section.name}.json" for section in queries.SECTIONS}
    (account,) = files["account.json"]
    assert (account["email"], account["nickname"]) == (alice.email, alice.nickname)
    assert [entry["act"] for entry in files["access.json"]] == ["SIGN_UP", "LOG_IN"]
    assert abs(from_wire(files["access.json"][0]["at"]) - world.clock.now()) < timedelta(minutes=5)
    (post,) = files["posts.json"]
    assert (post["postId"], post["title"], post["tags"]) == (mine, "오늘의 밥상", ["김치", "찌개"])
    assert len(files["images.json"]) == 1
    assert [comment["content"] for comment in files["comments.json"]] == ["내 댓글"]
    assert [like["postId"] for like in files["likes.json"]] == [other]
    assert [report["detail"] for report in files["reports.json"]] == ["내 신고"]
    assert [measure["reason"] for measure in files["measures.json"]] == ["풀림"]
    assert "남의" not in json.dumps(files, ensure_ascii=False)
    assert admin.email not in json.dumps(files)


async def test_export_says_whom_somebody_follows_hides_and_keeps_but_not_who_has_blocked_them(
    photos: PhotoWorld,
) -> None:
    alice, bob, carol, dave = [await photos.person() for _ in range(4)]
    post_id = await bob.write_post()
    for path in (f"/users/{bob.user_id}/follow", f"/users/{bob.user_id}/mute", f"/posts/{post_id}/bookmark"):
        assert (await alice.send("PUT", path)).status_code == 204
    assert (await alice.send("PUT", f"/users/{carol.user_id}/block")).status_code == 204
    assert (await dave.send("PUT", f"/users/{alice.user_id}/block")).status_code == 204
    files = await exported(photos, alice)
    assert [follow["userId"] for follow in files["follows.json"]] == [bob.user_id]
    assert [(hidden["userId"], hidden["reason"]) for hidden in files["hidden.json"]] == [
        (bob.user_id, "MUTES"),
        (carol.user_id, "BLOCKS"),
    ]
    assert [kept["postId"] for kept in files["bookmarks.json"]] == [post_id]
    assert dave.user_id not in json.dumps(files)


def test_every_table_is_in_the_export_or_says_why_not() -> None:
    shown = {column.table.name for section in queries.SECTIONS for column in section.columns.values()}
    assert {table_of(model).name for model in MODELS} == (shown - {"post_contents", "user_auth"}) | set(ELSEWHERE)


async def test_export_of_much_comes_in_parts_and_whole(photos: PhotoWorld) -> None:
    alice = await photos.person()
    rows = [
        {
            "id": photos.world.runtime.ids.new(),
            "user_id": alice.user_id,
            "title": secrets.token_hex(60),
            "created_at": photos.world.clock.now(),
            "view_count": 0,
            "like_count": 0,
            "comment_count": 0,
            "post_status": "ACTIVE",
        }
        for _ in range(3_001)
    ]
    texts = [{"id": row["id"], "content": secrets.token_hex(2_500)} for row in rows]

    def add(connection: Any) -> None:
        connection.execute(insert(table_of(Post)), rows)
        connection.execute(insert(METADATA.tables["post_contents"]), texts)

    await photos.world.runtime.database.write(add)
    files = await exported(photos, alice)
    found = {post["postId"]: post["content"] for post in files["posts.json"]}
    assert found == {text["id"]: text["content"] for text in texts}


async def test_export_is_deleted_after_a_week_or_with_its_account(photos: PhotoWorld) -> None:
    alice, bob = await photos.person(), await photos.person()
    for person in (alice, bob):
        await exported(photos, person)
    assert len(photos.bucket.keys("exports/")) == 2
    await bob.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})
    await exports(photos).run()
    assert len(photos.bucket.keys("exports/")) == 1
    photos.world.clock.passed += 6 * DAY
    await exports(photos).run()
    assert len(photos.bucket.keys("exports/")) == 1
    photos.world.clock.passed += 2 * DAY
    await exports(photos).run()
    assert photos.bucket.keys("exports/") == []
    assert await photos.world.rows("SELECT 1 FROM exports") == []


async def test_export_without_a_bucket_is_unavailable(file_world: World) -> None:
    assert_problem(await (await file_world.person()).get("/users/me/export"), 503, "E503-1")


async def test_erasures_outlive_a_backup_of_the_database(photos: PhotoWorld) -> None:
    world = photos.world
    left, erased, stays = [await photos.person() for _ in range(3)]
    post_id = await erased.write_post("비밀글")
    before: dict[str, list[Any]] = {}
    for name in ("users", "user_auth", "posts", "post_contents"):
        whole = select(METADATA.tables[name])
        found = await world.runtime.database.read(
            lambda connection, all_=whole: connection.execute(all_).mappings().all()
        )
        before[name] = [dict(row) for row in found]
    await left.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})
    await erasure(world).erase(erased.user_id, Extent.WORDS, reason=None)
    storage = exports(photos)._storage
    assert storage is not None
    journal = Journal(world.runtime.database, storage, world.clock)
    assert await journal.run() == 3  # a withdrawal, and one as part of the erasure
    assert await journal.run() == 0
    assert await journal.replay(erasure(world), dry_run=False) == Replayed(known=3)

    def restore(connection: Any) -> None:
        connection.execute(METADATA.tables["erasures"].delete())
        for name, rows in before.items():
            for row in rows:
                table = METADATA.tables[name]
                connection.execute(table.update().where(table.c.id == row["id"]).values(row))

    await world.runtime.database.write(restore)
    assert "비밀글" in await everything(world)
    assert await journal.replay(erasure(world), dry_run=True) == Replayed(done=3)
    assert "비밀글" in await everything(world)
    assert await journal.replay(erasure(world), dry_run=False) == Replayed(done=3)
    again = await everything(world)
    assert not [word for word in ("비밀글", left.email, erased.email) if word in again]
    assert stays.email in again
    assert (await world.http.get(f"{API}/posts/{post_id}")).status_code == 404
    assert (await journal.replay(erasure(world), dry_run=False)).done == 0
