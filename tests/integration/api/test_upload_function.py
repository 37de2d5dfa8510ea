"""The presign function as API Gateway calls it: tokens of the running service, and a real S3 server that takes the upload."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bapsang_api.uploads import presign_function

from .bucket import Bucket, PhotoWorld, open_photo_world, photo
from .world import Backend, Person, assert_problem

CONTENT = photo()
BODY = {"fileName": "a.jpg", "contentType": "image/jpeg", "fileSizeByte": len(CONTENT), "category": "POST_IMAGE"}
TEMP = {**BODY, "category": "TEMP_PROFILE_IMAGE"}
Answer = dict[str, Any]


class Gateway:
    """What an HTTP API without an authorizer does: it hands the request to the function (payload version 2.0)."""

    def call(self, body: Any, token: str | None = None, path: str = "/uploads/presign", **changes: Any) -> Answer:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        event = {
            "routeKey": f"POST {path}",
            "headers": headers,
            "body": body if isinstance(body, str) else json.dumps(body),
            "isBase64Encoded": False,
            "requestContext": {"requestId": "r1", "http": {"method": "POST", "path": path}},
            **changes,
        }
        return presign_function.handler(event, None)


@dataclass(frozen=True)
class Site:
    """The bucket of static files behind its CDN: the issuer's address, and the folder that it shows."""

    issuer: str
    folder: Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingTCPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Site(f"http://127.0.0.1:{server.server_address[1]}", folder)
        server.shutdown()


@pytest.fixture
async def photos(backend: Backend, bucket: Bucket, site: Site) -> AsyncIterator[PhotoWorld]:
    """A running service whose tokens name the site as their issuer, and whose documents were published there."""
    async with open_photo_world(backend, bucket, BAPSANG_ISSUER=site.issuer) as opened:
        (site.folder / ".well-known").mkdir()
        for name in ("openid-configuration", "jwks.json"):
            answer = await opened.world.http.get(f"/.well-known/{name}")
            (site.folder / ".well-known" / name).write_bytes(answer.content)
        yield opened


