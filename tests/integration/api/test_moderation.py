"""What administrators may do, that nobody else may, and the record of it."""

import asyncio

import pytest

from bapsang_api.jobs import administer

from .world import API, PASSWORD, Backend, Person, World, assert_problem, eventually, make_admin, open_world

ACTS = (
    *("users/{}/block", "users/{}/unblock", "posts/{}/hide", "posts/{}/show"),
    *("comments/{}/hide", "comments/{}/show"),
)
NOBODY = "01JD0000000000000000000000"


async def act(person: Person, path: str, **body: object) -> int:
    return (await person.send("POST", f"/admin/{path}", **({"json": body} if body else {}))).status_code


async def audit(world: World) -> list[tuple[object, ...]]:
    return await world.rows("SELECT actor_id, action, target_id, reason FROM audit_log ORDER BY created_at, id")


async def test_blocked_user_is_out_at_once_and_can_come_back(world: World) -> None:
    admin, bob = await make_admin(world, await world.person()), await world.person()
    assert await act(admin, f"users/{bob.user_id}/block", reason="광고") == 204
    assert_problem(await bob.get("/users/me"), 401, "T003")
    assert_problem(await world.refresh(bob.refresh_token), 401, "E401-1")
    login = {"email": bob.email, "password": PASSWORD}
    assert_problem(await world.http.post(f"{API}/auth/tokens", json=login), 403, "E403-1")
    assert await act(admin, f"users/{bob.user_id}/unblock") == 204
    await world.log_in(bob.email)
    assert await audit(world) == [
        (admin.user_id, "user.block", bob.user_id, "광고"),
        (admin.user_id, "user.unblock", bob.user_id, None),
    ]


async def test_hidden_post_is_gone_until_it_is_shown(world: World) -> None:
    admin, bob = await make_admin(world, await world.person()), await world.person()
    post_id = await bob.write_post()
    assert await act(admin, f"posts/{post_id}/hide") == 204
    assert_problem(await bob.get(f"/posts/{post_id}"), 404, "E404-1")
    assert (await world.http.get(f"{API}/posts")).json()["items"] == []
    assert await act(admin, f"posts/{post_id}/show") == 204
    assert (await bob.get(f"/posts/{post_id}")).status_code == 200
    await world.change("UPDATE posts SET post_status = 'DELETED' WHERE id = :p", p=post_id)
    assert await act(admin, f"posts/{post_id}/show") == 404


async def test_nobody_else_may_and_nothing_is_recorded(world: World, subtests: pytest.Subtests) -> None:
    bob, demoted = await world.person(), await make_admin(world, await world.person())
    await world.change("UPDATE users SET user_role = 'USER' WHERE id = :u", u=demoted.user_id)
    post_id = await bob.write_post()
    targets = {"users": bob.user_id, "posts": post_id, "comments": await bob.write_comment(post_id)}
    for act_of in ACTS:
        with subtests.test(act_of):
            path = act_of.format(targets[act_of.partition("/")[0]])
            assert_problem(await bob.send("POST", f"/admin/{path}"), 403, "E403-1")
            assert_problem(await world.http.post(f"{API}/admin/{path}"), 401, "T001")
            assert await act(demoted, path) == 403  # although the token still says ADMIN
            assert await audit(world) == []


async def test_unknown_target_is_404_and_not_recorded(world: World, subtests: pytest.Subtests) -> None:
    admin = await make_admin(world, await world.person())
    for path in ACTS:
        with subtests.test(path):
            assert await act(admin, path.format(NOBODY)) == 404
            assert await act(admin, path.format("nonsense")) == 404
            assert await audit(world) == []


async def test_bad_reasons_and_blocking_oneself_are_refused(world: World) -> None:
    admin = await make_admin(world, await world.person())
    assert await act(admin, f"users/{admin.user_id}/block") == 409
    assert await act(admin, f"users/{NOBODY}/block", reason="x" * 501) == 400


async def test_audit_entry_carries_the_request_id(world: World) -> None:
    admin, bob = await make_admin(world, await world.person()), await world.person()
    headers = {**admin.headers, "X-Request-ID": "abc-123"}
    await world.http.post(f"{API}/admin/users/{bob.user_id}/block", headers=headers)
    assert await world.rows("SELECT request_id FROM audit_log") == [("abc-123",)]


async def test_command_line_acts_on_a_running_service(servers: Backend) -> None:
    async with open_world(servers) as world:
        alice, bob = await world.person(), await world.person()
        post_id = await bob.write_post()
        comment_id = await bob.write_comment(post_id)

        async def run(name: str, target: str) -> bool:
            return await administer(servers.settings, act=name, target=target, reason="by hand")

        assert await run("grant", alice.email)
        alice.token, _ = await world.log_in(alice.email)
        assert await act(alice, f"posts/{post_id}/hide") == 204
        assert await run("show", post_id)
        for name, count in (("hide-comment", 0), ("show-comment", 1)):
            assert await run(name, comment_id)

            async def is_shown(
                count: int = count,
            ) -> bool:  # another process acted: the service hears of it in two seconds
                return len((await bob.get(f"/posts/{post_id}/comments")).json()["items"]) == count

            await eventually(is_shown)
        assert await run("revoke", alice.user_id)
        assert await run("block", bob.user_id)

        async def both_out() -> bool:
            answers = await asyncio.gather(alice.get("/users/me"), bob.get("/users/me"))
            return [answer.status_code for answer in answers] == [401, 401]

        await eventually(both_out)
        assert await run("unblock", bob.email)
        assert not await run("block", "nobody@example.com")
        assert not await run("hide", NOBODY)
        assert not await run("hide-comment", NOBODY)
        recorded = [(row[0], row[1], row[3]) for row in await audit(world)]
        acts = ("post.show", "comment.hide", "comment.show", "role.revoke", "user.block", "user.unblock")
        by_hand = [(None, name, "by hand") for name in acts]
        assert recorded == [(None, "role.grant", "by hand"), (alice.user_id, "post.hide", None), *by_hand]
