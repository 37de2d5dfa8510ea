"""The mail server of `make dev` and of the local cluster: Mailpit, which takes every letter and shows it, and delivers none."""

from __future__ import annotations

import socket
from pathlib import Path

from . import child
from .failure import Failure
from .settings import Settings

NAMESPACE = "bapsang-mail"
#: Whom letters come from; nobody receives what is sent there.
SENDER = "no-reply@bapsang.localhost"


def program(settings: Settings) -> Path:
    """Return Mailpit: that of the cache, or the machine's own, or one built now. Raises Failure."""
    try:
        return child.program("mailpit", settings)
    except Failure as failure:
        raise Failure(
            f"There is no mail server for letters, and Mailpit cannot be built.\n{failure.problem}",
            "Put mailpit (github.com/axllent/mailpit/releases) on the PATH, or set BAPSANG_SMTP_URL and"
            " BAPSANG_MAIL_FROM to a server of yours. Without letters: `.venv/bin/bapsang-api serve`.",
        ) from failure


def start(mailpit: Path, port: int) -> str:
    """Start the server with its page on `port` of 127.0.0.1, and return the URL by which letters reach it. Raises Failure.

    Its mailbox is empty, and goes with it: it ends when the main thread of this process does.
    """
    child.refuse_taken(port, "mailbox", "MAIL_PORT=8026")
    with socket.create_server((child.HOST, 0)) as free:  # nobody but the API asks for it
        smtp = free.getsockname()[1]
    child.start(
        [
            *(mailpit, "--listen", f"{child.HOST}:{port}", "--smtp", f"{child.HOST}:{smtp}"),
            *("--quiet", "--smtp-disable-rdns", "--disable-version-check"),
        ],
        "mail server",
        f"http://{child.HOST}:{port}/readyz",
        end=child.IN_ORDER,
    )
    return f"smtp://{child.HOST}:{smtp}?tls=none"
