"""The load generator: built from ../generator with the Go toolchain of `make up`, and run."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bapsang_local import programs, shell
from bapsang_local.settings import Settings

from .outcome import Run

SOURCE = Path(__file__).parents[1] / "generator"
# After the last request is due the generator waits for answers no longer than each may take.
_GRACE_SECONDS = 30


def build(settings: Settings) -> Path:
    """Return the built program out of the cache, built now if its sources have changed."""
    digest = hashlib.sha256()
    for file in sorted((*SOURCE.glob("*.go"), SOURCE / "go.mod")):
        digest.update(file.name.encode() + file.read_bytes())
    target = settings.bin / f"load-generator-{digest.hexdigest()[:12]}"
    if not target.exists():
        for old in settings.bin.glob("load-generator-*"):
            old.unlink()
        settings.bin.mkdir(parents=True, exist_ok=True)
        made = target.with_suffix(f".{os.getpid()}")
        command: list[str | Path] = [programs.go_program(settings), "build", "-trimpath", "-o", made, "."]
        shell.logged(command, settings.logs / "build-load-generator.log", env={"CGO_ENABLED": "0"}, cwd=SOURCE)
        made.rename(target)
    return target


@dataclass
class Generator:
    """Runs scenarios, one after the other or beside each other."""

    program: Path
    folder: Path
    _count: int = 0

    def start(self, document: Mapping[str, Any]) -> Sending:
        self._count += 1
        file = self.folder / f"scenario-{self._count}.json"
        file.write_text(json.dumps(document, ensure_ascii=False))
        process = subprocess.Popen(
            [self.program, file],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        return Sending(process, document["seconds"] + _GRACE_SECONDS)

    def run(self, document: Mapping[str, Any]) -> Run:
        """Carry a scenario out. Raises SystemExit with what the generator complains of."""
        with self.start(document) as sending:
            return sending.result()


@dataclass
class Sending:
    """A scenario that is being carried out; ended, if it still runs, when the block is left."""

    process: subprocess.Popen[bytes]
    seconds: float

    def __enter__(self) -> Sending:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    def result(self) -> Run:
        out, complaint = self.process.communicate(timeout=self.seconds)
        if self.process.returncode:
            raise SystemExit(complaint.decode().strip() or f"the generator exited with {self.process.returncode}")
        return Run.of(json.loads(out))
