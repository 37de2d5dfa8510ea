"""A real mail server whose mailbox tests read: Mailpit, that of `make up` and `make dev`."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.waiting import eventually

from bapsang_local import programs
from bapsang_local.settings import from_environment


@dataclass(frozen=True)
class Letter:
    """A letter as it arrived."""

    id: str  # of Mailpit
    message_id: str  # without the angle brackets
    to: tuple[str, ...]
    sender: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class MailServer:
    """A mail server on 127.0.0.1, or of a cluster: it accepts letters by SMTP and delivers none."""

    smtp_port: int
    url: str  # of the mailbox: a page for people, and the API that this class calls

    @property
    def smtp_url(self) -> str:
        """What BAPSANG_SMTP_URL is set to for a server without TLS."""
        return f"smtp://127.0.0.1:{self.smtp_port}?tls=none"

    def letters(self, to: str = "") -> list[Letter]:
        """Return the letters in the mailbox, oldest first; with `to` those to this address."""
        chosen = {"query": f'to:"{to}"'} if to else {}
        listed = self._call("GET", "/search" if to else "/messages", params={**chosen, "limit": 1000})
        return [self._letter(found["ID"]) for found in reversed(listed["messages"])]

    def only_letter(self, to: str, seconds: float = 20) -> Letter:
        """Wait for a letter to this address and return it; raises AssertionError where there is none, or more."""
        (letter,) = eventually(lambda: self.letters(to), seconds, f"a letter to {to}")
        return letter

    def headers(self, letter: Letter) -> dict[str, list[str]]:
        found: dict[str, list[str]] = self._call("GET", f"/message/{letter.id}/headers")
        return found

    def raw(self, letter: Letter) -> bytes:
        """Return the letter as it came over the wire, below the trace header of the server."""
        return self._answer("GET", f"/message/{letter.id}/raw").content

    def clear(self) -> None:
        self._call("DELETE", "/messages")

    @contextlib.contextmanager
    def failing(self, step: str, code: int = 451, percent: int = 100) -> Iterator[None]:
        """Let the server answer `code` at a step: Authentication, Recipient or Sender. Needs `--enable-chaos`."""
        self._call("PUT", "/chaos", json={step: {"ErrorCode": code, "Probability": percent}})
        try:
            yield
        finally:
            self._call("PUT", "/chaos", json={})

    def _letter(self, found_id: str) -> Letter:
        found = self._call("GET", f"/message/{found_id}")
        return Letter(
            found_id,
            found["MessageID"],
            tuple(to["Address"] for to in found["To"]),
            found["From"]["Address"],
            found["Subject"],
            found["Text"],
            found["HTML"],
        )

    def _call(self, method: str, path: str, **options: Any) -> Any:
        answer = self._answer(method, path, **options)
        return answer.json() if answer.headers["content-type"].startswith("application/json") else None

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        url = f"{self.url}/api/v1{path}"
        return httpx.request(method, url, timeout=20, trust_env=False, **options).raise_for_status()


@contextlib.contextmanager
def serving_mail(*options: str) -> Iterator[MailServer]:
    """Run a mail server with an empty mailbox, without TLS and for everybody unless `options` say otherwise."""
    for _ in range(5):  # between the look for free ports and their use somebody else may take them
        smtp, http = _free_port(), _free_port()
        process = subprocess.Popen(
            [
                *(program(), "--smtp", f"127.0.0.1:{smtp}", "--listen", f"127.0.0.1:{http}"),
                *("--quiet", "--smtp-disable-rdns", "--disable-version-check", "--enable-chaos", *options),
            ],
            stdout=subprocess.DEVNULL,
        )
        server = MailServer(smtp, f"http://127.0.0.1:{http}")
        try:
            eventually(lambda: process.poll() is not None or _is_ready(server), 60)  # noqa: B023
            if process.poll() is None:
                yield server
                return
        finally:
            process.terminate()  # it removes its mailbox, a file in the folder for temporary files
            process.wait(10)
    pytest.fail("the mail server ended five times")


def program() -> str:
    """Return the mail server that `make test-tools` builds, or the host's own."""
    built = programs.path("mailpit", from_environment())
    found = str(built) if built.exists() else shutil.which("mailpit")
    if found is None:
        pytest.fail(
            "There is no mail server to test against: run `make test-tools` first (or put mailpit on the PATH)."
        )
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _is_ready(server: MailServer) -> bool:
    try:
        return httpx.get(f"{server.url}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
