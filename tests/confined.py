"""Runs a check of a picture as a pod must be able to afford it: in a process with little memory and little time.

As a program (`python confined.py picture` or `function`) it reads what to check, a line each, and forks for each, so that
each has limits of its own and the imports are paid once. `Confined` is its side in a test.
"""

from __future__ import annotations

import contextlib
import cProfile
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MEMORY = 64 * 1024 * 1024  # bytes of address space above what the process has at its start
CPU_SECONDS = 1


@dataclass(frozen=True)
class Outcome:
    """What a check came to. `ended_by` is a signal: SIGXCPU for time, SIGKILL where the system had no memory left."""

    said: str
    ended_by: int
    cpu_seconds: float


@dataclass(frozen=True)
class Checked:
    """What became of a picture, and what it took: calls of functions, Python's own and those in C."""

    accepted: bool
    size: int  # bytes that are published
    calls: int


class Confined:
    """Checks in a process with limits."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._file = process, folder / "picture"

    def picture(self, content: bytes, content_type: str) -> Checked:
        """Let `pictures.clean` have a file, which the process itself reads, as it does from S3.

        Raises AssertionError when it did not end by itself within the limits.
        """
        self._file.write_bytes(content)
        outcome = self.say(f"{content_type} {self._file}")
        assert outcome.ended_by == 0, outcome
        assert outcome.said.startswith("{"), outcome
        return Checked(**json.loads(outcome.said))

    def say(self, line: str) -> Outcome:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))


@contextmanager
def confined(job: str, folder: Path) -> Iterator[Confined]:
    """Start the process; `job` is one of _JOBS."""
    command = [sys.executable, __file__, job]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Confined(process, folder)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def _picture() -> Callable[[str], str]:
    from bapsang_api.uploads import pictures

    def check(line: str) -> str:
        content_type, _, path = line.partition(" ")
        content = Path(path).read_bytes()
        counting = cProfile.Profile()
        size = 0
        with contextlib.suppress(pictures.NotAPictureError, pictures.TooManyPixelsError):
            size = len(counting.runcall(pictures.clean, content, content_type).content)
        calls = sum(entry.callcount for entry in counting.getstats())
        return json.dumps({"accepted": size > 0, "size": size, "calls": calls})

    return check


def _function() -> Callable[[str], str]:
    from bapsang_api.uploads import check_function

    objects = check_function._objects()
    # Loads what a container of the function has loaded before its second upload; its connection is not for its children.
    objects.exists("checked/none")
    objects._client.close()

    def check(line: str) -> str:
        return json.dumps(check_function.handler({"Records": [{"messageId": "0", "body": line}]}, None))

    return check


_JOBS: dict[str, Callable[[], Callable[[str], str]]] = {"picture": _picture, "function": _function}


def _limited(check: Callable[[str], str], line: str, answer: int) -> None:
    """Check within the limits and write to `answer` what it came to; ends the process."""
    # Address space, so that what is asked for and not touched counts as well.
    start = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (start + MEMORY, start + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    try:
        said = check(line)
    except Exception as error:  # MemoryError is the one to expect
        said = repr(error)
    os.write(answer, said.encode())


def main(job: str) -> None:
    check = _JOBS[job]()
    for line in sys.stdin:
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            try:
                _limited(check, line.rstrip("\n"), writing)
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answered:
            said = answered.read()
        _, status, usage = os.wait4(child, 0)
        outcome = Outcome(said, os.WTERMSIG(status), usage.ru_utime + usage.ru_stime)
        sys.stdout.write(json.dumps(outcome.__dict__) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
