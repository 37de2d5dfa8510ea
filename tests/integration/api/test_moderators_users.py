"""What administrators look up of people, whom they suspend, and what the audit log shows of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .test_moderation import act, audit
from .test_reports import report
from .world import API, PASSWORD, Person, World, assert_problem, make_admin

pytestmark = pytest.mark.both_databases


async def found(admin: Person, path: str = "users", **params: Any) -> list[dict[str, Any]]:
    answer = await admin.get(f"/admin/{path}", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "private, no-store"
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def names(admin: Person, **params: Any) -> list[str]:
    return [item["nickname"] for item in await found(admin, **params)]


async def log_in(world: World, person: Person) -> Any:
    return await world.http.post(f"{API}/auth/tokens", json={"email": person.email, "password": PASSWORD})


async def test_user_is_found_by_id_email_and_beginning_of_the_nickname(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    for nickname, person in (("할인50", alice), ("할인반값", await world.person())):
        assert (await person.send("PATCH", "/users/me", json={"nickname": nickname})).status_code == 204
    post_id = await alice.write_post()
    await alice.write_comment(post_id)
    assert await report(admin, f"/posts/{post_id}") == 204
    (item,) = await found(admin, q=alice.user_id)
    assert item == {
        "userId": alice.user_id,
        "nickname": "할인50",
        "email": alice.email,
        "role": "USER",
        "status": "ACTIVE",
        "suspendedUntil": None,
        "createdAt": item["createdAt"],
        "counts": {"posts": 1, "comments": 1, "openReports": 1},
    }
    assert (await admin.get(f"/admin/users/{alice.user_id}")).json() == item
    assert await found(admin, q=alice.email.upper()) == [item]
    assert await names(admin, q="할인") == ["할인반값", "할인50"]  # newest first
    assert await names(admin, q="할인5") == ["할인50"]
    for nobody in ("%", "할_", "50", "/", "nobody@example.com"):  # no wildcards, no middle
        assert await names(admin, q=nobody) == []


async def test_accounts_are_listed_by_state_and_page_by_page(world: World) -> None:
    admin = await make_admin(world, await world.person())
    people = [await world.person() for _ in range(4)]
    suspended, blocked, withdrawn, _ = people
    assert await act(admin, f"users/{suspended.user_id}/suspend", days=1) == 204
    assert await act(admin, f"users/{blocked.user_id}/block") == 204
    assert (await withdrawn.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})).status_code == 204
    states = {"SUSPENDED": suspended, "BLOCKED": blocked, "DELETED": withdrawn}
    for state, person in states.items():
        assert [item["userId"] for item in await found(admin, status=state)] == [person.user_id]
    assert (await found(admin, status="DELETED"))[0]["email"] is None
    everybody = [item["userId"] for item in await found(admin)]
    assert everybody == [*(person.user_id for person in reversed(people)), admin.user_id]
    paged: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        body = (await admin.get("/admin/users", params={"size": "2", **cursor})).json()
        paged += [item["userId"] for item in body["items"]]
        if not body["hasMore"]:
            break
        cursor = {"cursorId": body["nextCursor"]["id"], "cursorCreatedAt": body["nextCursor"]["createdAt"]}
    assert paged == everybody


async def test_looking_for_people_is_recorded_without_the_email(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    await found(admin, q=alice.email)
    await found(admin, q="somebody.else@example.com")
    await found(admin, q="사람")
    await admin.get(f"/admin/users/{alice.user_id}")
    rows = await world.rows("SELECT action, target_id, detail FROM audit_log ORDER BY created_at, id")
    assert rows == [
        ("user.search", alice.user_id, "e-mail"),
        ("user.search", admin.user_id, "e-mail"),
        ("user.search", admin.user_id, "nickname"),
        ("user.read", alice.user_id, None),
    ]
    assert "@" not in str(await world.rows("SELECT * FROM audit_log"))


async def test_suspension_ends_every_session_and_then_itself(world: World) -> None:
    admin, bob = await make_admin(world, await world.person()), await world.person()
    post_id = await bob.write_post()
    until = datetime(2100, 1, 1, tzinfo=UTC)
    world.clock.passed = until - timedelta(days=3) - datetime.now(UTC)
    for person in (admin, bob):
        person.token, person.refresh_token = await world.log_in(person.email)
    body = {"until": "2100-01-01T09:00:00", "reason": "도배"}
    assert await act(admin, f"users/{bob.user_id}/suspend", **body) == 204
    assert_problem(await bob.get("/users/me"), 401, "T003")
    assert_problem(await world.refresh(bob.refresh_token), 401, "E401-1")
    refused = assert_problem(await log_in(world, bob), 403, "E403-1")
    assert refused["detail"] == "2100년 1월 1일 09:00까지 이용이 정지된 계정입니다."
    assert (await world.http.get(f"{API}/posts/{post_id}")).json()["author"]["nickname"] == bob.nickname
    (item,) = await found(admin, status="SUSPENDED")
    assert (item["userId"], item["suspendedUntil"]) == (bob.user_id, "2100-01-01T09:00:00")
    world.clock.passed += timedelta(days=3)
    await world.log_in(bob.email)
    admin.token, _ = await world.log_in(admin.email)
    assert await found(admin, status="SUSPENDED") == []
    assert (
        await audit(world)
        == [(admin.user_id, "user.suspend", bob.user_id, "도배")]
        + [(admin.user_id, "user.search", admin.user_id, None)] * 2
    )
    told = await world.rows("SELECT user_id, kind, bundle, detail FROM notifications")
    said = "2100년 1월 1일 09:00까지 이용이 정지되었습니다."
    assert told == [(bob.user_id, "MODERATION", f"MODERATION:{bob.user_id}", said)]


async def test_suspended_user_can_be_let_in_again_before_the_time(world: World) -> None:
    admin, bob = await make_admin(world, await world.person()), await world.person()
    assert await act(admin, f"users/{bob.user_id}/suspend", days=7) == 204
    assert await act(admin, f"users/{bob.user_id}/unsuspend") == 204
    await world.log_in(bob.email)


async def test_session_that_a_suspension_has_not_ended_cannot_be_refreshed(world: World) -> None:
    bob = await world.person()
    await world.change("UPDATE users SET suspended_until = '2999-01-01' WHERE id = :u", u=bob.user_id)
    assert_problem(await world.refresh(bob.refresh_token), 401, "E401-1")


async def test_suspended_administrator_may_do_nothing(world: World) -> None:
    admin, bob = await make_admin(world, await world.person()), await world.person()
    await world.change("UPDATE users SET suspended_until = '2999-01-01' WHERE id = :u", u=admin.user_id)
    assert await act(admin, f"users/{bob.user_id}/block") == 403
    assert_problem(await admin.get("/admin/users"), 403, "E403-1")
    assert await audit(world) == []


async def test_suspensions_that_make_no_sense_are_refused(world: World, subtests: pytest.Subtests) -> None:
    admin, bob = await make_admin(world, await world.person()), await world.person()
    for body in (
        *({}, {"days": 0}, {"days": 3651}, {"days": "7"}, {"days": 1.5}),
        *({"until": "2001-01-01T00:00:00"}, {"until": "tomorrow"}, {"until": "9999-01-01T00:00:00"}, {"until": 5}),
    ):
        with subtests.test(str(body)):
            answer = await admin.send("POST", f"/admin/users/{bob.user_id}/suspend", json=body)
            assert_problem(answer, 400, "E400-1")
    assert await act(admin, f"users/{admin.user_id}/suspend", days=1) == 409
    assert await audit(world) == []


async def test_audit_log_is_listed_by_actor_and_target(world: World) -> None:
    admin, other, bob = [await world.person() for _ in range(3)]
    for person in (admin, other):
        await make_admin(world, person)
    assert await act(admin, f"users/{bob.user_id}/suspend", days=2, reason="도배") == 204
    assert await act(other, f"users/{bob.user_id}/unsuspend") == 204
    unsuspended, suspended = await found(admin, "audit")
    assert suspended == {
        "auditId": suspended["auditId"],
        "actor": {"userId": admin.user_id, "nickname": admin.nickname},
        "action": "user.suspend",
        "targetId": bob.user_id,
        "reason": "도배",
        "detail": suspended["detail"],
        "requestId": suspended["requestId"],
        "createdAt": suspended["createdAt"],
    }
    assert suspended["detail"].startswith("until 2")
    assert await found(admin, "audit", actor=other.user_id) == [unsuspended]
    assert await found(admin, "audit", target=bob.user_id) == [unsuspended, suspended]
    assert await found(admin, "audit", target=admin.user_id) == []
    assert await found(admin, "audit", size="1") == [unsuspended]
    assert_problem(await admin.get("/admin/audit", params={"actor": "bob"}), 400, "E400-1")


async def test_queue_counts_what_waits(world: World) -> None:
    admin, alice, bob = await make_admin(world, await world.person()), await world.person(), await world.person()
    nothing = {"openReports": 0, "openReportsByReason": {}, "oldestOpenSeconds": None}
    more = {"heldPosts": 0, "oldestHeldSeconds": None, "suspendedUsers": 0}
    assert (await admin.get("/admin/queue")).json() == {**nothing, **more}
    for reason in ("SPAM", "SPAM", "ABUSE"):
        assert await report(bob, f"/posts/{await alice.write_post()}", reason) == 204
    assert await act(admin, f"users/{bob.user_id}/suspend", days=1) == 204
    world.clock.passed += timedelta(seconds=100)
    waiting = (await admin.get("/admin/queue")).json()
    assert waiting.pop("oldestOpenSeconds") >= 100
    counts = {"openReports": 3, "openReportsByReason": {"SPAM": 2, "ABUSE": 1}}
    assert waiting == {**counts, **more, "suspendedUsers": 1}
