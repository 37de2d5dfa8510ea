"""One command at a time works on the local cluster; the next one waits."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from .failure import Failure
from .progress import say
from .settings import Settings


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Wait until no other command works on the cluster, and keep others waiting. Raises Failure."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        file = (settings.home / "lock").open("w")
    except OSError as error:
        raise Failure(
            f"{settings.home} cannot be written: {error.strerror}.", "Set BAPSANG_HOME to a folder of yours."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another make command works on the local cluster: waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        for scratch in settings.home.glob("tmp*"):  # of a command that was killed
            shutil.rmtree(scratch, ignore_errors=True)
        yield
