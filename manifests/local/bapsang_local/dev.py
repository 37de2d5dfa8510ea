"""`make dev`: the API of this checkout on SQLite with an S3 server and a mailbox of its own, without a cluster and without Docker."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from . import child, mailbox, object_store, s3
from .failure import Failure
from .progress import say
from .settings import OWN_VARIABLES, Settings

#: Beside the API's default database, bapsang.sqlite3.
FOLDER = Path("bapsang.objects")


def run(settings: Settings, ports: Sequence[str], environ: Mapping[str, str] = os.environ) -> NoReturn:
    """Become the API on the first of three ports of 127.0.0.1, with an S3 server as a child on the second and a mailbox on
    the third. Raises Failure.

    With BAPSANG_S3_BUCKET or BAPSANG_SMTP_URL set the bucket or the mail server is the developer's own.
    """
    port, s3_port, mail_port = map(_port, ports)
    environment = {name: text for name, text in environ.items() if name not in OWN_VARIABLES}
    if not environment.get("BAPSANG_S3_BUCKET"):
        environment = _with_store(settings, port, s3_port, environment)
    if not environment.get("BAPSANG_SMTP_URL"):
        environment = _with_mailbox(settings, mail_port, environment)
    program = str(Path(sys.executable).parent / "bapsang-api")
    options = ["serve", "--host", "127.0.0.1", "--port", str(port), "--drain-seconds", "0"]
    # One process: signals reach the API as they come, and the servers end with it.
    os.execve(program, [program, *options], environment)  # noqa: S606


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 65535:
        raise Failure(f"{text!r} is no port.", "Give S3_PORT and MAIL_PORT a port from 1 to 65535.")
    return int(text)


def _with_store(settings: Settings, port: int, s3_port: int, environment: dict[str, str]) -> dict[str, str]:
    given = object_store.start(object_store.program(settings), FOLDER, s3_port, _origins(port, environment))
    # What a developer has set for AWS is about other buckets.
    others = {name: text for name, text in environment.items() if not name.startswith("AWS_")}
    return {
        **others,
        "AWS_ACCESS_KEY_ID": given.access_key_id,
        "AWS_SECRET_ACCESS_KEY": given.secret_access_key,
        "BAPSANG_S3_BUCKET": s3.BUCKET,
        "BAPSANG_S3_REGION": s3.REGION,
        "BAPSANG_S3_ENDPOINT": f"http://{child.HOST}:{s3_port}",
    }


def _with_mailbox(settings: Settings, port: int, environment: dict[str, str]) -> dict[str, str]:
    url = mailbox.start(mailbox.program(settings), port)
    say(f"Letters: http://{child.HOST}:{port}")
    return {"BAPSANG_MAIL_FROM": mailbox.SENDER, **environment, "BAPSANG_SMTP_URL": url}


def _origins(port: int, environment: Mapping[str, str]) -> list[str]:
    """Return whose pages may use the bucket: those that may call the API, and the API's own."""
    chosen = environment.get("BAPSANG_CORS_ORIGINS", "").split(",")
    named = [origin.strip() for origin in chosen if origin.strip()] or s3.DEVELOPMENT_ORIGINS
    return [f"http://127.0.0.1:{port}", f"http://localhost:{port}", *named]
