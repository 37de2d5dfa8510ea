"""The S3 server behind the community's own host: published images are for everyone, everything else for the API alone."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import pytest

from bapsang_local import s3, smoke
from bapsang_local.cluster import Cluster
from bapsang_local.settings import HOST, Settings
from bapsang_local.smoke import Answer, Client

from .conftest import Community, People, eventually

A_DAY = "public, max-age=86400"


def put(cluster: Cluster, settings: Settings, key: str) -> None:
    """Store an object with the server's own access key, through the ingress."""
    host, target, body = f"{HOST}:{settings.ingress_port}", f"/{s3.BUCKET}/{key}", b"not much"
    headers = s3.signed(s3.credentials(cluster), s3.REGION, host, "PUT", target, body, datetime.now(UTC))
    more = {"Content-Type": "image/png", "Cache-Control": A_DAY}
    answer = Client(settings.ingress_port).call("PUT", target, body, **headers, **more)
    assert answer.status == 200, answer.body


def anonymous(settings: Settings, method: str, target: str, body: bytes | None = None) -> Answer:
    return Client(settings.ingress_port).call(method, f"/{s3.BUCKET}{target}", body)


@pytest.fixture(scope="module")
def name(cluster: Cluster, settings: Settings) -> str:
    """The name of an object that is both published and an upload of somebody's."""
    found = f"{secrets.token_hex(8)}.png"
    for folder in ("public", "users/someone"):
        put(cluster, settings, f"{folder}/{found}")
    return found


def test_a_published_image_loads_for_everyone_and_is_cached_for_good(settings: Settings, name: str) -> None:
    answer = anonymous(settings, "GET", f"/public/{name}")
    assert (answer.status, answer.body) == (200, b"not much")
    assert answer.headers["cache-control"] == A_DAY
    assert answer.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/users/someone/{}"),
        ("HEAD", "/users/someone/{}"),
        ("GET", "/public/../users/someone/{}"),
        ("GET", "/public/%2e%2e/users/someone/{}"),
        ("GET", ""),
        ("GET", "/"),
        ("GET", "/?list-type=2&prefix=public/"),
        ("GET", "?policy"),
        ("DELETE", "/public/{}"),
        ("PUT", "/public/{}"),
        ("PUT", "/public/new-{}"),
        ("PUT", "?policy"),
    ],
)
def test_everything_else_is_refused_to_strangers(settings: Settings, name: str, method: str, target: str) -> None:
    body = b"mine now" if method == "PUT" else None
    assert anonymous(settings, method, target.format(name), body).status == 403
    assert anonymous(settings, "GET", f"/public/{name}").body == b"not much"


def test_pages_of_development_may_upload_and_those_of_others_get_no_cors_headers(settings: Settings, name: str) -> None:
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}

    def allowed(method: str, target: str, origin: str, **headers: str) -> str | None:
        client = Client(settings.ingress_port)
        answer = client.call(method, f"/{s3.BUCKET}{target}", None, Origin=origin, **headers)
        return answer.headers.get("access-control-allow-origin")

    for origin in (settings.url, *s3.DEVELOPMENT_ORIGINS):
        assert allowed("OPTIONS", "/users/someone/new.png", origin, **asked) == origin
        assert allowed("GET", f"/public/{name}", origin) == origin
    for other in ("https://evil.example", "http://localhost:3001", "null"):
        assert allowed("OPTIONS", "/users/someone/new.png", other, **asked) is None
        assert allowed("GET", f"/public/{name}", other) is None


@pytest.mark.parametrize(
    ("content", "content_type"),
    [(smoke.photo() + b"!", "image/png"), (smoke.photo()[:-1], "image/png"), (smoke.photo(), "image/webp")],
    ids=["too long", "too short", "another type"],
)
def test_an_upload_is_of_just_the_length_and_type_that_were_asked_for(
    settings: Settings, people: People, content: bytes, content_type: str
) -> None:
    allowed = smoke.presign(people.join(), len(smoke.photo()))
    assert smoke.put(settings.ingress_port, allowed["presignedUrl"], content, content_type).status == 403
    assert smoke.put(settings.ingress_port, allowed["presignedUrl"], smoke.photo()).status == 200


def test_an_upload_is_seen_by_nobody_before_it_is_published(settings: Settings, people: People) -> None:
    author = people.join()
    key = smoke.upload(author, smoke.photo())
    assert anonymous(settings, "GET", f"/{key}").status == 403
    post = {"title": "저녁", "content": "비빔밥", "postImageKey": key}
    answer = author.call("POST", "/api/v1/posts", post)
    assert answer.status == 201, answer.body
    url = smoke.photo_url(author, answer.json())
    assert url.startswith(f"{settings.url}/{s3.BUCKET}/public/")
    assert smoke.load(settings.ingress_port, url).headers["content-type"] == "image/webp"
    assert anonymous(settings, "GET", f"/{key}").status == 403
    assert people.join().call("POST", "/api/v1/posts", post).status == 400, "the upload is another user's"


def test_a_community_waits_for_its_access_key_and_then_takes_uploads(keyless: Community, settings: Settings) -> None:
    community = keyless
    told = eventually(lambda: _missing(community), 90, what="a condition names the Secret")
    assert "spec.storage.secretName" in told
    assert '"none-such"' in told
    community.patch({"storage": {"secretName": s3.COMMUNITY_SECRET}})
    community.wait_ready()
    author = People(settings.ingress_port, community.host).join()
    post = {"title": "아침", "content": "콩나물국", "postImageKey": smoke.upload(author, smoke.photo())}
    url = smoke.photo_url(author, author.call("POST", "/api/v1/posts", post).json())

    community.run_now("image-collector")
    assert smoke.load(settings.ingress_port, url).status == 200, "what is used stays"


def _missing(community: Community) -> str:
    condition = community.condition("Degraded")
    return str(condition["message"]) if condition.get("reason") == "SecretMissing" else ""
