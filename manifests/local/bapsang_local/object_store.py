"""The S3 server of `make dev`: versitygw, the cluster's own, as a child that keeps its objects in a folder and ends with this process."""

from __future__ import annotations

import configparser
import ctypes
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from . import programs, s3
from .failure import Failure
from .s3 import Credentials
from .settings import Settings

HOST = "127.0.0.1"
START_SECONDS = 60
_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl
_HEALTH = "/healthz"


def program(settings: Settings) -> Path:
    """Return versitygw: that of the cache, or the machine's own, or one built now. Raises Failure."""
    built = programs.path("versitygw", settings)
    if not built.exists() and (found := shutil.which("versitygw")):
        return Path(found)
    try:
        return programs.build("versitygw", settings)
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
    _refuse_taken(port)
    folder = folder.absolute()  # versitygw changes into it
    for part in ("objects", "metadata"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    given = _credentials(folder / "credentials")
    server = subprocess.Popen(
        [
            *(versitygw, "--port", f"{HOST}:{port}", "--region", s3.REGION, "--health", _HEALTH, "--quiet"),
            # Metadata beside the objects, as in the cluster: not every file system has user attributes.
            *("posix", "--sidecar", folder / "metadata", folder / "objects"),
        ],
        env={"ROOT_ACCESS_KEY": given.access_key_id, "ROOT_SECRET_KEY": given.secret_access_key},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C is for the API, which ends first
        preexec_fn=_end_with_parent,  # noqa: PLW1509  # no other thread holds a lock that it needs
    )
    try:
        _wait(server, port)
        s3.prepare_bucket(port, given, origins)
    except BaseException:
        server.kill()
        server.wait()
        raise
    return given


def _end_with_parent() -> None:
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


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


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last run may linger
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Failure(
                f"The S3 server cannot listen on {HOST}:{port}: {error.strerror}.",
                "End what listens there (another `make dev`?), or choose: `make dev S3_PORT=8002`.",
            ) from error


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        if (code := server.poll()) is not None:
            raise Failure(f"The S3 server ended at its start (exit code {code}); what it said stands above.")
        try:
            opener.open(f"http://{HOST}:{port}{_HEALTH}", timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"The S3 server does not answer within {START_SECONDS} s: {error}") from error
        time.sleep(0.05)
