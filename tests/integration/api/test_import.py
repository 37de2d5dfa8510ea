"""Moving in: what `bapsang-api import` takes over from an older server, and what it says of the rest."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api.old_server import NUMBERS, PASSWORD, ULIDS, OldServer, old_server

from bapsang_api.importing import moved
from bapsang_api.importing.moved import MovedIds
from bapsang_api.kit.db.database import Database
from bapsang_api.upkeep.recount import Recount

from .bucket import ACCESS, SECRET, Bucket, open_photo_world, photo
from .process import run_here
from .test_seed import items, scrolled
from .world import API, Backend, Person, World, open_world

ULID = "01HTC8W0000000000000000{:03d}"


@pytest.fixture
def old(mysql_url: str) -> Iterator[OldServer]:
    with old_server(mysql_url) as made:
        yield made


async def import_from(old: OldServer, servers: Backend, cwd: Path, *options: str, code: int = 0) -> dict[str, Any]:
    """Run the command and return its report."""
    environment = {**servers.environment, "OLD_DATABASE_URL": old.url}
    given = "import", "--from-env", "OLD_DATABASE_URL", *options
    done = await asyncio.to_thread(run_here, *given, cwd=cwd, **environment)
    assert done.returncode == code, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def reasons(report: dict[str, Any], table: str) -> dict[str, str]:
    """Return why rows of a table were skipped or changed, by their old ids."""
    return {row["id"]: row["reason"] for row in report["named"] if row["table"] == table}


async def log_in(world: World, email: str, password: str = PASSWORD) -> Any:
    return await world.http.post(f"{API}/auth/tokens", json={"email": email, "password": password})


async def new_id(world: World, kind: str, old_id: object) -> str:
    statement = "SELECT new_id FROM imported_ids WHERE kind = :kind AND old_id = :old_id"
    ((found,),) = await world.rows(statement, kind=kind, old_id=str(old_id))
    return str(found)


async def require_exact(world: World) -> None:
    """Check that every counter is the number of its rows, in Redis too, and that every row of the map names something."""
    report = await Recount(world.runtime.database, None).run(None, dry_run=True)
    assert report.differences == 0
    assert await world.rows("SELECT id FROM posts WHERE post_status = 'MOVING'") == []


async def test_users_log_in_and_read_what_they_wrote(old: OldServer, servers: Backend, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        old.user(number)
    old.post(10, 1, content="된장찌개")
    old.comment(100, 10, 2)
    old.comment(101, 10, 1, parent=100)
    old.like(10, 2, 3)
    report = await import_from(old, servers, tmp_path)
    assert report["named"] == report["unexplained"] == []
    counts = {name: (table["found"], table["imported"]) for name, table in report["tables"].items()}
    assert counts == {
        "users": (3, 3),
        "user_auth": (3, 3),
        "posts": (1, 1),
        "post_contents": (1, 1),
        "comments": (2, 2),
        "user_post_likes": (2, 2),
        "publish": (0, 0),
        "pictures": (0, 0),
    }
    async with open_world(servers) as world:
        login = await log_in(world, "OLD1@example.com")
        assert (login.status_code, login.json()) == (201, {"nickname": "옛사람1"})
        headers = {"Authorization": login.headers["Authorization"]}
        (post_id,) = await scrolled(world, "/users/me/posts", headers)
        detail = (await world.http.get(f"{API}/posts/{post_id}")).json()
        assert detail["createdAt"] == "2024-04-01T21:00:00.500000"
        assert detail["updatedAt"] is None
        assert detail["contentDetail"]["content"] == "된장찌개"
        assert detail["stats"] == {"likeCount": 2, "commentCount": 2, "viewCount": 7, "isLiked": False}
        (top,) = await items(world, f"/posts/{post_id}/comments")
        assert (top["content"], top["replyCount"], top["replies"][0]["depth"]) == ("댓글 100", 1, 1)
        found = (await world.http.get(f"{API}/search/posts", params={"q": "된장찌개"})).json()
        assert [item["postId"] for item in found["items"]] == [post_id]
        await require_exact(world)


async def test_password_becomes_argon2id_at_the_first_login(old: OldServer, servers: Backend, tmp_path: Path) -> None:
    old.user(1)
    await import_from(old, servers, tmp_path)
    async with open_world(servers) as world:
        stored = "SELECT password_hash FROM user_auth"
        wrong = await log_in(world, "old1@example.com", "Bapsang-2025!")
        unknown = await log_in(world, "nobody@example.com")
        assert (
            (wrong.status_code, wrong.json()["code"])
            == (unknown.status_code, unknown.json()["code"])
            == (401, "E401-1")
        )
        ((before,),) = await world.rows(stored)
        assert before.startswith("$2b$04$")
        assert (await log_in(world, "old1@example.com")).status_code == 201
        ((after,),) = await world.rows(stored)
        assert after.startswith("$argon2id$")
        assert (await log_in(world, "old1@example.com")).status_code == 201


async def test_nobody_is_lost_whatever_the_account_holds(old: OldServer, servers: Backend, tmp_path: Path) -> None:
    old.user(1, "민지", "minji@example.com")
    old.user(2, "민 지!", "MINJI@example.com")  # the e-mail of 1, and her name once it is by the rules
    old.user(3, "😀", "no address")
    old.user(4, "열글자가넘는아주긴이름", "-")  # no login at all
    old.user(5, "Alice", "5@example.com", password_hash="{SHA}x")
    old.user(6, "aLICE", "6@example.com", password_hash="$2b$15$" + "." * 53, provider="가입")
    old.user(7, "지운이", "gone@example.com", user_status="DELETED", deleted_at="2024-05-01")
    old.user(8, "차단", "blocked@example.com", user_status="BLOCKED")
    old.user(9, "휴면", "dormant@example.com", user_status="DORMANT")
    old.user(10, "관리", "admin@example.com", user_role="ADMIN", created_at="1970-01-01")
    old.insert(
        "user_auth", [{"id": 99, "user_id": 1, "provider": "KAKAO", "email": "k@example.com", "password_hash": None}]
    )
    old.insert(
        "user_auth", [{"id": 98, "user_id": 77, "provider": "LOCAL", "email": "x@example.com", "password_hash": None}]
    )
    report = await import_from(old, servers, tmp_path)
    named: dict[str, list[str]] = {}
    for row in report["named"]:
        named.setdefault(f"{row['table']} {row['id']}", []).append(row["reason"])
    assert named == {
        "users 2": ["nickname_not_allowed", "nickname_taken", "email_taken"],
        "users 3": ["nickname_not_allowed", "email_unusable"],
        "users 4": ["nickname_not_allowed", "login_missing"],
        "users 5": ["password_unknown"],
        "users 6": ["nickname_taken", "provider_unknown", "password_too_costly"],
        "users 9": ["status_unknown"],
        "users 10": ["bad_time", "is_admin"],
        "user_auth 98": ["user_missing"],
        "user_auth 99": ["second_login"],
    }
    assert (report["tables"]["users"]["found"], report["tables"]["users"]["imported"]) == (10, 10)
    assert report["tables"]["user_auth"]["skipped"] == {"second_login": 1, "user_missing": 1}
    assert "example.com" not in json.dumps(report), "the log of a Job holds no addresses"
    async with open_world(servers) as world:
        given = "SELECT old_id, nickname FROM imported_ids JOIN users ON id = new_id WHERE kind = 'user'"
        names = {int(old_id): nickname for old_id, nickname in await world.rows(given)}
        assert names[7].startswith("~")
        assert {number: names[number] for number in (1, 2, 3, 4, 5, 6)} == {
            1: "민지",
            2: "민지2",
            3: "회원2",
            4: "열글자가넘는아주긴이",
            5: "Alice",
            6: "aLICE2",
        }
        expected = {"minji": 201, "gone": 401, "blocked": 403, "dormant": 403, "5": 401, "6": 401, "admin": 201}
        for name, status in expected.items():
            assert (await log_in(world, f"{name}@example.com")).status_code == status, name


async def test_texts_times_and_states_that_do_not_fit_are_made_to(
    old: OldServer, servers: Backend, tmp_path: Path
) -> None:
    old.user(1)
    old.post(1, 1, title="가" * 300, content="나" * 10_001)
    old.post(2, 1, title="", content=None)
    old.post(3, 1, post_status="BLOCKED")
    old.post(4, 1, deleted_at="2024-05-01")
    old.post(5, 1, created_at="2999-01-01")
    old.post(6, 404)
    old.post(7, 1, content="e" + "\u0301" * 40, updated_at="2024-06-01")
    old.insert("post_contents", [{"id": 66, "content": "?", "post_image_key": None}])
    for comment in (1, 2):
        old.comment(comment, 4, 1)
    old.like(4, 1)
    old.like(5, 1, 404)
    old.like(404, 1)
    report = await import_from(old, servers, tmp_path)
    assert reasons(report, "posts") == {
        "1": "text_cut",
        "2": "content_missing",
        "5": "bad_time",
        "6": "author_missing",
        "7": "text_cut",
    }
    assert report["tables"]["post_contents"]["skipped"] == {"post_missing": 2}
    assert report["tables"]["comments"]["skipped"] == {"post_deleted": 2}
    assert report["tables"]["user_post_likes"]["skipped"] == {"post_deleted": 1, "post_missing": 1, "user_missing": 1}
    async with open_world(servers) as world:
        ids = {number: await new_id(world, "post", number) for number in (1, 2, 3, 4, 5, 7)}
        shown = {number: (await world.http.get(f"{API}/posts/{ids[number]}")) for number in ids}
        assert {number: answer.status_code for number, answer in shown.items()} == {
            **dict.fromkeys((1, 2, 5, 7), 200),
            **dict.fromkeys((3, 4), 404),
        }
        long = shown[1].json()
        assert (len(long["title"]), len(long["contentDetail"]["content"])) == (255, 10_000)
        assert long["title"].endswith("가…")
        assert shown[2].json()["title"] == "제목 없음"
        assert shown[7].json()["updatedAt"] == "2024-06-01T09:00:00"
        assert await world.rows("SELECT title FROM posts WHERE post_status = 'DELETED'") == [("",)]
        await require_exact(world)


async def test_tree_of_comments_is_made_anew(old: OldServer, servers: Backend, tmp_path: Path) -> None:
    for number in (1, 2):
        old.user(number)
        old.post(number, 1)
    old.comment(1, 1, 1, parent=9)  # replies to a later one
    old.comment(9, 1, 2)
    for below, above in ((11, 9), (12, 11), (13, 12), (14, 13), (15, 14)):
        old.comment(below, 1, 1, parent=above)
    old.comment(20, 1, 1, parent=404)
    old.comment(21, 2, 1, parent=9)  # of another post
    old.comment(22, 1, 1, parent=23)  # in a circle
    old.comment(23, 1, 1, parent=22)
    old.comment(24, 1, 404)
    old.comment(25, 1, 1, parent=24)
    old.comment(30, 2, 1, comment_status="DELETED", deleted_at="2024-05-01", content="비밀")
    old.comment(31, 2, 1, parent=30)
    old.comment(32, 2, 1, comment_status="DELETED", deleted_at="2024-05-01")
    report = await import_from(old, servers, tmp_path, "--batch", "2")
    assert reasons(report, "comments") == {
        "14": "too_deep",
        "15": "too_deep",
        "20": "parent_missing",
        "21": "parent_missing",
        "23": "parent_missing",
        "24": "author_missing",
        "25": "parent_missing",
    }
    async with open_world(servers) as world:
        rows = await world.rows(
            "SELECT old_id, depth, comment_group, parent_id FROM comments "
            "JOIN imported_ids ON kind = 'comment' AND new_id = comment_id"
        )
        places = {int(row[0]): row[1:] for row in rows}
        ids = {number: await new_id(world, "comment", number) for number in places}
        assert {number: place[0] for number, place in places.items()} == {
            **{9: 0, 1: 1, 11: 1, 12: 2, 13: 3, 14: 3, 15: 3, 20: 0, 21: 0, 22: 1, 23: 0, 25: 0, 30: 0, 31: 1, 32: 0}
        }
        assert {places[number][1] for number in (1, 9, 11, 12, 13, 14, 15)} == {ids[9]}
        assert {places[number][2] for number in (13, 14, 15)} == {ids[12]}
        first, second = [await new_id(world, "post", number) for number in (1, 2)]
        tops = await items(world, f"/posts/{first}/comments")
        assert sorted((top["commentId"] == ids[9], top["replyCount"]) for top in tops) == [
            (False, 0),
            (False, 0),
            (False, 1),
            (True, 6),
        ]
        deleted = [top for top in await items(world, f"/posts/{second}/comments") if top["author"] is None]
        assert [(top["content"], len(top["replies"])) for top in deleted] == [("삭제된 댓글입니다.", 1)]
        assert await world.rows("SELECT 1 FROM comments WHERE content = '비밀'") == []
        await require_exact(world)


async def test_ulids_are_kept_where_they_are_free(mysql_url: str, servers: Backend, tmp_path: Path) -> None:
    with old_server(mysql_url, ULIDS) as old:
        old.user(ULID.format(1), "하나", "1@example.com")
        old.post(ULID.format(2), ULID.format(1))
        old.post(ULID.format(4).lower(), ULID.format(1))
        old.comment(ULID.format(3), ULID.format(2), ULID.format(1))
        async with open_world(servers) as world:
            report = await import_from(old, servers, tmp_path)
            assert report["named"] == []
            answer = await world.http.get(f"{API}/posts/{ULID.format(2)}")
            assert (answer.status_code, answer.json()["stats"]["commentCount"]) == (200, 1)
            assert await new_id(world, "post", ULID.format(4).lower()) != ULID.format(4)


async def test_times_of_seoul_are_stored_in_utc(old: OldServer, servers: Backend, tmp_path: Path) -> None:
    old.user(1, created_at="2024-04-01 21:00:00")
    await import_from(old, servers, tmp_path, "--times", "seoul")
    async with open_world(servers) as world:
        ((created_at,),) = await world.rows("SELECT created_at FROM users")
        assert str(created_at) == "2024-04-01 12:00:00"


async def test_running_again_takes_only_what_has_come_since(old: OldServer, servers: Backend, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        old.user(number)
    old.post(10, 1)
    old.comment(100, 10, 2)
    old.like(10, 1, 2)
    await import_from(old, servers, tmp_path)
    async with open_world(servers) as world:
        nothing = await import_from(old, servers, tmp_path)
        assert (nothing["again"], nothing["nothing_new"], nothing["unexplained"]) == (True, True, [])
        assert nothing["tables"]["user_post_likes"] | {"new": 0} == nothing["tables"]["user_post_likes"]
        post_id = await new_id(world, "post", 10)
        login = await log_in(world, "old2@example.com")
        second = Person(world.http, "", "", "", login.headers["Authorization"].removeprefix("Bearer "), "")
        # Taken back here, which Redis knows and the rows do not yet; and everybody has the post in memory.
        assert (await second.send("DELETE", f"/posts/{post_id}/likes")).status_code == 204
        await world.runtime.like_sync.run()
        assert (await second.send("POST", f"/posts/{post_id}/comments", json={"content": "새 댓글"})).status_code == 201
        old.like(10, 3)
        old.comment(101, 10, 3, parent=100)
        old.post(11, 3)
        old.user(4)
        more = await import_from(old, servers, tmp_path)
        assert {name: table["new"] for name, table in more["tables"].items()} == {
            "users": 1,
            "user_auth": 0,
            "posts": 1,
            "post_contents": 0,
            "comments": 1,
            "user_post_likes": 1,
            "publish": 1,
            "pictures": 0,
        }
        assert more["unexplained"] == []
        answer = await second.get(f"/posts/{post_id}")
        stats = answer.json()["stats"]
        assert (stats["likeCount"], stats["isLiked"]) == (2, False), "a like that was taken back came again"
        ((liked, commented),) = await world.rows(
            "SELECT like_count, comment_count FROM posts WHERE id = :id", id=post_id
        )
        assert (liked, commented) == (2, 3)
        await require_exact(world)


async def test_dry_run_says_the_same_and_writes_nothing(old: OldServer, servers: Backend, tmp_path: Path) -> None:
    old.user(1, "민지", "minji@example.com")
    old.user(2, "민지", "MINJI@example.com")
    old.post(10, 2)
    old.post(11, 404)
    old.comment(100, 10, 1)
    old.comment(101, 10, 1, parent=100)
    old.like(10, 1)
    dry = await import_from(old, servers, tmp_path, "--dry-run", "--batch", "1")
    async with open_world(servers) as world:
        for table in ("users", "posts", "imported_ids", "import_steps"):
            assert await world.rows(f"SELECT 1 FROM {table}") == []  # noqa: S608
    wet = await import_from(old, servers, tmp_path)
    assert [(row["table"], row["id"], row["reason"]) for row in dry["named"]] == [
        (row["table"], row["id"], row["reason"]) for row in wet["named"]
    ]
    for table in ("users", "user_auth", "posts", "post_contents", "comments", "user_post_likes"):
        assert dry["tables"][table] == wet["tables"][table]


async def test_what_is_no_older_server_is_refused_before_anything_is_written(
    old: OldServer, servers: Backend, tmp_path: Path, mysql_url: str
) -> None:
    async def refused(*arguments: str) -> str:
        done = await asyncio.to_thread(run_here, "import", *arguments, cwd=tmp_path, **servers.environment)
        assert done.returncode == 2
        return done.stderr

    old.user(1)
    assert "--from-env" in await refused()
    assert "OLD: no such variable" in await refused("--from-env", "OLD")
    assert "mysql+pymysql://" in await refused("--from", "sqlite:///x")
    with old_server(mysql_url, NUMBERS) as other:
        other.insert("users", [{"id": 5}])
        other.execute("ALTER TABLE posts DROP COLUMN title, DROP COLUMN user_id")
        other.execute("DROP TABLE comments")
        other.execute("ALTER TABLE user_post_likes DROP PRIMARY KEY")
        said = await refused("--from", other.url)
        for name in ("column posts.title", "column posts.user_id", "table comments", "primary key (post_id, user_id)"):
            assert name in said
    await import_from(old, servers, tmp_path)
    with old_server(mysql_url) as another:
        another.user(2)
        assert "not the database that was imported before" in await refused("--from", another.url)


async def test_old_links_lead_to_what_they_named(old: OldServer, servers: Backend, tmp_path: Path) -> None:
    old.user(1)
    old.post(10, 1)
    old.comment(100, 10, 1)
    async with open_world(servers) as world:
        assert (await world.http.get(f"{API}/posts/10")).status_code == 404
        await import_from(old, servers, tmp_path)
    async with open_world(servers) as world:
        user_id, post_id = await new_id(world, "user", 1), await new_id(world, "post", 10)
        comment_id = await new_id(world, "comment", 100)
        there = await world.http.get(f"{API}/posts/10/comments", params={"size": "5", "cursorId": "가"})
        assert there.status_code == 308
        assert there.headers["location"] == f"{API}/posts/{post_id}/comments?size=5&cursorId=%EA%B0%80"
        assert (await world.http.get(f"{API}/users/1")).headers["location"] == f"{API}/users/{user_id}"
        replies = await world.http.get(f"{API}/posts/10/comments/100/replies")
        assert replies.headers["location"] == f"{API}/posts/{post_id}/comments/{comment_id}/replies"
        for unknown in (
            "posts/11",
            "posts/10/comments/7/replies",
            "users/100",
            "posts/1%2F0",
            "posts/가",
            "posts/" + "9" * 70,
        ):
            assert (await world.http.get(f"{API}/{unknown}")).status_code == 404, unknown
        assert (await world.http.get(f"{API}/posts/10", follow_redirects=True)).json()["postId"] == post_id
        assert (await world.http.get("/posts/10")).status_code == 404, "no path of the API"

        token = (await log_in(world, "old1@example.com")).headers["Authorization"]
        headers = {"Authorization": token}
        assert (await world.http.put(f"{API}/posts/10/likes")).status_code == 401
        liked = await world.http.put(f"{API}/posts/10/likes", headers=headers, follow_redirects=True)
        assert liked.status_code == 204, "method and token go along"
        written = await world.http.post(
            f"{API}/posts/10/comments",
            json={"content": "새 댓글", "parentId": comment_id},
            headers={**headers, "Idempotency-Key": "once"},
            follow_redirects=True,
        )
        assert (written.status_code, written.json()["parentId"]) == (201, comment_id)


async def test_old_links_ask_the_database_once(
    old: OldServer, servers: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.user(1)
    old.post(10, 1)
    await import_from(old, servers, tmp_path)
    database, asked = Database(servers.environment["BAPSANG_DATABASE_URL"]), list[object]()
    ids, read = MovedIds(database, API), database.read
    monkeypatch.setattr(database, "read", lambda work: (asked.append(work), read(work))[1])
    monkeypatch.setattr(moved, "_ENTRIES", 5)
    ours = ("/users/me", f"/posts/{ULID.format(1)}", "/posts", "/tags/10", "/posts/" + "9" * 70)
    for _ in range(3):
        assert await ids.location(f"{API}/posts/10", b"") is not None
        assert await ids.location(f"{API}/posts/11", b"") is None
        for path in ours:
            assert await ids.location(f"{API}{path}", b"") is None
    assert len(asked) == 2 * 2
    for number in range(20):
        await ids.location(f"{API}/posts/{number}", b"")
    assert len(ids._ids) == 5
    await database.close()


async def test_pictures_are_taken_as_uploads_are(
    old: OldServer, servers: Backend, bucket: Bucket, tmp_path: Path
) -> None:
    keys = {name: f"users/{number}/post/{name}.jpg" for number, name in enumerate(("good", "text", "late", "hidden"))}
    bucket.put(keys["good"], photo())
    bucket.put(keys["hidden"], photo())
    bucket.put(keys["text"], b"no picture")
    bucket.put("temp/face.png", photo())
    old.user(1, profile_image_key="temp/face.png")
    old.user(2, profile_image_key="exports/1")
    for number, name in enumerate(keys):
        old.post(number, 1, key=keys[name], post_status="HIDDEN" if name == "hidden" else "ACTIVE")
    without = await import_from(old, servers, tmp_path)
    assert without["tables"]["pictures"]["skipped"] == {"bucket_missing": 5}
    assert reasons(without, "users") == {"2": "image_key_unusable"}
    keys_of = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
    there = Backend(servers.name, {**servers.environment, **bucket.environment, **keys_of})
    report = await import_from(old, there, tmp_path)
    assert reasons(report, "pictures") == {keys["late"]: "object_missing", keys["text"]: "not_a_picture"}
    async with open_photo_world(servers, bucket) as photos:
        shown = [await new_id(photos.world, "post", number) for number in range(4)]
        assert await photos.loads(await photos.until_shown(shown[0]))
        assert await photos.until_shown(shown[1], "REFUSED") == ""
        assert await photos.until_shown(shown[2], "PENDING") == ""
        assert (await photos.world.http.get(f"{API}/posts/{shown[3]}")).status_code == 404
        bucket.put(keys["late"], photo())
        assert (await import_from(old, there, tmp_path))["tables"]["pictures"]["imported"] == 1
        assert await photos.loads(await photos.until_shown(shown[2]))
        login = await log_in(photos.world, "old1@example.com")
        me = await photos.world.http.get(f"{API}/users/me", headers={"Authorization": login.headers["Authorization"]})
        assert await photos.loads(me.json()["presignedProfileImageUrl"])
        made = "SELECT due_at IS NULL, COUNT(*) FROM images GROUP BY 1 ORDER BY 1"
        assert await photos.world.rows(made) == [(0, 1), (1, 4)], "nobody makes what is hidden"