@pytest.fixture
def gateway(bucket: Bucket, site: Site, photos: PhotoWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """The function in a new container."""
    environment = {**bucket.environment, "BAPSANG_ISSUER": site.issuer, "BAPSANG_AUDIENCE": "bapsang"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _renew()
    yield Gateway()
    _renew()


def _renew() -> None:
    presign_function._signer.cache_clear()
    presign_function._bearer.cache_clear()


def _answered(answer: Answer, status: int = 200) -> Any:
    assert answer["statusCode"] == status, answer
    return json.loads(answer["body"])


def _same(body: Answer) -> Answer:
    """Return of an error body what does not depend on the request."""
    return {name: value for name, value in body.items() if name not in {"requestId", "instance"}}


async def _put(photos: PhotoWorld, url: str, content: bytes = CONTENT, kind: str = "image/jpeg") -> int:
    return (await photos.s3.put(url, content=content, headers={"Content-Type": kind})).status_code


async def test_upload_signed_by_the_function_is_one_that_the_service_shows(
    photos: PhotoWorld, gateway: Gateway
) -> None:
    alice = await photos.person()
    signed = _answered(gateway.call(BODY, alice.token))
    assert signed["objectKey"].startswith(f"users/{alice.user_id}/post/")
    assert await _put(photos, signed["presignedUrl"]) == 200
    detail = await photos.write_post(alice, postImageKey=signed["objectKey"])
    assert await photos.loads(detail["contentDetail"]["postImageUrl"])


async def test_function_and_service_answer_alike(photos: PhotoWorld, gateway: Gateway) -> None:
    alice = await photos.person()
    ours = _answered(gateway.call(BODY, alice.token))
    theirs = (await alice.send("POST", "/uploads/presign", json=BODY)).json()
    assert list(ours) == list(theirs)
    assert ours["contentType"] == theirs["contentType"]
    parameters = [set(httpx.URL(one["presignedUrl"]).params) for one in (ours, theirs)]
    assert parameters[0] == parameters[1]
    assert httpx.URL(ours["presignedUrl"]).params["X-Amz-SignedHeaders"] == "content-length;content-type;host"


async def test_bad_input_gets_the_service_s_own_error(photos: PhotoWorld, gateway: Gateway) -> None:
    alice = await photos.person()
    changes: list[dict[str, Any]] = [
        {"contentType": "text/html"},
        {"fileSizeByte": 10 * 1024 * 1024 + 1},
        {"fileSizeByte": "1"},
        {"fileSizeByte": True},
        {"category": "AVATAR"},
        {"fileName": ""},
        {"fileName": "\u3164\u200b"},
        {"fileName": "각" * 256},
        {"fileName": "a" + "\u0301" * 31},
        {"fileName": None, "category": None},
    ]
    for change in changes:
        body = {**BODY, **change}
        ours = _answered(gateway.call(body, alice.token), 400)
        theirs = assert_problem(
            await photos.world.http.post("/uploads/presign", json=body, headers=alice.headers), 400, "E400-1"
        )
        assert list(ours) == list(theirs)
        assert _same(ours) == _same(theirs)


async def test_body_that_is_no_object_is_refused(photos: PhotoWorld, gateway: Gateway) -> None:
    alice = await photos.person()
    for text in ("", "{", "[]", "null", "[" * 5000, f'{{"fileSizeByte": {"9" * 5000}}}'):
        assert _answered(gateway.call(text, alice.token), 400)["code"] == "E400-1"


async def test_other_types_and_large_bodies_are_refused(photos: PhotoWorld, gateway: Gateway) -> None:
    alice = await photos.person()
    assert (
        _answered(
            gateway.call(BODY, headers={"authorization": f"Bearer {alice.token}", "content-type": "text/plain"}), 415
        )["code"]
        == "E415-1"
    )
    assert _answered(gateway.call("x" * 20_000, alice.token), 413)["code"] == "E413-1"


async def test_signup_picture_needs_no_token_and_nothing_else_does_without(
    photos: PhotoWorld, gateway: Gateway
) -> None:
    signed = _answered(gateway.call(TEMP, path="/uploads/presign/temp"))
    assert signed["objectKey"].startswith("temp/")
    assert await _put(photos, signed["presignedUrl"]) == 200
    assert _answered(gateway.call(BODY, path="/uploads/presign/temp"), 400)["errors"][0]["field"] == "category"
    assert _answered(gateway.call(BODY), 401)["code"] == "T001"


async def test_signed_upload_binds_length_and_type(photos: PhotoWorld, gateway: Gateway) -> None:
    alice = await photos.person()
    url = _answered(gateway.call(BODY, alice.token))["presignedUrl"]
    assert await _put(photos, url, CONTENT + b"x") == 403
    assert await _put(photos, url, kind="image/png") == 403
    assert await _put(photos, url.replace(alice.user_id, "01JD0000000000000000000000")) == 403


def _forged(person: Person, **changes: Any) -> str:
    """Return the person's token with other claims, signed by a key that is not ours but bears our key's name."""
    claims = jwt.decode(person.token, options={"verify_signature": False}) | changes
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(claims, key, "RS256", headers={"kid": jwt.get_unverified_header(person.token)["kid"]})


BAD: dict[str, tuple[Callable[[Person], str | None], str]] = {
    "no token": (lambda _: None, "T001"),
    "foreign key": (_forged, "T003"),
    "foreign key, expired": (lambda person: _forged(person, exp=int(time.time()) - 60), "T003"),
    "other algorithm": (
        lambda person: jwt.encode(
            jwt.decode(person.token, options={"verify_signature": False}),
            "a" * 64,
            "HS256",
            headers={"kid": jwt.get_unverified_header(person.token)["kid"]},
        ),
        "T003",
    ),
    "broken signature": (lambda person: person.token[:-4] + "AAAA", "T003"),
    "refresh token": (lambda person: person.refresh_token, "T003"),
}


async def test_bad_token_gets_the_service_s_own_error(photos: PhotoWorld, gateway: Gateway) -> None:
    alice = await photos.person()
    for what, (bad, code) in BAD.items():
        token = bad(alice)
        ours = gateway.call(BODY, token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        theirs = await photos.world.http.post("/uploads/presign", json=BODY, headers=headers)
        assert _answered(ours, 401)["code"] == code, what
        assert _same(_answered(ours, 401)) == _same(assert_problem(theirs, 401, code)), what
        for name in ("content-type", "www-authenticate", "cache-control"):
            assert ours["headers"][name] == theirs.headers[name], (what, name)


async def test_expired_token_is_told_so_that_the_client_refreshes_and_goes_on(
    photos: PhotoWorld, gateway: Gateway
) -> None:
    photos.world.clock.passed = timedelta(minutes=-31)
    alice = await photos.person()
    photos.world.clock.passed = timedelta()
    # Whatever else is wrong with the request: refreshed, it is told the rest.
    for body in (BODY, "{", {**BODY, "category": "AVATAR"}):
        assert _answered(gateway.call(body, alice.token), 401)["code"] == "T002"
    cookie = {"Cookie": f"refreshToken={alice.refresh_token}"}
    refreshed = await photos.world.http.post("/api/v1/auth/refresh", headers=cookie)
    token = refreshed.headers["authorization"].removeprefix("Bearer ")
    assert _answered(gateway.call(BODY, token))["objectKey"].startswith(f"users/{alice.user_id}/post/")


@pytest.mark.parametrize("change", [{"BAPSANG_AUDIENCE": "other"}, {"BAPSANG_ISSUER": "{site}/"}])
async def test_tokens_are_for_one_issuer_and_one_audience(
    photos: PhotoWorld, gateway: Gateway, site: Site, monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    """The other issuer publishes the very same keys."""
    alice = await photos.person()
    assert _answered(gateway.call(BODY, alice.token))
    for name, value in change.items():
        monkeypatch.setenv(name, value.format(site=site.issuer))
    _renew()
    assert _answered(gateway.call(BODY, alice.token), 401)["code"] == "T003"


async def test_issuer_without_keys_is_an_outage_and_nobody_s_logout(
    photos: PhotoWorld, gateway: Gateway, site: Site
) -> None:
    alice = await photos.person()
    document = site.folder / ".well-known" / "jwks.json"
    whole = document.read_bytes()
    for published in (None, "", "{}", '{"keys": [{}]}', "[]"):
        if published is None:
            document.unlink()
        else:
            document.write_text(published)
        answer = gateway.call(BODY, alice.token)
        assert _answered(answer, 503)["code"] == "E503-1", published
        assert answer["headers"]["retry-after"] == "1"
    document.write_bytes(whole)
    assert _answered(gateway.call(BODY, alice.token))


async def test_missing_credentials_are_an_outage(
    photos: PhotoWorld, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await photos.person()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    _renew()
    answer = gateway.call(BODY, alice.token)
    assert _answered(answer, 503)["code"] == "E503-1"
    assert answer["headers"]["retry-after"] == "1"
