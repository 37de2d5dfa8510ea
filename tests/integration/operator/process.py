"""The operator as a process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.waiting import eventually

from .controlplane import PORT_TAKEN, free_port

#: Hides the official client, as in the operator's image: kopf would load it, a third of the time that a start takes.
HIDDEN = Path(__file__).parent / "hidden"


@dataclass
class Operator:
    """The operator as a process of its own, with the rights of the chart."""

    kubeconfig: Path
    log: Path
    settings: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    path: tuple[str, ...] = ()  # more folders of modules
    python: str = sys.executable
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    def start(self) -> None:
        """Start the process and wait until it has listed every kind; whether it leads is another matter."""
        self.launch()
        eventually(self._is_ready, 90, f"operator ready: {self.log}")

    def launch(self) -> None:
        """Start the process."""
        self.port = free_port()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BAPSANG_")}
        environment |= {
            "KUBECONFIG": str(self.kubeconfig),
            "BAPSANG_ADMIN_PORT": str(self.port),
            "BAPSANG_RESYNC_SECONDS": "2",
            "MALLOC_ARENA_MAX": "1",  # as the image sets it
            **self.settings,
        }
        given = [path for path in (environment.get("PYTHONPATH"),) if path]
        environment["PYTHONPATH"] = os.pathsep.join([str(HIDDEN), *self.path, *given])
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "bapsang_operator", "run", *self.arguments],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait until the process has ended by itself and return its exit code."""
        assert self.process is not None
        return self.process.wait(60)

    def end(self) -> None:
        """End the process as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)

    def restart(self) -> None:
        self.rest()
        self.lead()

    def lead(self) -> None:
        """Start the process unless it runs, and wait until it leads."""
        if not self.runs:
            self.start()
        eventually(lambda: self.leads, 60, "it leads")

    def rest(self) -> None:
        """Let the process end unless it has."""
        if self.runs:
            assert self.stop() == 0

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def leads(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return "bapsang_operator_leader 1.0" in self.admin("/metrics").text.splitlines()
        return False

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def admin(self, path: str) -> httpx.Response:
        # Without certificates, whose loading would cost 70 ms of CPU.
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30, verify=False)  # noqa: S501

    def writes(self) -> float:
        """Return how many changing requests the process has sent, its lease aside."""
        lines = self.admin("/metrics").text.splitlines()
        counted = [line for line in lines if line.startswith("bapsang_operator_writes_total{")]
        return sum(float(line.split()[-1]) for line in counted if 'kind="Lease"' not in line)

    def _is_ready(self) -> bool:
        if not self.runs:
            said = self.log.read_text()[-3000:]
            assert PORT_TAKEN in said.lower(), said
            self.launch()
        with contextlib.suppress(httpx.TransportError):
            return self.admin("/readyz").status_code == 200
        return False
