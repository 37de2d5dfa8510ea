"""The S3 server of `make dev`: versitygw, the cluster's own, as a child that keeps its objects in a folder and ends with this process."""

from __future__ import annotations

import configparser
import secrets
from collections.abc import Iterable
from pathlib import Path

from . import child, s3
from .failure import Failure
from .s3 import Credentials
from .settings import Settings

_HEALTH = "/healthz"


def program(settings: Settings) -> Path:
    """Return versitygw: that of the cache, or the machine's own, or one built now. Raises Failure."""
    try:
        return child.program("versitygw", settings)
    except Failure as failure:
        raise Failure(
            f"There is no S3 server for uploads, and versitygw cannot be built.\n{failure.problem}",
            "Put versitygw (github.com/versity/versitygw/releases) on the PATH, or set BAPSANG_S3_BUCKET to a bucket of"
            " yours. Without uploads: `.venv/bin/bapsang-api serve`.",
        ) from failure


def start(versitygw: Path, folder: Path, port: int, origins: Iterable[str]) -> Credentials:
    """Start the server on `port` of 127.0.0.1 with what `folder` holds, and prepare its bucket. Raises Failure.

    It is killed when the main thread of this process ends, however that ends, and stays when the process calls exec.
    """
    child.refuse_taken(port, "S3 server", "S3_PORT=8002")
    folder = folder.absolute()  # versitygw changes into it
    for part in ("objects", "metadata"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    given = _credentials(folder / "credentials")
    server = child.start(
        [
            *(versitygw, "--port", f"{child.HOST}:{port}", "--region", s3.REGION, "--health", _HEALTH, "--quiet"),
            # Metadata beside the objects, as in the cluster: not every file system has user attributes.
            *("posix", "--sidecar", folder / "metadata", folder / "objects"),
        ],
        "S3 server",
        f"http://{child.HOST}:{port}{_HEALTH}",
        env={"ROOT_ACCESS_KEY": given.access_key_id, "ROOT_SECRET_KEY": given.secret_access_key},
        end=child.AT_ONCE,
    )
    try:
        s3.prepare_bucket(port, given, origins)
    except BaseException:
        child.stop(server)
        raise
    return given


def _credentials(file: Path) -> Credentials:
    """Return the access key in `file`, generated the first time: a shared credentials file as AWS clients read it."""
    parser = configparser.ConfigParser(interpolation=None)
    if not parser.read(file):
        made = {
            "aws_access_key_id": f"DEV{secrets.token_hex(8).upper()}",
            "aws_secret_access_key": secrets.token_hex(20),
        }
        parser["default"] = made
        file.touch(0o600)
        with file.open("w") as opened:
            parser.write(opened)
    try:
        found = parser["default"]
        return Credentials(found["aws_access_key_id"], found["aws_secret_access_key"])
    except KeyError as missing:
        raise Failure(f"{file} holds no {missing}.", "Delete it: the next start makes another.") from missing
