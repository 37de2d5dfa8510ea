"""Starts a process for one upload, waits for it and judges how it ended.

What ends the child decides who is to blame. The file: what it said itself, too much CPU time, a crash of the decoder; it is
refused, and would be again. Not surely the file: the clock on the wall, a kill from outside, a bug; worth another try.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import bapsang_api
from bapsang_api.media.confinement import Limits
from bapsang_api.media.kinds import HEAD, Kind
from bapsang_api.media.look import look
from bapsang_api.media.verdict import Photo, Reason, Refused, Undecided, Use, Verdict, of_wire

LIMITS: Final = Limits()
_MOST_JSON: Final = 64 * 1024
# Nothing else of this process's environment: it holds credentials.
_ENVIRONMENT: Final = {
    "PYTHONPATH": str(Path(bapsang_api.__file__).parents[1]),
    "MALLOC_ARENA_MAX": "1",
    "LC_ALL": "C.UTF-8",
    # Where it is set, the interpreter may not find its own library without: Lambda's lies in /var/lang.
    **{name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
}
_COMMAND: Final = (sys.executable, "-P", "-s", "-m", "bapsang_api.media.child")
# From outside, or by the wall clock here. All others that end a process come from what it did itself.
_FROM_OUTSIDE: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


@dataclass(frozen=True)
class Cost:
    """What the child took. The peak is that of this process where this one is larger: the kernel counts from the fork on."""

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True)
class Outcome:
    """The verdict, and of an accepted photo the variants' bytes by name."""

    verdict: Verdict
    files: Mapping[str, bytes] = field(default_factory=dict)
    cost: Cost = Cost()


def examine(upload: IO[bytes], use: Use, limits: Limits = LIMITS) -> Outcome:
    """Look at the open file `upload`, then decode it, and return what came of it. Blocks for up to `limits.wall_seconds`."""
    upload.seek(0)
    looked = look(upload.read(HEAD), os.fstat(upload.fileno()).st_size)
    return Outcome(looked) if isinstance(looked, Refused) else decode(upload, looked.kind, use, limits)


def decode(upload: IO[bytes], kind: Kind, use: Use, limits: Limits = LIMITS) -> Outcome:
    """Decode the open file `upload`, which passed the first look, in a process of its own and return what came of it."""
    os.lseek(upload.fileno(), 0, os.SEEK_SET)
    with memory_file() as answer:
        numbers = (limits.memory, limits.cpu_seconds, limits.answer)
        begun = time.monotonic()
        child = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
            [*_COMMAND, use, kind, *map(str, numbers)],
            stdin=upload,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd="/",
        )
        status, cost = _ended(child, begun, limits.wall_seconds)
        if status is None:
            return Outcome(Undecided(Reason.TIMED_OUT, f"it took more than {limits.wall_seconds:g} s"), cost=cost)
        if status != 0:
            return Outcome(_blame(status, limits), cost=cost)
        answer.seek(0)
        try:
            verdict, files = _parsed(answer)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Outcome(Undecided(Reason.BROKEN, f"its answer cannot be read: {type(error).__name__}"), cost=cost)
    return Outcome(verdict, files, cost)


def memory_file(content: bytes = b"") -> IO[bytes]:
    """Return an open file that lies in memory: a pod has no place to write to."""
    file = os.fdopen(os.memfd_create("media"), "w+b")
    file.write(content)
    file.seek(0)
    return file


def _ended(child: subprocess.Popen[bytes], begun: float, seconds: float) -> tuple[int | None, Cost]:
    """Wait for the end and return the exit code, negative for a signal, None when the time was up; and what it took."""
    in_time = False
    try:
        pidfd = os.pidfd_open(child.pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            in_time = bool(poll.poll(seconds * 1000))
        finally:
            os.close(pidfd)
    finally:
        if not in_time:
            child.kill()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)  # so that nobody waits for it again
    cost = Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss * 1024)
    return (child.returncode if in_time else None), cost


def _blame(status: int, limits: Limits) -> Verdict:
    if status > 0:
        return Undecided(Reason.BROKEN, f"the process ended with exit code {status}")
    ended_by = signal.Signals(-status)
    if ended_by is signal.SIGXCPU:
        return Refused(Reason.TOO_SLOW, f"it takes more than {limits.cpu_seconds} s of CPU time")
    if ended_by in _FROM_OUTSIDE:
        return Undecided(Reason.KILLED, f"the process was ended by {ended_by.name}")
    return Refused(Reason.DECODER_CRASHED, f"the decoder was ended by {ended_by.name}")


def _parsed(answer: IO[bytes]) -> tuple[Verdict, dict[str, bytes]]:
    verdict = of_wire(json.loads(answer.readline(_MOST_JSON)))
    variants = verdict.variants if isinstance(verdict, Photo) else ()
    files = {variant.name: answer.read(variant.size) for variant in variants}
    if any(len(files[variant.name]) != variant.size for variant in variants) or answer.read(1):
        raise ValueError("files")
    return verdict, files
