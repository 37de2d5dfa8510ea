"""Reports: what users tell administrators, and what becomes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .test_moderation import audit
from .test_ratelimit import limited
from .world import API, Backend, Person, World, assert_problem, make_admin, open_world

pytestmark = pytest.mark.both_databases

NOBODY = "01JD0000000000000000000000"


async def report(person: Person, path: str, reason: str = "SPAM", **body: Any) -> int:
    answer = await person.send("POST", f"{path}/reports", json={"reason": reason, **body})
    return answer.status_code


async def listed(admin: Person, **params: Any) -> list[dict[str, Any]]:
    answer = await admin.get("/admin/reports", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_reports_of_posts_and_comments_reach_the_administrators(world: World) -> None:
    admin, alice, bob = await make_admin(world, await world.person()), await world.person(), await world.person()
    post_id = await alice.write_post("광고 글")
    comment_id = await alice.write_comment(post_id, "광고 댓글")
    assert await report(bob, f"/posts/{post_id}", "SPAM", detail="같은 글이 많아요") == 204
    assert await report(bob, f"/posts/{post_id}/comments/{comment_id}", "ABUSE", detail=None) == 204
    of_comment, of_post = await listed(admin)
    assert of_post == {
        "reportId": of_post["reportId"],
        "reason": "SPAM",
        "detail": "같은 글이 많아요",
        "status": "OPEN",
        "createdAt": of_post["createdAt"],
        "closedAt": None,
        "reporter": {"userId": bob.user_id, "nickname": bob.nickname},
        "target": {
            "kind": "POST", "id": post_id, "postId": post_id, "authorId": alice.user_id, "text": "광고 글",
        },
    }  # fmt: skip
    assert (of_comment["reason"], of_comment["detail"]) == ("ABUSE", None)
    assert of_comment["target"] == {
        "kind": "COMMENT", "id": comment_id, "postId": post_id, "authorId": alice.user_id, "text": "광고 댓글",
    }  # fmt: skip


async def test_reporting_again_changes_nothing_even_at_once(servers: Backend) -> None:
    async with open_world(servers) as world:
        admin, alice, bob = await make_admin(world, await world.person()), await world.person(), await world.person()
        path = f"/posts/{await alice.write_post()}"
        assert await asyncio.gather(*(report(bob, path, "SPAM") for _ in range(5))) == [204] * 5
        assert await report(bob, path, "OTHER", detail="다시") == 204
        assert await report(admin, path, "ABUSE") == 204
        assert sorted(item["reason"] for item in await listed(admin)) == ["ABUSE", "SPAM"]


async def test_own_hidden_deleted_and_unknown_content_cannot_be_reported(world: World) -> None:
    admin, alice, bob = await make_admin(world, await world.person()), await world.person(), await world.person()
    kept, hidden, deleted = [await alice.write_post() for _ in range(3)]
    mine, gone = await bob.write_comment(kept), await alice.write_comment(kept)
    await admin.send("POST", f"/admin/posts/{hidden}/hide")
    await alice.send("DELETE", f"/posts/{deleted}")
    await alice.send("DELETE", f"/posts/{kept}/comments/{gone}")
    assert await report(alice, f"/posts/{kept}") == 403
    assert await report(bob, f"/posts/{kept}/comments/{mine}") == 403
    for path in (hidden, deleted, NOBODY, "nonsense", f"{kept}/comments/{gone}", f"{kept}/comments/{NOBODY}"):
        assert await report(bob, f"/posts/{path}") == 404, path
    other = await alice.write_post()
    assert await report(alice, f"/posts/{other}/comments/{mine}") == 404  # of another post
    assert await report(bob, f"/posts/{kept}/comments/x") == 404
    assert await listed(admin) == []


async def test_bad_reports_are_refused_by_field(file_world: World, subtests: pytest.Subtests) -> None:
    alice, bob = await file_world.person(), await file_world.person()
    path = f"/posts/{await alice.write_post()}/reports"
    for body, field in (
        ({}, "reason"),
        ({"reason": "spam"}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": "OTHER", "detail": "x" * 501}, "detail"),
        ({"reason": "OTHER", "detail": " "}, "detail"),
    ):
        with subtests.test(body=body, field=field):
            answer = await bob.send("POST", path, json=body)
            assert assert_problem(answer, 400, "E400-1")["errors"][0]["field"] == field
            assert_problem(await file_world.http.post(f"{API}{path}", json={"reason": "SPAM"}), 401, "T001")


async def test_a_report_is_closed_once_decided_and_the_decision_is_recorded(world: World) -> None:
    admin, alice, bob = await make_admin(world, await world.person()), await world.person(), await world.person()
    for _ in range(2):
        assert await report(bob, f"/posts/{await alice.write_post()}") == 204
    second, first = [item["reportId"] for item in await listed(admin)]
    for act, report_id in (("resolve", first), ("resolve", first), ("dismiss", second)):
        answer = await admin.send("POST", f"/admin/reports/{report_id}/{act}", json={"reason": "확인함"})
        assert answer.status_code == 204
    assert await listed(admin, status="") == []
    (resolved,), (dismissed,) = await listed(admin, status="RESOLVED"), await listed(admin, status="DISMISSED")
    assert (resolved["reportId"], dismissed["reportId"]) == (first, second)
    assert resolved["closedAt"] >= resolved["createdAt"]
    assert await audit(world) == [
        (admin.user_id, "report.resolve", first, "확인함"),
        (admin.user_id, "report.resolve", first, "확인함"),
        (admin.user_id, "report.dismiss", second, "확인함"),
    ]


async def test_nobody_else_reads_or_closes_reports(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    admin, demoted = await make_admin(world, await world.person()), await make_admin(world, await world.person())
    await world.change("UPDATE users SET user_role = 'USER' WHERE id = :u", u=demoted.user_id)
    await report(bob, f"/posts/{await alice.write_post()}")
    (item,) = await listed(admin)
    for person in (bob, demoted):  # the latter's token still says ADMIN
        assert_problem(await person.get("/admin/reports"), 403, "E403-1")
        for act in ("resolve", "dismiss"):
            answer = await person.send("POST", f"/admin/reports/{item['reportId']}/{act}")
            assert_problem(answer, 403, "E403-1")
    for unknown in (NOBODY, "nonsense"):
        assert_problem(await admin.send("POST", f"/admin/reports/{unknown}/resolve"), 404, "E404-1")
    answer = await admin.get("/admin/reports?status=CLOSED")
    assert assert_problem(answer, 400, "E400-1")["errors"][0]["field"] == "status"
    assert await listed(admin) == [item]
    assert await audit(world) == []


async def test_a_scroll_of_reports_sees_every_one_once(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    await alice.write_post()
    for number in range(5):
        await world.change(
            "INSERT INTO users (id, nickname, user_role, user_status, created_at) "
            "SELECT :i, :i, 'USER', 'ACTIVE', created_at FROM posts",
            i=str(number),
        )
        await world.change(
            "INSERT INTO reports (id, reporter_id, target_kind, target_id, post_id, reason, report_status, created_at) "
            "SELECT :r, :i, 'POST', id, id, 'SPAM', 'OPEN', created_at FROM posts",
            r=f"{number:026d}",
            i=str(number),
        )
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        body = (await admin.get("/admin/reports", params={"size": 2, **cursor})).json()
        seen += [item["reportId"] for item in body["items"]]
        if not body["hasMore"]:
            break
        cursor = {"cursorId": body["nextCursor"]["id"], "cursorCreatedAt": body["nextCursor"]["createdAt"]}
        assert (await admin.send("POST", f"/admin/reports/{seen[-1]}/resolve")).status_code == 204
    assert seen == [f"{number:026d}" for number in (4, 3, 2, 1, 0)]


async def test_reports_are_limited_by_user(files: Backend) -> None:
    async with open_world(limited(files, "report=1/60")) as world:
        alice, bob, carol = await world.person(), await world.person(), await world.person()
        path = f"/posts/{await alice.write_post()}"
        assert [await report(bob, path) for _ in range(2)] == [204, 429]
        assert await report(carol, path) == 204
