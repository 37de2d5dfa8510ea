"""The S3 server behind the community's own host: published images are for everyone, everything else for the API alone."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import pytest

from bapsang_local import s3
from bapsang_local.cluster import Cluster
from bapsang_local.settings import HOST, Settings
from bapsang_local.smoke import Answer, Client

FOREVER = "public, max-age=31536000, immutable"


def put(cluster: Cluster, settings: Settings, key: str) -> None:
    """Store an object with the server's own access key, through the ingress."""
    host, target, body = f"{HOST}:{settings.ingress_port}", f"/{s3.BUCKET}/{key}", b"not much"
    headers = s3.signed(s3.credentials(cluster), s3.REGION, host, "PUT", target, body, datetime.now(UTC))
    more = {"Content-Type": "image/png", "Cache-Control": FOREVER}
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
    assert answer.headers["cache-control"] == FOREVER
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
