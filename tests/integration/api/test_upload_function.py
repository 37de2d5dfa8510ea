"""The upload function as API Gateway calls it: tokens of the running service, and a real S3 server that takes the upload."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bapsang_api.uploads import aws

from .bucket import Bucket, PhotoWorld, photo
from .world import Person, assert_problem

CONTENT = photo()
AUDIENCE = "bapsang"
BODY = {"fileName": "a.jpg", "contentType": "image/jpeg", "fileSizeByte": len(CONTENT), "category": "POST_IMAGE"}
TEMP = {**BODY, "category": "TEMP_PROFILE_IMAGE"}
Answer = dict[str, Any]


class Gateway:
    """What an HTTP API with a JWT authorizer does: it verifies by the issuer's published keys, then calls the function."""

    def __init__(self, keys: dict[str, Any], issuer: str, audience: str) -> None:
        self.keys, self.issuer, self.audience = keys, issuer, audience

    def call(self, body: Any, token: str | None = None, path: str = "/uploads/presign", **changes: Any) -> Answer:
        context: Answer = {"requestId": "r1", "http": {"method": "POST", "path": path}}
        if path == "/uploads/presign":
            try:
                context["authorizer"] = {"jwt": {"claims": self._claims(token)}}
            except (jwt.PyJWTError, KeyError) as error:
                return {"statusCode": 401, "why": type(error).__name__}
        event = {
            "routeKey": f"POST {path}",
            "headers": {"content-type": "application/json"},
            "body": body if isinstance(body, str) else json.dumps(body),
            "isBase64Encoded": False,
            "requestContext": context,
            **changes,
        }
        return aws.handler(event, None)

    def _claims(self, token: str | None) -> dict[str, Any]:
        key = jwt.PyJWKSet.from_dict(self.keys)[jwt.get_unverified_header(token or "")["kid"]]
        claims: dict[str, Any] = jwt.decode(
            token or "",
            key,
            algorithms=["RS256"],
            issuer=self.issuer,
            audience=self.audience,
            options={"require": ["exp"]},
        )
        return claims


@pytest.fixture
def fresh(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The function in a new container, before this test's bucket."""
    for name in ("BAPSANG_S3_BUCKET", "BAPSANG_S3_REGION"):
        monkeypatch.setenv(name, bucket.environment[name])
    monkeypatch.setenv("BAPSANG_S3_UPLOAD_URL", bucket.environment["BAPSANG_S3_ENDPOINT"])
    aws._signer.cache_clear()
    yield
    aws._signer.cache_clear()


@pytest.fixture
async def gateway(photos: PhotoWorld, fresh: None) -> Gateway:
    documents = [await photos.world.http.get(f"/.well-known/{name}") for name in ("jwks.json", "openid-configuration")]
    keys, configuration = (document.json() for document in documents)
    return Gateway(keys, configuration["issuer"], AUDIENCE)


def _answered(answer: Answer, status: int = 200) -> Any:
    assert answer["statusCode"] == status, answer
    return json.loads(answer["body"])


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


@pytest.mark.parametrize(
    "change",
    [
        {"contentType": "text/html"},
        {"fileSizeByte": 10 * 1024 * 1024 + 1},
        {"fileSizeByte": "1"},
        {"fileSizeByte": True},
        {"category": "AVATAR"},
        {"fileName": ""},
        {"fileName": None, "category": None},
    ],
)
async def test_bad_input_gets_the_service_s_own_error(
    photos: PhotoWorld, gateway: Gateway, change: dict[str, Any]
) -> None:
    alice = await photos.person()
    ours = _answered(gateway.call({**BODY, **change}, alice.token), 400)
    theirs = assert_problem(
        await photos.world.http.post("/uploads/presign", json={**BODY, **change}, headers=alice.headers), 400, "E400-1"
    )
    different = {"requestId", "instance"}
    assert list(ours) == list(theirs)
    assert {k: v for k, v in ours.items() if k not in different} == {
        k: v for k, v in theirs.items() if k not in different
    }


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 5000])
async def test_body_that_is_no_object_is_refused(photos: PhotoWorld, gateway: Gateway, text: str) -> None:
    alice = await photos.person()
    assert _answered(gateway.call(text, alice.token), 400)["code"] == "E400-1"


async def test_other_types_and_large_bodies_are_refused(photos: PhotoWorld, gateway: Gateway) -> None:
    alice = await photos.person()
    assert _answered(gateway.call(BODY, alice.token, headers={"content-type": "text/plain"}), 415)["code"] == "E415-1"
    assert _answered(gateway.call("x" * 20_000, alice.token), 413)["code"] == "E413-1"


async def test_signup_picture_needs_no_token_and_nothing_else_does_without(
    photos: PhotoWorld, gateway: Gateway
) -> None:
    signed = _answered(gateway.call(TEMP, path="/uploads/presign/temp"))
    assert signed["objectKey"].startswith("temp/")
    assert await _put(photos, signed["presignedUrl"]) == 200
    assert _answered(gateway.call(BODY, path="/uploads/presign/temp"), 400)["errors"][0]["field"] == "category"
    assert gateway.call(BODY)["statusCode"] == 401


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


@pytest.mark.parametrize(
    "bad",
    [
        _forged,
        lambda person: _forged(person, exp=int(time.time()) - 60),
        lambda person: jwt.encode(
            jwt.decode(person.token, options={"verify_signature": False}),
            "a" * 64,
            "HS256",
            headers={"kid": jwt.get_unverified_header(person.token)["kid"]},
        ),
        lambda person: person.token[:-4] + "AAAA",
        lambda person: person.refresh_token,
    ],
    ids=["foreign key", "expired", "other algorithm", "broken signature", "refresh token"],
)
async def test_bad_token_never_reaches_the_function(
    photos: PhotoWorld, gateway: Gateway, bad: Callable[[Person], str]
) -> None:
    alice = await photos.person()
    assert gateway.call(BODY, alice.token)["statusCode"] == 200
    assert gateway.call(BODY, bad(alice))["statusCode"] == 401


async def test_tokens_are_for_one_issuer_and_one_audience(photos: PhotoWorld, gateway: Gateway) -> None:
    alice = await photos.person()
    for issuer, audience in (("https://other.example.com", gateway.audience), (gateway.issuer, "other")):
        assert Gateway(gateway.keys, issuer, audience).call(BODY, alice.token)["statusCode"] == 401


async def test_missing_credentials_are_an_outage(
    photos: PhotoWorld, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await photos.person()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    aws._signer.cache_clear()
    answer = gateway.call(BODY, alice.token)
    assert _answered(answer, 503)["code"] == "E503-1"
    assert answer["headers"]["retry-after"] == "1"
