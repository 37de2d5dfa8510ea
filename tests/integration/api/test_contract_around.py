"""What the contract says around the endpoints: other origins, and the names in database and Redis."""

import pytest
from sqlalchemy import inspect

from .world import API, Backend, World, open_world

TABLES = {
    "users": "id nickname profile_image_key user_role user_status created_at updated_at deleted_at",
    "user_auth": "id user_id password_hash provider email",
    "posts": "id user_id title created_at updated_at deleted_at view_count like_count comment_count post_status",
    "post_contents": "id content post_image_key",
    "comments": "comment_id user_id post_id parent_id depth comment_group content created_at updated_at deleted_at comment_status",
    "user_post_likes": "user_id post_id created_at",
}


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:3000"])
async def test_pages_of_configured_origins_may_read_every_answer(world: World, origin: str) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "PATCH", "Authorization": "Bearer junk"}
    preflight["Access-Control-Request-Headers"] = "authorization,content-type"
    answers = [
        await world.http.options(f"{API}/{path}", headers=preflight)
        for path in ("posts", "users/me", "auth/refresh", "nope")
    ]
    for answer in answers:
        assert answer.status_code == 204
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    for method, path, status in (
        *(("GET", "posts", 200), ("GET", "users/me", 401), ("GET", "nope", 404), ("PUT", "posts", 405)),
        ("POST", "auth/logout", 204),
    ):
        answer = await world.http.request(method, f"{API}/{path}", headers={"Origin": origin})
        assert answer.status_code == status
        assert "Authorization" in answer.headers["Access-Control-Expose-Headers"].split(", ")
        answers.append(answer)
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert "Origin" in answer.headers["Vary"]


async def test_another_origin_gets_no_cors_headers(world: World, subtests: pytest.Subtests) -> None:
    for origin in (
        "https://evil.example",
        "null",
        "http://localhost:3001",
        "https://localhost:3000",
        "http://localhost:3000.evil.example",
    ):
        with subtests.test(origin=origin):
            asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            for answer in (
                await world.http.options(f"{API}/posts", headers=asks),
                await world.http.get(f"{API}/posts", headers={"Origin": origin}),
                await world.http.get(f"{API}/users/me", headers={"Origin": origin}),
            ):
                assert [name for name in answer.headers if name.startswith("access-control-")] == []
                assert "Origin" in answer.headers["Vary"]


async def test_the_sites_own_hosts_are_configured(backend: Backend) -> None:
    ours = {"BAPSANG_CORS_ORIGINS": "https://bapsang.example,https://www.bapsang.example"}
    async with open_world(Backend(backend.name, {**backend.environment, **ours})) as world:
        for origin, allowed in (("https://www.bapsang.example", True), ("http://localhost:3000", False)):
            answer = await world.http.get(f"{API}/posts", headers={"Origin": origin})
            assert ("access-control-allow-origin" in answer.headers) == allowed


async def test_tables_columns_and_the_set_of_likes_have_the_names_of_the_data_model(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    assert await world.runtime.redis.smembers(f"like:users:{post_id}") == await world.numbers([alice])
    schema = inspect(world.runtime.database.engine)
    for table, columns in TABLES.items():
        assert set(columns.split()) <= {column["name"] for column in schema.get_columns(table)}, table
    keys = {table: schema.get_pk_constraint(table)["constrained_columns"] for table in TABLES}
    assert {*keys.pop("user_post_likes")} == {"user_id", "post_id"}
    assert [len(key) for key in keys.values()] == [1] * 5
    assert await world.rows("SELECT user_role, user_status FROM users") == [("USER", "ACTIVE")]
