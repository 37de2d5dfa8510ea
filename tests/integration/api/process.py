"""The real process, for tests: `bapsang-api` run to its end or serving."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.waiting import eventually

PROGRAM = (sys.executable, "-m", "bapsang_api")
BARE = {name: value for name, value in os.environ.items() if not name.startswith("BAPSANG_")}


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], env={**BARE, **environment}, cwd=cwd, capture_output=True, text=True, timeout=300
    )


def log_lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


class Service:
    """A running `bapsang-api serve`."""

    def __init__(self, process: subprocess.Popen[str], until: str) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        ready = eventually(lambda: self.said(until), seconds=60.0)  # a busy machine takes long to import
        self.url, self.admin = (f"http://127.0.0.1:{ready[name]}" for name in ("port", "admin_port"))

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(json.loads(line))

    def said(self, event: str) -> dict[str, Any] | None:
        assert self.process.poll() is None or event not in {"serve.listening", "serve.ready"}, self.log
        return next((line for line in self.log if line["event"] == event), None)

    def wait(self, seconds: float) -> int:
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code


@contextlib.contextmanager
def serving(cwd: Path, *arguments: str, until: str = "serve.ready", **environment: str) -> Iterator[Service]:
    """Run a service; entered once its log has the event `until`."""
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--port", "0", *arguments],
        env={**BARE, "BAPSANG_ADMIN_PORT": "0", **environment},
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Service(process, until)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        assert process.stderr is not None
        process.stderr.close()
