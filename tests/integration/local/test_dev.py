"""`make dev`: the API with an S3 server of its own, to which a web client at another origin uploads, without cluster and Docker."""

from __future__ import annotations

import configparser
import http.client
import io
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.waiting import eventually

from bapsang_local import mailbox, s3
from bapsang_local.settings import ROOT

PAGE = "http://localhost:3000"
PATIENCE = 60
OWN = {
    **{"BAPSANG_S3_BUCKET": "elsewhere", "BAPSANG_S3_ENDPOINT": "http://127.0.0.1:9"},
    **{"AWS_ACCESS_KEY_ID": "own", "AWS_SECRET_ACCESS_KEY": "own"},
    **{"BAPSANG_SMTP_URL": "smtp://127.0.0.1:9?tls=none", "BAPSANG_MAIL_FROM": "me@example.com"},
}
BARE = {name: text for name, text in os.environ.items() if not name.startswith(("BAPSANG_", "AWS_", "S3_"))}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cors(self) -> dict[str, str]:
        return {name: text for name, text in self.headers.items() if name.startswith("access-control-")}


def call(port: int, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, target, body, {name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        named = {name.lower(): text for name, text in answer.getheaders()}
        return Answer(answer.status, named, answer.read())
    finally:
        connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Dev:
    """A running `make dev`, without make."""

    folder: Path
    process: subprocess.Popen[bytes]
    port: int
    s3_port: int
    mail_port: int

    def send(self, method: str, path: str, body: Any = None, token: str = "") -> Answer:
        headers = {"Origin": PAGE, "Content_Type": "application/json"}
        headers |= {"Authorization": token} if token else {}
        return call(self.port, method, f"/api/v1{path}", json.dumps(body).encode() if body else None, **headers)

    def join(self) -> str:
        """Sign up somebody new and return what they send as Authorization."""
        tag = secrets.token_hex(4)
        who = {"email": f"{tag}@example.com", "password": "Bapsang-2026!"}
        assert self.send("POST", "/auth/users", {**who, "nickname": tag}).status == 201
        return self.send("POST", "/auth/tokens", who).headers["authorization"]

    def presign(self, token: str, photo: bytes) -> Any:
        wanted = {
            "fileName": "밥.jpg",
            "contentType": "image/jpeg",
            "fileSizeByte": len(photo),
            "category": "POST_IMAGE",
        }
        answer = self.send("POST", "/uploads/presign", wanted, token)
        assert answer.status == 200, answer.body
        return answer.json

    def bucket(self, method: str, key: str, *, origin: str = PAGE, **headers: str) -> Answer:
        return call(self.s3_port, method, f"/{s3.BUCKET}/{key}", Origin=origin, **headers)

    def preflight(self, key: str, *, origin: str = PAGE, method: str = "PUT", wants: str = "content-type") -> Answer:
        asked = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": wants}
        return self.bucket("OPTIONS", key, origin=origin, **asked)

    def put(self, url: str, content: bytes) -> Answer:
        base = f"http://127.0.0.1:{self.s3_port}"
        assert url.startswith(f"{base}/{s3.BUCKET}/")
        return call(self.s3_port, "PUT", url.removeprefix(base), content, Content_Type="image/jpeg", Origin=PAGE)

    def publish(self, name: str, content: bytes) -> None:
        """Store an object with the server's own access key."""
        parser = configparser.ConfigParser()
        parser.read(self.folder / "bapsang.objects/credentials")
        given, target = s3.Credentials(*parser["default"].values()), f"/{s3.BUCKET}/public/{name}"
        host = f"127.0.0.1:{self.s3_port}"
        headers = s3.signed(given, s3.REGION, host, "PUT", target, content, datetime.now(UTC))
        assert call(self.s3_port, "PUT", target, content, **headers).status == 200

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def developing(folder: Path, **environment: str) -> Iterator[Dev]:
    port, s3_port, mail_port = (free_port() for _ in range(3))
    paths = os.pathsep.join([str(ROOT / "manifests/local"), str(ROOT / "api"), str(ROOT / "operator")])
    process = subprocess.Popen(
        [sys.executable, "-m", "bapsang_local", "dev", str(port), str(s3_port), str(mail_port)],
        env={**BARE, "PYTHONPATH": paths, "BAPSANG_ADMIN_PORT": "0", **environment},
        cwd=folder,
    )
    try:
        eventually(lambda: process.poll() is not None or listens(port), PATIENCE, "it listens")
        assert process.poll() is None
        yield Dev(folder, process, port, s3_port, mail_port)
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with developing(tmp_path_factory.mktemp("dev")) as running:
        yield running


def photo() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "brown").save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("origin", [*s3.DEVELOPMENT_ORIGINS, "http://127.0.0.1:{port}", "http://localhost:{port}"])
def test_pages_of_development_and_of_the_api_may_upload_and_read(dev: Dev, origin: str) -> None:
    origin = origin.format(port=dev.port)
    asked = dev.preflight("users/a/post/b.jpg", origin=origin)
    assert asked.status == 200
    assert asked.cors["access-control-allow-origin"] == origin
    assert {"PUT", "GET"} <= {*asked.cors["access-control-allow-methods"].split(", ")}
    assert asked.cors["access-control-allow-headers"] == "content-type"
    assert dev.bucket("GET", "public/absent.jpg", origin=origin).cors["access-control-allow-origin"] == origin


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:30001", "https://localhost:3000", "null"])
def test_a_page_elsewhere_cannot_use_the_bucket(dev: Dev, origin: str) -> None:
    for answer in (
        dev.preflight("users/a/post/b.jpg", origin=origin),
        dev.preflight("public/a.jpg", origin=origin, method="GET"),
        dev.bucket("GET", "public/a.jpg", origin=origin),
    ):
        assert answer.status in {403, 404}
        assert answer.cors == {}


def test_a_page_may_send_what_the_contract_says_and_nothing_else(dev: Dev) -> None:
    for spoiled in ({"method": "DELETE"}, {"method": "POST"}, {"wants": "content-type, x-amz-acl"}):
        assert dev.preflight("users/a/post/b.jpg", **spoiled).cors == {}


def test_strangers_read_published_photos_and_nothing_else(dev: Dev) -> None:
    token, content = dev.join(), photo()
    signed = dev.presign(token, content)
    stored = dev.put(signed["presignedUrl"], content)
    assert (stored.status, stored.cors["access-control-allow-origin"]) == (200, PAGE)
    dev.publish("a.jpg", content)
    read = dev.bucket("GET", "public/a.jpg")
    assert (read.status, read.body, read.cors["access-control-allow-origin"]) == (200, content, PAGE)
    assert dev.bucket("GET", signed["objectKey"]).status == 403
    assert dev.bucket("GET", "").status == 403
    assert dev.bucket("PUT", "public/a.jpg").status == 403
    assert dev.bucket("DELETE", "public/a.jpg").status == 403


def test_photos_outlive_a_restart_and_the_server_ends_with_the_api(tmp_path: Path) -> None:
    content = photo()
    with developing(tmp_path) as first:
        signed = first.presign(first.join(), content)
        key = signed["objectKey"]
        assert first.put(signed["presignedUrl"], content).status == 200
        assert first.end(signal.SIGINT) == 0
        eventually(lambda: not listens(first.s3_port), PATIENCE, "the S3 server has ended after Ctrl-C")
    (given,) = (tmp_path / "bapsang.objects").glob("credentials")
    assert given.stat().st_mode & 0o077 == 0
    access = given.read_text()
    with developing(tmp_path) as second:
        again = second.presign(second.join(), content)
        assert f"/{s3.BUCKET}/users/" in again["presignedUrl"]
        assert second.put(again["presignedUrl"], content).status == 200
        assert (tmp_path / "bapsang.objects/objects" / s3.BUCKET / key).read_bytes() == content
        assert second.bucket("GET", key).status == 403
        assert given.read_text() == access
        second.end(signal.SIGKILL)
        eventually(lambda: not listens(second.s3_port), PATIENCE, "the S3 server has ended with a killed API")


def test_letters_go_to_a_mailbox_that_ends_with_the_api(tmp_path: Path) -> None:
    with developing(tmp_path) as running:
        page = call(running.mail_port, "GET", "/")
        assert (page.status, b"Mailpit" in page.body) == (200, True)
        running.join()

        def letters() -> Any:
            return call(running.mail_port, "GET", "/api/v1/messages").json["messages"]

        (letter,) = eventually(letters, PATIENCE, "the letter that verifies an address")
        assert letter["From"]["Address"] == mailbox.SENDER
        running.end(signal.SIGKILL)
        eventually(lambda: not listens(running.mail_port), PATIENCE, "the mailbox has ended with a killed API")


def test_a_bucket_and_a_mail_server_of_the_developers_own_are_taken_instead(tmp_path: Path) -> None:
    with developing(tmp_path, **OWN) as running:
        url: str = running.presign(running.join(), photo())["presignedUrl"]
        assert url.startswith("http://127.0.0.1:9/elsewhere/")
        assert not listens(running.s3_port)
        assert not listens(running.mail_port)
        assert not (tmp_path / "bapsang.objects").exists()


def test_what_is_set_for_aws_is_about_other_buckets(tmp_path: Path) -> None:
    others = {"AWS_PROFILE": "none-such", "AWS_SESSION_TOKEN": "stale", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    with developing(tmp_path, **others, BAPSANG_CORS_ORIGINS="https://app.example.com") as running:
        content = photo()
        signed = running.presign(running.join(), content)
        assert running.put(signed["presignedUrl"], content).status == 200
        allowed = running.preflight("users/a", origin="https://app.example.com").cors
        assert allowed["access-control-allow-origin"] == "https://app.example.com"
        assert running.preflight("users/a", origin=PAGE).cors == {}
