"""Runs other programs: output goes to a log, a failure carries the last lines of it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .failure import Failure

LAST_LINES = 15


def output(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
    timeout: float = 120,
) -> str:
    """Return the standard output of `command`. Raises Failure with its standard error when it does not exit with 0."""
    result = attempt(command, env=env, input=input, timeout=timeout)
    if result.returncode != 0:
        words = (result.stderr or result.stdout).decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        raise Failure(f"`{_short(command)}` exited with {result.returncode}:\n  " + "\n  ".join(words))
    return result.stdout.decode(errors="replace")


def attempt(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[bytes]:
    """Run `command` and return its result, whatever it is. A missing program or a time-out counts as exit 127 or 124."""
    words = [str(word) for word in command]
    stdin = None if input is not None else subprocess.DEVNULL
    try:
        return subprocess.run(
            words, capture_output=True, check=False, env=_environment(env), input=input, stdin=stdin, timeout=timeout
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(words, 127, b"", f"{words[0]}: not found".encode())
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, b"", f"no answer within {timeout:.0f} s".encode())


def logged(
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    append: bool = False,
) -> None:
    """Run `command` with its output in the file `log`. Raises Failure that names the log and shows its end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab" if append else "wb") as file:
        file.write(f"$ {_short(command)}\n".encode())
        file.flush()
        try:
            code = subprocess.run(
                [str(word) for word in command],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=_environment(env),
                cwd=cwd,
                check=False,
            ).returncode
        except FileNotFoundError as missing:
            raise Failure(f"`{command[0]}` is not installed") from missing
    if code != 0:
        lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise Failure(f"`{_short(command)}` exited with {code}. The end of {log}:\n  " + "\n  ".join(lines))


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(extra or {})}


def _short(command: Sequence[str | Path]) -> str:
    text = " ".join(str(word) for word in command)
    text = re.sub(r"//[^/@\s]+@", "//…@", text)  # credentials of a package index
    return text if len(text) < 300 else text[:297] + "…"
