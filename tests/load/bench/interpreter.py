"""What the API's code runs on: an interpreter of this machine, or the one of the image that pods run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bapsang_local.engine import Engine

from .servers import container

ROOT = Path(__file__).parents[3]
#: The folder that holds `bapsang_api`, unless another version of it is measured.
CODE = ROOT / "api"
BARE = {name: value for name, value in os.environ.items() if not name.startswith(("BAPSANG_", "AWS_"))}
# In the environment of every process that is started here: of which run it is part.
MARK = "BENCH_RUN"
_IN_IMAGE = "/opt/venv/bin/python"
#: Longer than a million posts take to seed.
_RUN_SECONDS = 3600
_STOP_SECONDS = 15
_VERSIONS = """
import importlib.metadata as metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


# A job's pod asks for 50m of the processor, one of the API for 500m or 750m (manifests/samples): when both want it, the job gets
# about a twelfth.
_JOB_SHARES = 1024 // 12
_AS_A_JOB = 'echo 11 > /proc/self/autogroup 2> /dev/null; exec nice -n 11 "$0" "$@"'


class Interpreter(Protocol):
    """Runs Python with the API's packages and one version of its code. Arguments are those of `python`."""

    @property
    def code(self) -> Path:
        """The folder that holds `bapsang_api`."""

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Run to the end, with the processor's weight of a job. Raises SystemExit with the end of the log."""

    def running(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> AbstractContextManager[int]:
        """Run while the block lasts; yields the process id."""

    def versions(self, packages: Sequence[str]) -> dict[str, str]:
        """Return the versions of Python and of those packages that there are."""


def end_orphans() -> None:
    """End what a run has left that was killed: it would take part in this one."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            environment = (folder / "environ").read_bytes().split(b"\0")
            runs = [one.partition(b"=")[2].decode() for one in environment if one.startswith(f"{MARK}=".encode())]
            if runs and not Path(f"/proc/{runs[0]}").exists():
                os.kill(int(folder.name), signal.SIGKILL)


@dataclass(frozen=True)
class OfMachine:
    """An interpreter of this machine."""

    python: str
    code: Path = CODE

    def _environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        return {**BARE, **environment, "PYTHONPATH": f"{self.code}:{ROOT}"}

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as file:
            command = ["sh", "-c", _AS_A_JOB, self.python, *arguments]
            code = subprocess.run(
                command,
                env=self._environment(environment),
                stdout=file,
                stderr=file,
                start_new_session=True,
                timeout=_RUN_SECONDS,
            ).returncode
        if code:
            raise SystemExit(f"{' '.join(arguments[:4])} exited with {code}:\n{_end(log)}")

    @contextlib.contextmanager
    def running(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[int]:
        with log.open("wb") as file:
            # A session of its own: Ctrl-C is for the bench, which then ends its processes in order.
            process = subprocess.Popen(
                [self.python, *arguments],
                env=self._environment({**environment, MARK: str(os.getpid())}),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            yield process.pid
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(arguments[:3])} ended with {process.returncode}:\n{_end(log)}")
        finally:
            # The second signal spares the API's drain.
            for number, seconds in ((signal.SIGINT, 0.2), (signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, 5)):
                if process.poll() is None:
                    process.send_signal(number)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(seconds)

    def versions(self, packages: Sequence[str]) -> dict[str, str]:
        command = [self.python, "-c", _VERSIONS, *packages]
        found: dict[str, str] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
        return found


@dataclass(frozen=True)
class OfImage:
    """The interpreter and packages of an image of the API, as in a pod, with one version of the code."""

    image: str
    engine: Engine
    folder: Path  # of what is made for the run: the key is there, and code that is not this checkout's
    code: Path = CODE

    def _options(self, environment: Mapping[str, str]) -> list[str]:
        known = {**environment, "PYTHONPATH": f"{self.code}:{ROOT}"}
        variables = [word for name, value in known.items() for word in ("--env", f"{name}={value}")]
        volumes = ["--volume", f"{ROOT}:{ROOT}:ro", "--volume", f"{self.folder}:{self.folder}"]
        return [*variables, *volumes, "--user", f"{os.geteuid()}:{os.getegid()}"]

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        options = ["--rm", "--network", "host", "--cpu-shares", str(_JOB_SHARES)]
        options += [*self._options(environment), "--entrypoint", _IN_IMAGE]
        command = ["docker", "run", *options, self.image, *arguments]
        with log.open("ab") as file:
            code = subprocess.run(
                command, env={**os.environ, **self.engine.environment()}, stdout=file, stderr=file, timeout=_RUN_SECONDS
            ).returncode
        if code:
            raise SystemExit(f"{' '.join(arguments[:4])} exited with {code}:\n{_end(log)}")

    def running(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> AbstractContextManager[int]:
        command = [_IN_IMAGE, *arguments]
        return container(
            self.engine, self.image, "api", command, log, self._options(environment), stop_seconds=_STOP_SECONDS
        )

    def versions(self, packages: Sequence[str]) -> dict[str, str]:
        printed = self.engine.docker("run", "--rm", "--entrypoint", _IN_IMAGE, self.image, "-c", _VERSIONS, *packages)
        found: dict[str, str] = json.loads(printed)
        return found


def _end(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
