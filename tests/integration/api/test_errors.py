"""The one error body for everything that can go wrong, CORS, and what is answered while a dependency is down."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.http.gateway import BODY_LIMIT

from .conformance import document
from .world import API, PASSWORD, Backend, World, assert_problem, eventually, open_world

NOWHERE = "127.0.0.1:1"  # nothing listens there


async def test_unknown_path_is_404(file_world: World, subtests: pytest.Subtests) -> None:
    for path in ("/", "/nope", f"{API}/nope", f"{API}/posts/", f"{API}/posts/x/y", "/API/v1/posts"):
        with subtests.test(path=path):
            assert_problem(await file_world.http.get(path), 404, "E404-1")


async def test_wrong_method_is_405_and_says_which_are_right(file_world: World, subtests: pytest.Subtests) -> None:
    for method, path in (("DELETE", "/posts"), ("POST", "/health"), ("GET", "/auth/users")):
        with subtests.test(method=method, path=path):
            answer = await file_world.http.request(method, f"{API}{path}")
            assert_problem(answer, 405, "E405-1")
            assert answer.headers["Allow"]


async def test_body_that_is_not_json_is_415(file_world: World, subtests: pytest.Subtests) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"):
        with subtests.test(content_type=content_type):
            answer = await file_world.http.post(
                f"{API}/auth/tokens", content=b"a=b", headers={"Content-Type": content_type}
            )
            assert_problem(answer, 415, "E415-1")


async def test_malformed_json_is_400(file_world: World, subtests: pytest.Subtests) -> None:
    for body in (
        b"{",
        b"",
        b"[]",
        b"null",
        b'{"email":',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"email":' + b"9" * 5000 + b"}",
    ):
        with subtests.test(body=body):
            headers = {"Content-Type": "application/json; charset=utf-8"}
            assert_problem(
                await file_world.http.post(f"{API}/auth/tokens", content=body, headers=headers), 400, "E400-1"
            )


async def test_body_over_the_limit_is_413_declared_or_streamed(file_world: World) -> None:
    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT // 65536 + 1):
            yield b" " * 65536

    headers = {"Content-Type": "application/json"}
    declared = await file_world.http.post(f"{API}/auth/tokens", content=b" " * (BODY_LIMIT + 1), headers=headers)
    assert_problem(declared, 413, "E413-1")
    assert_problem(await file_world.http.post(f"{API}/auth/tokens", content=streamed(), headers=headers), 413, "E413-1")
    login = {"email": "nobody@example.com", "password": PASSWORD, "pad": "x" * (BODY_LIMIT - 200)}
    assert_problem(await file_world.http.post(f"{API}/auth/tokens", json=login), 401, "E401-1")


async def test_a_bug_is_500_with_the_request_id_and_no_detail(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.change("DROP TABLE post_contents")
    with caplog.at_level(logging.ERROR):
        answer = await world.http.get(f"{API}/posts?tag=집밥", headers={"X-Request-ID": "abc-123"})
    body = assert_problem(answer, 500, "E500-1")
    assert body["requestId"] == "abc-123"
    assert "post_contents" not in answer.text
    assert [record.message for record in caplog.records] == ["http.unhandled"]


async def test_a_request_id_that_could_harm_a_log_is_replaced(file_world: World, subtests: pytest.Subtests) -> None:
    for given in ("x" * 65, "a b", '"', "ü"):
        with subtests.test(given=given):
            answer = await file_world.http.get(f"{API}/health", headers={"X-Request-ID": given.encode()})
            assert answer.headers["X-Request-ID"] != given
            assert len(answer.headers["X-Request-ID"]) == 26


async def test_database_down_is_503_with_retry_after(signing_key_file: object) -> None:
    environment = {
        "BAPSANG_DATABASE_URL": f"mysql+pymysql://nobody:secret@{NOWHERE}/bapsang",
        "BAPSANG_REDIS_URL": f"redis://{NOWHERE}/0",
        "BAPSANG_SIGNING_KEY_FILE": str(signing_key_file),
        "BAPSANG_RATE_LIMITS": "off",
        "BAPSANG_HOLD_POSTS": "off",
    }
    async with open_world(Backend("nothing", environment)) as world:
        for request in (
            world.http.get(f"{API}/posts"),
            world.http.get(f"{API}/auth/email", params={"email": "a@example.com"}),
            world.http.post(f"{API}/auth/tokens", json={"email": "a@example.com", "password": PASSWORD}),
        ):
            answer = await request
            assert_problem(answer, 503, "E503-1")
            assert answer.headers["Retry-After"] == "1"
            assert "secret" not in answer.text
        assert (await world.http.get(f"{API}/health")).text == "OK"


@pytest.mark.usefixtures("usual_passwords")
async def test_login_flood_is_answered_503_and_leaves_reading_alone(world: World) -> None:
    login = {"email": "nobody@example.com", "password": PASSWORD}
    flood = [asyncio.create_task(world.http.post(f"{API}/auth/tokens", json=login)) for _ in range(60)]
    assert (await world.http.get(f"{API}/posts")).status_code == 200
    statuses = [(await task).status_code for task in flood]
    assert set(statuses) == {401, 503}


async def test_openapi_document_is_served_at_both_paths(file_world: World) -> None:
    at_root = await file_world.http.get("/openapi.json")
    assert at_root.json() == (await file_world.http.get(f"{API}/openapi.json")).json() == document()


async def test_docs_page_needs_no_other_host(file_world: World) -> None:
    page = (await file_world.http.get("/docs")).text
    assert "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/{asset}" in page
        assert len((await file_world.http.get(f"/docs/{asset}")).content) > 10_000


async def test_public_keys_verify_what_login_hands_out(file_world: World) -> None:
    alice = await file_world.person()
    configuration = (await file_world.http.get("/.well-known/openid-configuration")).json()
    assert configuration["issuer"] == "http://localhost:8000"
    assert configuration["jwks_uri"] == "http://localhost:8000/.well-known/jwks.json"
    (key,) = (await file_world.http.get("/.well-known/jwks.json")).json()["keys"]
    assert jwt.get_unverified_header(alice.token) == {"alg": "RS256", "typ": "JWT", "kid": key["kid"]}
    claims = jwt.decode(alice.token, jwt.PyJWK(key), ["RS256"], audience="bapsang", options={"verify_iat": False})
    assert set(claims) == {"iss", "aud", "sub", "role", "sid", "num", "iat", "nbf", "exp", "jti"}
    assert (claims["sub"], claims["role"]) == (alice.user_id, "USER")
    assert claims["exp"] - claims["iat"] == 1800


async def test_a_rotation_of_keys_logs_nobody_out(files: Backend, tmp_path: Path) -> None:
    async with open_world(files) as before:
        alice = await before.person()
    both = _with_a_new_key(Path(files.environment["BAPSANG_SIGNING_KEY_FILE"]), tmp_path / "keys.pem")
    async with open_world(Backend("rotated", {**files.environment, "BAPSANG_SIGNING_KEY_FILE": both})) as after:
        headers = {"Authorization": f"Bearer {alice.token}"}
        assert (await after.http.get(f"{API}/users/me", headers=headers)).status_code == 200
        keys = (await after.http.get("/.well-known/jwks.json")).json()["keys"]
        token, _ = await after.log_in(alice.email)
        assert [jwt.get_unverified_header(signed)["kid"] for signed in (token, alice.token)] == [
            key["kid"] for key in keys
        ]


def _with_a_new_key(present: Path, both: Path) -> str:
    new = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    both.write_bytes(new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + present.read_bytes())
    return str(both)


async def test_a_process_that_cannot_read_revocations_is_not_ready_until_it_can(
    file_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: RevokedSessions) -> None:
        raise ValueError("a bug")

    async def ready() -> bool:
        return (await file_world.admin.get("/readyz")).status_code == 200

    async def unready() -> bool:
        return not await ready()

    assert await ready()
    with monkeypatch.context() as patch:
        patch.setattr(RevokedSessions, "refresh", fail)
        await eventually(unready)
    await eventually(ready)
    metrics = (await file_world.admin.get("/metrics")).text
    assert 'bapsang_task_failures_total{task="revocations"}' in metrics
    assert (await file_world.admin.get("/livez")).status_code == 200
