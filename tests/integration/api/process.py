"""`bapsang-api` for tests: the real process, run to its end or serving, and its commands within this process."""

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import eventually

from bapsang_api.__main__ import main

PROGRAM = (sys.executable, "-m", "bapsang_api")
BARE = {name: value for name, value in os.environ.items() if not name.startswith("BAPSANG_")}


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], env={**BARE, **environment}, cwd=cwd, capture_output=True, text=True, timeout=300
    )


def run_here(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Like `run`, but within this process: the imports of a new one take seconds."""
    code: int | str | None
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        patch.setattr(os, "environ", {**BARE, **environment})
        patch.setattr(sys, "stdin", io.StringIO())
        patch.chdir(cwd)
        try:
            code = main(arguments)
        except SystemExit as end:  # wrong usage
            code = end.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def client(url: str, **options: Any) -> httpx.Client:
    """Return a client of a service: it gives a busy machine time, and reads no certificates for what is plain HTTP."""
    return httpx.Client(base_url=url, timeout=60, verify=False, **options)  # noqa: S501


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
