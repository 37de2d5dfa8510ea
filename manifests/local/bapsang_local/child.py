"""A server that `make dev` runs beside the API: a child that ends with this process, however that ends."""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import programs
from .failure import Failure
from .settings import Settings

HOST = "127.0.0.1"
START_SECONDS = 60
#: In which a server of a run that has just ended has removed its files and ended as well.
LINGER_SECONDS = 5
#: Signals by which a server ends at once, and by which it first removes its own files.
AT_ONCE, IN_ORDER = signal.SIGKILL, signal.SIGTERM
_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl


def program(name: str, settings: Settings) -> Path:
    """Return a program: that of the cache, or the machine's own, or one built now. Raises Failure."""
    built = programs.path(name, settings)
    if not built.exists() and (found := shutil.which(name)):
        return Path(found)
    return programs.build(name, settings)


def start(
    command: Sequence[str | Path], what: str, health: str, *, env: Mapping[str, str] | None = None, end: int
) -> subprocess.Popen[bytes]:
    """Start a server and wait until its URL `health` answers. Raises Failure that names it by `what`.

    It gets the signal `end` when the main thread of this process ends, and stays when the process calls exec.
    """
    server = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C is for the API, which ends first
        preexec_fn=_ending_by(end),  # noqa: PLW1509  # no other thread holds a lock that it needs
    )
    try:
        _wait(server, what, health)
    except BaseException:
        stop(server)
        raise
    return server


def stop(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()


def refuse_taken(port: int, what: str, choice: str) -> None:
    """Raise Failure where something listens on a port of 127.0.0.1 and goes on to; `choice` is how to take another."""
    deadline = time.monotonic() + LINGER_SECONDS
    while (error := _taken(port)) is not None:
        if time.monotonic() > deadline:
            raise Failure(
                f"The {what} cannot listen on {HOST}:{port}: {error.strerror}.",
                f"End what listens there (another `make dev`?), or choose: `make dev {choice}`.",
            ) from error
        time.sleep(0.05)


def _taken(port: int) -> OSError | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last run may linger
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error
    return None


def _ending_by(number: int) -> Callable[[], None]:
    def ask() -> None:
        _PRCTL(_PR_SET_PDEATHSIG, number)

    return ask


def _wait(server: subprocess.Popen[bytes], what: str, health: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        if (code := server.poll()) is not None:
            raise Failure(f"The {what} ended at its start (exit code {code}); what it said stands above.")
        try:
            opener.open(health, timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"The {what} does not answer within {START_SECONDS} s: {error}") from error
        time.sleep(0.05)
