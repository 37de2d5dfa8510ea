"""The image that Tilt runs: a file put into a running, read-only container starts the program again; jobs run once as ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bapsang_local import shell
from bapsang_local.engine import Engine
from bapsang_local.settings import ROOT

IMAGE = "bapsang/api-reloading:test"
RELOAD_SECONDS = 60


@pytest.fixture(scope="module")
def image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Build the image as the Tiltfile describes it."""
    dockerfile: Path = tmp_path_factory.mktemp("reloading") / "Dockerfile"
    dockerfile.write_text((ROOT / "api/Dockerfile").read_text() + (ROOT / "manifests/local/dev.Dockerfile").read_text())
    engine.docker(
        "build",
        "--force-rm",
        "--tag",
        IMAGE,
        "--build-arg",
        "PROGRAM=bapsang-api",
        "--file",
        dockerfile,
        ROOT,
        timeout=600,
    )
    yield IMAGE
    engine.docker("image", "rm", "--force", IMAGE)


def test_a_saved_file_starts_the_program_again(engine: Engine, image: str) -> None:
    run = [
        "run",
        "--detach",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--env",
        "BAPSANG_REDIS_URL=redis://127.0.0.1:6379/0",
        image,
    ]
    container = engine.docker(*run, "serve", "--host", "127.0.0.1", "--port", "8000").strip()
    try:
        first = _starts(engine, container, more_than=0)
        engine.docker("exec", container, "sh", "-c", "echo '# changed' >> /app/bapsang_api/app.py")
        assert _starts(engine, container, more_than=first) > first
    finally:
        engine.docker("rm", "--force", "--volumes", container)


def test_a_job_runs_once_and_ends(engine: Engine, image: str) -> None:
    engine.docker("run", "--rm", "--read-only", "--tmpfs", "/tmp", image, "migrate", timeout=RELOAD_SECONDS)


def _starts(engine: Engine, container: str, *, more_than: int) -> int:
    """Wait until the program was started more often than that, and return how often."""
    deadline = time.monotonic() + RELOAD_SECONDS
    while True:
        logs = shell.attempt(["docker", "logs", container], env=engine.environment())
        found = (logs.stdout + logs.stderr).count(b'"serve.ready"')
        if found > more_than or time.monotonic() > deadline:
            return found
        time.sleep(0.3)
