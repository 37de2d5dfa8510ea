"""Pulls that fail, through the real Docker: each says of what kind the failure is."""

from __future__ import annotations

import contextlib
import http.server
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bapsang_local import cluster, registry
from bapsang_local.engine import Engine
from bapsang_local.settings import Settings, from_environment

ERRORS = {429: "TOOMANYREQUESTS", 401: "UNAUTHORIZED", 403: "DENIED", 404: "MANIFEST_UNKNOWN"}
NAME = "busybox:0.0-not-there"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return from_environment({"BAPSANG_HOME": str(tmp_path)})


@contextlib.contextmanager
def answering(status: int) -> Iterator[str]:
    """A registry that answers everything but the greeting with one status; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            greeting = self.path == "/v2/" and status != 401
            body = b"" if greeting else json.dumps({"errors": [{"code": ERRORS[status], "message": "no"}]}).encode()
            self.send_response(200 if greeting else status)
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A registry that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def closed() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("server", "told", "answers"),
    [
        pytest.param(answering(429), "limits how often", True, id="429"),
        pytest.param(answering(401), "wants credentials", True, id="401"),
        pytest.param(answering(403), "wants credentials", True, id="403"),
        pytest.param(answering(404), "does not have it", True, id="404"),
        pytest.param(silent(), "did not answer in time", True, id="silent"),
        pytest.param(closed(), "cannot be reached", False, id="closed"),
    ],
)
def test_a_failed_pull_is_told_by_its_kind(
    engine: Engine,
    settings: Settings,
    server: contextlib.AbstractContextManager[str],
    told: str,
    answers: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Only who never answers is waited for to the end.
    monkeypatch.setattr(registry, "PULL_SECONDS", 2 if "in time" in told else 10)
    with server as address, pytest.raises(registry.PullFailed) as failed:
        registry.pull(engine, f"{address}/{NAME}", settings)
    assert f"{address} {told}" in failed.value.problem
    assert failed.value.answers is answers
    assert "BAPSANG_IMAGES=build" in failed.value.advice


def test_make_down_removes_what_killed_tests_left(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    # A label of our own: other tests' containers carry the real one.
    label = f"dev.bapsang.test={secrets.token_hex(4)}"
    monkeypatch.setattr(cluster, "TEST_LABEL", label)
    listed = ("ps", "--all", "--quiet", "--filter", f"label={label}")
    for _ in range(2):
        engine.docker("run", "--detach", "--label", label, "--network", "none", "busybox:1.37", "sleep", "300")
    assert len(engine.docker(*listed).split()) == 2
    cluster.delete_test_containers(engine)
    assert not engine.docker(*listed).split()
    cluster.delete_test_containers(engine)
