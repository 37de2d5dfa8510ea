"""The Docker engine as its client reaches it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import shell


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine that answers. `ours`: started by this tool."""

    address: str | None
    ours: bool

    def environment(self) -> dict[str, str]:
        """Environment of `docker` and `kind` for this engine."""
        return {"DOCKER_HOST": self.address} if self.address else {}

    def docker(self, *arguments: str | Path, timeout: float = 120, input: bytes | None = None) -> str:
        """Run `docker` and return what it prints. Raises Failure."""
        return shell.output(["docker", *arguments], env=self.environment(), timeout=timeout, input=input)

    def tries(self, *arguments: str | Path, timeout: float = 120) -> bool:
        """Run `docker` and tell whether it exited with 0."""
        return shell.attempt(["docker", *arguments], env=self.environment(), timeout=timeout).returncode == 0

    def answers(self) -> bool:
        return self.tries("version", "--format", "{{.Server.Version}}", timeout=15)

    def label(self, image: str, name: str) -> str:
        """Return the value of a label of an image; empty when the label or the image is not there."""
        template = f'{{{{index .Config.Labels "{name}"}}}}'
        answer = shell.attempt(
            ["docker", "image", "inspect", "--format", template, image], env=self.environment(), timeout=60
        )
        return answer.stdout.decode().strip() if answer.returncode == 0 else ""
