"""Nobody takes a name that readers would believe to be the staff's."""

import httpx

from .world import API, PASSWORD, World, assert_problem, make_admin


def refused(answer: httpx.Response) -> None:
    assert [error["field"] for error in assert_problem(answer, 400, "E400-1")["errors"]] == ["nickname"]


async def test_a_name_of_the_staff_is_refused_wherever_one_is_chosen(file_world: World) -> None:
    alice = await file_world.person()
    for name in ("운영자", "Adm1n", "BAPSANG0", "운영자1"):
        body = {"email": "new@example.com", "password": PASSWORD, "nickname": name}
        refused(await file_world.http.get(f"{API}/auth/nickname", params={"nickname": name}))
        refused(await file_world.http.post(f"{API}/auth/users", json=body))
        refused(await alice.send("PATCH", "/users/me", json={"nickname": name}))
    good = {**body, "nickname": "김chef"}
    assert (await file_world.http.post(f"{API}/auth/users", json=good)).status_code == 201
    assert (await alice.send("PATCH", "/users/me", json={"nickname": "밥상차림"})).status_code == 204


async def test_who_had_such_a_name_before_keeps_it(file_world: World) -> None:
    alice = await file_world.person()
    await file_world.change("UPDATE users SET nickname = 'Admin' WHERE id = :u", u=alice.user_id)
    for same in ("Admin", "admin"):
        assert (await alice.send("PATCH", "/users/me", json={"nickname": same})).status_code == 204
    refused(await alice.send("PATCH", "/users/me", json={"nickname": "Adm1n"}))


async def test_administrators_may_take_one(file_world: World) -> None:
    admin = await make_admin(file_world, await file_world.person())
    assert (await admin.send("PATCH", "/users/me", json={"nickname": "운영자"})).status_code == 204
