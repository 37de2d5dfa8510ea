"""Decodes uploads from a small process, and says what that took: the kernel counts a child's memory from its fork on.
The first look is left out, which would keep most hostile files from the decoder.

As a program it reads a line of JSON for each file (path, use, limits) and answers with one. `Examining` is its side in a test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bapsang_api.media.confinement import Limits
from bapsang_api.media.kinds import kind_of
from bapsang_api.media.process import LIMITS, decode
from bapsang_api.media.verdict import Use, to_wire


@dataclass(frozen=True)
class Examined:
    """The verdict as JSON, and what the child took."""

    verdict: dict[str, Any]
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int

    @property
    def said(self) -> str:
        """The reason of a refusal, else the verdict."""
        return str(self.verdict["reason"] or self.verdict["verdict"])


class Examining:
    """The process, for files that lie in a folder of the test."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._file = process, folder / "upload"

    def look_at(self, content: bytes, limits: Limits = LIMITS, use: Use = Use.POST) -> Examined:
        self._file.write_bytes(content)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"path": str(self._file), "use": use, "limits": asdict(limits)}) + "\n")
        self._process.stdin.flush()
        return Examined(**json.loads(self._process.stdout.readline()))


@contextmanager
def examining(folder: Path) -> Iterator[Examining]:
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Examining(process, folder)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        with Path(asked["path"]).open("rb") as upload:
            kind = kind_of(upload.read(512))
            assert kind is not None
            outcome = decode(upload, kind, Use(asked["use"]), Limits(**asked["limits"]))
        sys.stdout.write(json.dumps({"verdict": to_wire(outcome.verdict), **asdict(outcome.cost)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
