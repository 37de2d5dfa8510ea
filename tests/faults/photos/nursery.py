"""Starts `bapsang-api` processes by forking, so that a new one works within a moment: its imports alone would take a second.

The director's side is `Nursery`; run as a program, this module is the process that forks. What a process is started with is
what the command line says, but for times: a lease of three minutes would make one kill last three minutes.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

LEASE_SECONDS: Final = 6.0
MAIL_LEASE_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.05
_MOST_ATTEMPTS: Final = 50  # kills are nobody's fault here, and some photos meet many
_CHORES_SECONDS: Final = 0.3
_PR_SET_PDEATHSIG: Final = 1


class Nursery:
    """Starts processes and buries them. All of them end with this one."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.photos.nursery"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
        """Run `bapsang-api` with these arguments; return its process id."""
        return int(self._ask({"start": arguments, "environment": environment, "log": str(log)}))

    def bury(self, pid: int) -> int:
        """Wait for the end of a process and return its exit code, negative for a signal."""
        return int(self._ask({"bury": pid}))

    def close(self) -> None:
        with self._process:  # waits for its end, which comes with that of its input
            pass

    def _ask(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _serve() -> None:
    from botocore.loaders import JSONFileLoader

    from bapsang_api import runtime
    from bapsang_api.__main__ import main
    from bapsang_api.mail import worker as mail
    from bapsang_api.uploads import worker

    mail.LEASE = timedelta(seconds=MAIL_LEASE_SECONDS)  # type: ignore[misc]
    mail.FIRST_PAUSE = mail.IDLE_SECONDS = _PAUSE_SECONDS  # type: ignore[misc]
    worker.LEASE = timedelta(seconds=LEASE_SECONDS)  # type: ignore[misc]
    worker._FIRST_PAUSE = _PAUSE_SECONDS  # type: ignore[misc]
    worker.MOST_ATTEMPTS = _MOST_ATTEMPTS  # type: ignore[misc]
    runtime.CHORES_SECONDS = _CHORES_SECONDS  # type: ignore[misc]
    read = functools.cache(JSONFileLoader().load_file)
    JSONFileLoader.load_file = lambda _, path: read(path)  # type: ignore[method-assign]
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        if "bury" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["bury"], 0)[1])
        elif not (answer := os.fork()):
            _become(main, order)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _become(main: Any, order: Mapping[str, Any]) -> None:
    """Be the process that was ordered; never returns."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number in (1, 2):
            os.dup2(log, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BAPSANG_")}
        os.environ.clear()
        os.environ.update({**kept, **order["environment"]})
        code = main(order["start"])
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
